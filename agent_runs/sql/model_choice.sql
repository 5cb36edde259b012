-- The meta-agent: a run's model may still change while the run waits, and what was written about the choice with it.

-- name: agent_runs_model_frozen
-- Trigger: once a run has begun its model never changes: what it costs and what it is worth are counted for that one.
CREATE FUNCTION agent_runs_model_frozen() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'the model of run %, which has begun, is fixed', OLD.id
    USING ERRCODE = 'check_violation', CONSTRAINT = 'agent_runs_model_frozen', TABLE = 'agent_runs';
END $$;
CREATE TRIGGER agent_runs_model_frozen BEFORE UPDATE OF language_model_id, model_account_id ON agent_runs FOR EACH ROW
  WHEN (OLD.status <> 'queued' AND (OLD.language_model_id, OLD.model_account_id)
        IS DISTINCT FROM (NEW.language_model_id, NEW.model_account_id))
  EXECUTE FUNCTION agent_runs_model_frozen();

-- name: grants
-- Questions are history: nobody deletes them. Which run a selection is about stays as it was written.
GRANT SELECT, INSERT, UPDATE ON model_questions TO paid_tenant, paid_platform;
GRANT UPDATE (model_account_id, language_model_id, selected_by, candidates, reason)
  ON model_selections TO paid_tenant, paid_platform;

-- reverse: model_choice
-- The trigger goes with its function, the question's grants with their table.
REVOKE UPDATE (model_account_id, language_model_id, selected_by, candidates, reason)
  ON model_selections FROM paid_tenant, paid_platform;
DROP FUNCTION agent_runs_model_frozen() CASCADE;
