-- Runs whose issue's title, branch or error holds a text: the newest of them, from agent_run_texts.

-- name: pattern_of_part
-- What LIKE takes for "somewhere in it", whatever signs the text has.
CREATE FUNCTION pattern_of_part(wanted text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN '%' || regexp_replace(wanted, '([\\%_])', '\\\1', 'g') || '%';

-- name: texts_in_span
-- At most so many of an account's runs of one span of hours whose text holds this one, in no order. `width` is a power of
-- four up to 4,096 hours; any other is all. The plan is made once a session, without a guess about the text: there is no
-- order to walk along, so that it is always that of agent_run_texts_parts. Every branch begins with paid/: trigrams of that
-- are in each text and would cost the most, so the index is asked for what comes behind.
CREATE FUNCTION texts_in_span(acting bigint, width integer, span integer, wanted text, most integer)
RETURNS TABLE (run_id bigint, run_created_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
  pattern constant text := pattern_of_part(regexp_replace(wanted, '^paid/(?=[[:alnum:]]{3})', '/'));
BEGIN
  CASE width
    WHEN 1 THEN RETURN QUERY SELECT t.run_id, t.run_created_at FROM agent_run_texts t
      WHERE account_id = acting AND hour = span AND body LIKE pattern AND strpos(body, wanted) > 0 LIMIT most;
    WHEN 4 THEN RETURN QUERY SELECT t.run_id, t.run_created_at FROM agent_run_texts t
      WHERE account_id = acting AND hour / 4 = span AND body LIKE pattern AND strpos(body, wanted) > 0 LIMIT most;
    WHEN 16 THEN RETURN QUERY SELECT t.run_id, t.run_created_at FROM agent_run_texts t
      WHERE account_id = acting AND hour / 16 = span AND body LIKE pattern AND strpos(body, wanted) > 0 LIMIT most;
    WHEN 64 THEN RETURN QUERY SELECT t.run_id, t.run_created_at FROM agent_run_texts t
      WHERE account_id = acting AND hour / 64 = span AND body LIKE pattern AND strpos(body, wanted) > 0 LIMIT most;
    WHEN 256 THEN RETURN QUERY SELECT t.run_id, t.run_created_at FROM agent_run_texts t
      WHERE account_id = acting AND hour / 256 = span AND body LIKE pattern AND strpos(body, wanted) > 0 LIMIT most;
    WHEN 1024 THEN RETURN QUERY SELECT t.run_id, t.run_created_at FROM agent_run_texts t
      WHERE account_id = acting AND hour / 1024 = span AND body LIKE pattern AND strpos(body, wanted) > 0 LIMIT most;
    WHEN 4096 THEN RETURN QUERY SELECT t.run_id, t.run_created_at FROM agent_run_texts t
      WHERE account_id = acting AND hour / 4096 = span AND body LIKE pattern AND strpos(body, wanted) > 0 LIMIT most;
    ELSE RETURN QUERY SELECT t.run_id, t.run_created_at FROM agent_run_texts t
      WHERE account_id = acting AND body LIKE pattern AND strpos(body, wanted) > 0 LIMIT most;
  END CASE;
END $$;

-- name: runs_mentioning
-- The newest `most` of the running account's runs that hold the text, of those from `since` on that stand before a place in
-- the list. It looks back in spans, the next four times as wide where that is needed, and steps over hours without runs, so
-- that what many hold costs as much as an hour of it, and what few hold eight looks. A span in which it finds twenty times what
-- is wanted is taken in narrower ones. A last row with edge_at says how far it looked, where there may be more: when it has
-- enough, or when its patience is at an end, of which a look that takes a quarter is followed by none that is wider.
CREATE FUNCTION runs_mentioning(
  wanted text, since timestamptz, until timestamptz, before_id bigint, most integer, patience_ms integer)
RETURNS TABLE (run_id bigint, edge_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 50
SET search_path = public, pg_temp AS $$
DECLARE
  acting constant bigint := current_account();
  small constant text := lower(wanted);
  too_many constant integer := most * 20;
  patience constant interval := make_interval(secs => patience_ms / 1000.0);
  began constant timestamptz := clock_timestamp();
  looked_at timestamptz;
  first_hour integer;
  upper_hour integer;
  lower_hour integer;
  width integer := 1;
  found integer := 0;
  found_before integer;
  is_sparse boolean;
  run_ids bigint[];
  moments timestamptz[];
BEGIN
  SELECT hour_of(greatest(created_at, since)) INTO first_hour FROM agent_runs WHERE account_id = acting
  ORDER BY created_at, id LIMIT 1;
  SELECT hour_of(created_at) INTO upper_hour FROM agent_runs
  WHERE account_id = acting AND created_at <= until AND (created_at, id) < (until, before_id)
  ORDER BY created_at DESC, id DESC LIMIT 1;
  WHILE upper_hour >= first_hour LOOP
    looked_at := clock_timestamp();
    SELECT array_agg(held.run_id), array_agg(held.run_created_at) INTO run_ids, moments
    FROM texts_in_span(acting, width, upper_hour / width, small, CASE WHEN width > 1 THEN too_many END) AS held;
    IF width > 1 AND cardinality(run_ids) >= too_many THEN
      width := width / 4;
      CONTINUE;
    END IF;
    found_before := found;
    lower_hour := CASE width WHEN 16384 THEN first_hour ELSE upper_hour / width * width END;
    SELECT array_agg(wanted_of.id), array_agg(wanted_of.moment) INTO run_ids, moments FROM (
      SELECT held.id, held.moment FROM unnest(run_ids, moments) AS held (id, moment)
      WHERE held.moment >= since AND (held.moment, held.id) < (until, before_id)
        AND hour_of(held.moment) BETWEEN lower_hour AND upper_hour
      ORDER BY held.moment DESC, held.id DESC LIMIT most - found) AS wanted_of;
    RETURN QUERY SELECT unnest(run_ids), NULL::timestamptz;
    found := found + coalesce(cardinality(run_ids), 0);
    IF found >= most THEN
      RETURN QUERY SELECT run_ids[cardinality(run_ids)], moments[cardinality(run_ids)];
      RETURN;
    END IF;
    -- Four spans of this width with as many for each hour would not be enough.
    is_sparse := (found - found_before) * width::bigint * 4 < (most - found) * (upper_hour - lower_hour + 1)::bigint;
    SELECT hour_of(created_at) INTO upper_hour FROM agent_runs
    WHERE account_id = acting AND created_at < to_timestamp(lower_hour * 3600::float8)
    ORDER BY created_at DESC, id DESC LIMIT 1;
    EXIT WHEN upper_hour IS NULL OR upper_hour < first_hour;
    IF clock_timestamp() - began > patience THEN
      RETURN QUERY SELECT 1::bigint, to_timestamp(lower_hour * 3600::float8);
      RETURN;
    END IF;
    IF is_sparse AND width < 16384 AND clock_timestamp() - looked_at < patience / 4 THEN
      width := width * 4;
    END IF;
  END LOOP;
END $$;

-- name: runs_mentioning_among
-- The same of a text that no index knows, having no three letters or digits in a row: among the newest `most` runs.
CREATE FUNCTION runs_mentioning_among(wanted text, until timestamptz, before_id bigint, most integer)
RETURNS TABLE (run_id bigint, edge_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 50
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting constant bigint := current_account();
  small constant text := lower(wanted);
BEGIN
  RETURN QUERY
  WITH looked AS MATERIALIZED (
    SELECT id, created_at, row_number() OVER (ORDER BY created_at DESC, id DESC) AS place
    FROM agent_runs WHERE account_id = acting AND created_at <= until AND (created_at, id) < (until, before_id)
    ORDER BY created_at DESC, id DESC LIMIT most)
  SELECT id, NULL::timestamptz FROM looked
  WHERE (SELECT strpos(body, small) > 0 FROM agent_run_texts t WHERE t.account_id = acting AND t.run_id = looked.id)
  UNION ALL
  SELECT id, created_at FROM looked WHERE place = most;
END $$;

-- name: runs_numbered
-- The running account's runs that have the number, or whose issue has it.
CREATE FUNCTION runs_numbered(wanted bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting constant bigint := current_account();
BEGIN
  RETURN QUERY SELECT id FROM agent_runs WHERE account_id = acting AND id = wanted;
  RETURN QUERY
  SELECT agent_runs.id FROM projects
  JOIN issues ON issues.project_id = projects.id AND issues.number = wanted
  JOIN agent_runs ON agent_runs.issue_id = issues.id
  WHERE projects.account_id = acting;
END $$;

-- name: mentions_grants
-- For tenants: the platform, which no policy keeps from an index, asks the tables.
REVOKE EXECUTE ON FUNCTION pattern_of_part(text), texts_in_span(bigint, integer, integer, text, integer),
  runs_mentioning(text, timestamptz, timestamptz, bigint, integer, integer),
  runs_mentioning_among(text, timestamptz, bigint, integer), runs_numbered(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION runs_mentioning(text, timestamptz, timestamptz, bigint, integer, integer),
  runs_mentioning_among(text, timestamptz, bigint, integer), runs_numbered(bigint) TO paid_tenant;

-- reverse: mentions
-- Nothing else depends on them.
DROP FUNCTION runs_numbered(bigint), runs_mentioning_among(text, timestamptz, bigint, integer),
  runs_mentioning(text, timestamptz, timestamptz, bigint, integer, integer),
  texts_in_span(bigint, integer, integer, text, integer), pattern_of_part(text);
