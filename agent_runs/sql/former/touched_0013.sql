-- name: touched_unless_said
-- A settlement says itself when it changed its run, which costs less than the trigger; all else is touched as before,
-- also what is saved with the time at which it was read.
DROP TRIGGER touch_updated_at ON agent_runs;
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON agent_runs FOR EACH ROW
WHEN (NEW.updated_at <= OLD.updated_at) EXECUTE FUNCTION touch_updated_at();

-- reverse: touched_always
-- As every table has it.
DROP TRIGGER touch_updated_at ON agent_runs;
SELECT keep_updated_at('agent_runs');
