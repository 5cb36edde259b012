-- name: labels_of_past_projects
-- Projects from before the triggers, ten thousand in a transaction, locked against change meanwhile: a label that is
-- taken away at the same time would else be written behind its back.
DO $$
DECLARE
  first_id bigint := 0;
  last_id bigint;
BEGIN
  LOOP
    SELECT max(id) INTO last_id FROM (SELECT id FROM projects WHERE id > first_id ORDER BY id LIMIT 10000) AS next;
    EXIT WHEN last_id IS NULL;
    PERFORM FROM projects WHERE id > first_id AND id <= last_id ORDER BY id FOR SHARE;
    INSERT INTO project_labels (account_id, project_id, label)
    SELECT p.account_id, p.id, label FROM projects p CROSS JOIN LATERAL unnest(single_labels(p.labels)) AS label
    WHERE p.id > first_id AND p.id <= last_id
    ON CONFLICT DO NOTHING;
    COMMIT;
    first_id := last_id;
  END LOOP;
END
$$;

-- reverse: labels_of_past_projects
-- The rows go away with their table.
SELECT 1;
