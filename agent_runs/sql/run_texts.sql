-- What is searched of each run: its issue's title, its branch and its error, in one place and with its time.

-- name: agent_run_texts
-- Made by triggers, granted to nobody: the owner's functions write and read it. `hour` is the run's, counted from 1970;
-- `body` is in small letters. The index over its parts, agent_run_texts_parts, is made when the past is filled. The key
-- begins with the run: by an account alone nothing but that index is to be read.
CREATE TABLE agent_run_texts (
  account_id bigint NOT NULL,
  run_id bigint NOT NULL,
  run_created_at timestamptz NOT NULL,
  hour integer NOT NULL,
  body text NOT NULL,
  CONSTRAINT agent_run_texts_pkey PRIMARY KEY (run_id, account_id),
  CONSTRAINT agent_run_texts_run_fk FOREIGN KEY (account_id, run_id) REFERENCES agent_runs (account_id, id)
    ON DELETE CASCADE
);
SELECT secure_tenant_table('agent_run_texts');

-- name: hour_of
-- The hours from 1970 to a moment.
CREATE FUNCTION hour_of(moment timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN floor(extract(epoch FROM moment AT TIME ZONE 'UTC') / 3600)::integer;

-- name: searched_text
-- What is searched of a run. Nobody types a line's end, so no search reaches from one part into another.
CREATE FUNCTION searched_text(title text, branch text, error text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN lower(concat_ws(E'\n', title, branch, nullif(error, '')));

-- name: text_new_runs
-- Trigger: a run is found by its text from its transaction on. The title stays as it is until then.
CREATE FUNCTION text_new_runs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO agent_run_texts (account_id, run_id, run_created_at, hour, body)
  SELECT added.account_id, added.id, added.created_at, hour_of(added.created_at),
         searched_text(title, added.branch, added.error)
  FROM added JOIN issues ON issues.id = added.issue_id
  FOR SHARE OF issues;
  RETURN NULL;
END $$;
CREATE TRIGGER text_new_runs AFTER INSERT ON agent_runs
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION text_new_runs();

-- name: text_changed_run
-- Trigger: of the many changes of a run only those of its branch and its error are written. The issue is locked before the
-- text, as by a change of its title: two that write one text at a time would each miss what the other changed.
CREATE FUNCTION text_changed_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM issues WHERE id = NEW.issue_id FOR NO KEY UPDATE;
  UPDATE agent_run_texts SET body = searched_text(title, NEW.branch, NEW.error)
  FROM issues
  WHERE agent_run_texts.account_id = NEW.account_id AND run_id = NEW.id AND issues.id = NEW.issue_id;
  RETURN NULL;
END $$;
CREATE TRIGGER text_changed_run AFTER UPDATE OF branch, error ON agent_runs FOR EACH ROW
  WHEN ((NEW.branch, NEW.error) IS DISTINCT FROM (OLD.branch, OLD.error)) EXECUTE FUNCTION text_changed_run();

-- name: text_runs_of_changed_issue
-- Trigger: an issue's runs are found by its new title.
CREATE FUNCTION text_runs_of_changed_issue() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE agent_run_texts SET body = searched_text(NEW.title, branch, error)
  FROM agent_runs
  WHERE issue_id = NEW.id AND agent_run_texts.account_id = agent_runs.account_id AND run_id = agent_runs.id;
  RETURN NULL;
END $$;
CREATE TRIGGER text_runs_of_changed_issue AFTER UPDATE OF title ON issues FOR EACH ROW
  WHEN (NEW.title IS DISTINCT FROM OLD.title) EXECUTE FUNCTION text_runs_of_changed_issue();

-- name: run_text_grants
-- Nobody but the owner.
REVOKE EXECUTE ON FUNCTION hour_of(timestamptz), searched_text(text, text, text), text_new_runs(), text_changed_run(),
  text_runs_of_changed_issue() FROM PUBLIC;

-- reverse: run_texts
-- What is kept is all in agent_runs and issues.
DROP TRIGGER text_runs_of_changed_issue ON issues;
DROP TRIGGER text_changed_run ON agent_runs;
DROP TRIGGER text_new_runs ON agent_runs;
DROP FUNCTION text_runs_of_changed_issue(), text_changed_run(), text_new_runs(), searched_text(text, text, text),
  hour_of(timestamptz);
DROP TABLE agent_run_texts;
