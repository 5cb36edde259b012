-- name: variables_of_past_versions
-- Versions from before the trigger, ten thousand in a transaction. None changes meanwhile; one that is deleted is kept
-- from it by its foreign key.
DO $$
DECLARE
  first_id bigint := 0;
  last_id bigint;
BEGIN
  LOOP
    SELECT max(id) INTO last_id FROM (SELECT id FROM prompt_versions WHERE id > first_id ORDER BY id LIMIT 10000) AS next;
    EXIT WHEN last_id IS NULL;
    PERFORM FROM prompt_versions WHERE id > first_id AND id <= last_id ORDER BY id FOR KEY SHARE;
    INSERT INTO prompt_version_variables (account_id, version_id, variable)
    SELECT v.account_id, v.id, variable
    FROM prompt_versions v CROSS JOIN LATERAL unnest(variable_names(v.variables)) AS variable
    WHERE v.id > first_id AND v.id <= last_id
    ON CONFLICT DO NOTHING;
    COMMIT;
    first_id := last_id;
  END LOOP;
END
$$;

-- reverse: variables_of_past_versions
-- The rows go away with their table.
SELECT 1;
