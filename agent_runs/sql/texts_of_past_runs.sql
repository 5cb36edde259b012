-- name: texts_of_past_runs
-- Runs from before the triggers, two thousand in a transaction. Their issues are locked meanwhile, as by whoever changes a
-- text: a title or an error that comes at the same time would else be written behind its back.
DO $$
DECLARE
  first_id bigint := 0;
  last_id bigint;
BEGIN
  LOOP
    SELECT max(id) INTO last_id FROM (SELECT id FROM agent_runs WHERE id > first_id ORDER BY id LIMIT 2000) AS next;
    EXIT WHEN last_id IS NULL;
    PERFORM FROM issues WHERE id IN (SELECT issue_id FROM agent_runs WHERE id > first_id AND id <= last_id)
    ORDER BY id FOR SHARE;
    INSERT INTO agent_run_texts (account_id, run_id, run_created_at, hour, body)
    SELECT r.account_id, r.id, r.created_at, hour_of(r.created_at), searched_text(title, branch, error)
    FROM agent_runs r JOIN issues ON issues.id = r.issue_id
    WHERE r.id > first_id AND r.id <= last_id
    ON CONFLICT DO NOTHING;
    COMMIT;
    first_id := last_id;
  END LOOP;
END
$$;

-- reverse: texts_of_past_runs
-- The rows go away with their table.
SELECT 1;
