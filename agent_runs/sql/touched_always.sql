-- name: touched_always
-- As every table has it, also for what says when it changed.
DROP TRIGGER touch_updated_at ON agent_runs;
SELECT keep_updated_at('agent_runs');

-- reverse: touched_unless_said
-- A statement that says a later moment than the row has is taken at its word.
DROP TRIGGER touch_updated_at ON agent_runs;
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON agent_runs FOR EACH ROW
WHEN (NEW.updated_at <= OLD.updated_at) EXECUTE FUNCTION touch_updated_at();
