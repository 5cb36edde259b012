-- Runs whose issue's title, branch or error holds a text. What many of the newest runs hold is found soonest by a look at
-- these; what few hold, by trigram. Each takes a plan for the values at hand: of unknown ones the planner guesses.

-- name: pattern_of_part
-- What ILIKE takes for "somewhere in it", whatever signs the text has.
CREATE FUNCTION pattern_of_part(wanted text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN '%' || regexp_replace(wanted, '([\\%_])', '\\\1', 'g') || '%';

-- name: way_to_runs_mentioning
-- How the running account's runs until then that hold the text are found. `look`: among the newest, since fifty of two
-- thousand hold it, or since the index knows nothing of a text without three letters or digits in a row. `number`: such a
-- one that is a number. `index`: the others.
CREATE FUNCTION way_to_runs_mentioning(wanted text, until timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
  pattern text := pattern_of_part(wanted);
  holding integer;
BEGIN
  IF wanted !~ '[[:alnum:]]{3}' THEN
    RETURN CASE WHEN wanted ~ '^#[0-9]+$' THEN 'number' ELSE 'look' END;
  END IF;
  SELECT count(*) INTO holding FROM (
    SELECT FROM (
      SELECT issue_id, branch, error FROM agent_runs WHERE account_id = acting AND created_at <= until
      ORDER BY created_at DESC, id DESC LIMIT 2000) AS run
    WHERE branch ILIKE pattern OR error ILIKE pattern
      OR (SELECT title ILIKE pattern FROM issues WHERE issues.id = run.issue_id)
    LIMIT 50) AS held;
  RETURN CASE holding WHEN 50 THEN 'look' ELSE 'index' END;
END $$;

-- name: runs_mentioning
-- The running account's runs until then that hold the text, by agent_runs_mentions and issues_title; with `most` among that
-- many of the newest, by agent_runs_recent. And those that have the number, or whose issue has it.
CREATE FUNCTION runs_mentioning(wanted text, wanted_number bigint, until timestamptz, most integer) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
  pattern text := pattern_of_part(wanted);
BEGIN
  IF wanted_number IS NOT NULL THEN
    RETURN NEXT wanted_number;
    RETURN QUERY
    SELECT agent_runs.id FROM projects
    JOIN issues ON issues.project_id = projects.id AND issues.number = wanted_number
    JOIN agent_runs ON agent_runs.issue_id = issues.id
    WHERE projects.account_id = acting;
  END IF;
  IF most IS NOT NULL THEN
    RETURN QUERY
    SELECT run.id FROM (
      SELECT id, issue_id, branch, error FROM agent_runs WHERE account_id = acting AND created_at <= until
      ORDER BY created_at DESC, id DESC LIMIT most) AS run
    WHERE branch ILIKE pattern OR error ILIKE pattern
      OR (SELECT title ILIKE pattern FROM issues WHERE issues.id = run.issue_id);
    RETURN;
  END IF;
  RETURN QUERY
  SELECT id FROM agent_runs
  WHERE account_id = acting AND created_at <= until AND (branch ILIKE pattern OR error ILIKE pattern);
  RETURN QUERY
  SELECT agent_runs.id FROM issues JOIN agent_runs ON agent_runs.issue_id = issues.id
  WHERE issues.account_id = acting AND title ILIKE pattern;
END $$;

-- name: mentions_grants
-- For tenants: the platform, which no policy keeps from an index, asks the tables.
REVOKE EXECUTE ON FUNCTION way_to_runs_mentioning(text, timestamptz), pattern_of_part(text),
  runs_mentioning(text, bigint, timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION way_to_runs_mentioning(text, timestamptz), runs_mentioning(text, bigint, timestamptz, integer)
  TO paid_tenant;

-- reverse: mentions
-- Nothing else depends on them.
DROP FUNCTION runs_mentioning(text, bigint, timestamptz, integer), way_to_runs_mentioning(text, timestamptz),
  pattern_of_part(text);
