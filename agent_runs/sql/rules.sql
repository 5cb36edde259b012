-- Runs: the life of a run, rows that must belong to their run, and who may do what.

-- name: agent_run_next_statuses
-- Where a run may go from a status. `agent_runs.models.runs.NEXT_STATUSES` says the same in Python; a test compares.
CREATE FUNCTION agent_run_next_statuses(status text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE status
  WHEN 'queued' THEN ARRAY['preparing', 'failed', 'stopped']
  WHEN 'preparing' THEN ARRAY['running', 'failed', 'stopped']
  WHEN 'running' THEN ARRAY['paused', 'publishing', 'failed', 'stopped']
  WHEN 'paused' THEN ARRAY['running', 'publishing', 'failed', 'stopped']
  WHEN 'publishing' THEN ARRAY['completed', 'failed', 'stopped']
  ELSE ARRAY[]::text[]
END;

-- name: agent_runs_status_machine
-- Trigger: a status changes only along agent_run_next_statuses.
CREATE FUNCTION agent_runs_status_machine() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.status <> ALL (agent_run_next_statuses(OLD.status)) THEN
    RAISE EXCEPTION 'run % cannot go from % to %', OLD.id, OLD.status, NEW.status
      USING ERRCODE = 'check_violation', CONSTRAINT = 'agent_runs_status_machine', TABLE = 'agent_runs';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER agent_runs_status_machine BEFORE UPDATE OF status ON agent_runs FOR EACH ROW
  WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION agent_runs_status_machine();

-- name: agent_runs_frozen
-- Trigger: what identifies a run and partitions its log never changes.
CREATE FUNCTION agent_runs_frozen() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'account, project, issue and time of run % are fixed', OLD.id
    USING ERRCODE = 'check_violation', CONSTRAINT = 'agent_runs_frozen', TABLE = 'agent_runs';
END $$;
CREATE TRIGGER agent_runs_frozen BEFORE UPDATE OF account_id, project_id, issue_id, created_at ON agent_runs FOR EACH ROW
  WHEN ((OLD.account_id, OLD.project_id, OLD.issue_id, OLD.created_at)
        IS DISTINCT FROM (NEW.account_id, NEW.project_id, NEW.issue_id, NEW.created_at))
  EXECUTE FUNCTION agent_runs_frozen();

-- name: rows_belong_to_their_run
-- Statement trigger in place of a foreign key, which partitions that are dropped cannot have: every added row names
-- its run's account and time. One anti-join per statement, so COPY stays fast.
CREATE FUNCTION rows_belong_to_their_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM (SELECT DISTINCT agent_run_id, account_id, run_created_at FROM added) AS row_of
    WHERE NOT EXISTS (
      SELECT FROM agent_runs
      WHERE agent_runs.id = row_of.agent_run_id AND agent_runs.account_id = row_of.account_id
        AND agent_runs.created_at = row_of.run_created_at)
  ) THEN
    RAISE EXCEPTION 'rows for % that do not match account and time of their run', TG_TABLE_NAME
      USING ERRCODE = 'foreign_key_violation', CONSTRAINT = TG_TABLE_NAME || '_belong_to_run', TABLE = TG_TABLE_NAME;
  END IF;
  RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION rows_belong_to_their_run() FROM PUBLIC;
CREATE TRIGGER rows_belong_to_their_run AFTER INSERT ON agent_run_logs REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION rows_belong_to_their_run();

-- name: grants
-- Runs and what they leave are history: nobody deletes them. The log is written by the platform alone.
GRANT SELECT, INSERT, UPDATE ON agent_runs, agent_run_steps, agent_run_diffs TO paid_tenant, paid_platform;
GRANT SELECT, INSERT ON model_selections TO paid_tenant, paid_platform;
GRANT SELECT ON agent_run_logs TO paid_tenant;
GRANT SELECT, INSERT ON agent_run_logs TO paid_platform;

-- reverse: functions
-- Triggers go with their functions.
DROP FUNCTION rows_belong_to_their_run(), agent_runs_frozen(), agent_runs_status_machine() CASCADE;
DROP FUNCTION agent_run_next_statuses(text);
