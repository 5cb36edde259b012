-- name: labels_of_the_past
-- Issues from before the triggers, ten thousand in a transaction, so that nobody waits long for one of them.
DO $$
DECLARE
  first_id bigint := 0;
  last_id bigint;
BEGIN
  LOOP
    SELECT max(id) INTO last_id FROM (SELECT id FROM issues WHERE id > first_id ORDER BY id LIMIT 10000) AS next;
    EXIT WHEN last_id IS NULL;
    PERFORM label_issues(first_id + 1, last_id);
    COMMIT;
    first_id := last_id;
  END LOOP;
END
$$;

-- reverse: labels_of_the_past
-- The rows go away with their table.
SELECT 1;
