-- name: scopes_of_past_tokens
-- Tokens from before the triggers, ten thousand in a transaction, locked against change meanwhile: a scope that is
-- taken away at the same time would else be written behind its back.
DO $$
DECLARE
  first_id bigint := 0;
  last_id bigint;
BEGIN
  LOOP
    SELECT max(id) INTO last_id FROM (SELECT id FROM github_tokens WHERE id > first_id ORDER BY id LIMIT 10000) AS next;
    EXIT WHEN last_id IS NULL;
    PERFORM FROM github_tokens WHERE id > first_id AND id <= last_id ORDER BY id FOR SHARE;
    INSERT INTO github_token_scopes (account_id, token_id, scope)
    SELECT t.account_id, t.id, scope FROM github_tokens t CROSS JOIN LATERAL unnest(t.scopes) AS scope
    WHERE t.id > first_id AND t.id <= last_id AND scope IS NOT NULL
    ON CONFLICT DO NOTHING;
    COMMIT;
    first_id := last_id;
  END LOOP;
END
$$;

-- reverse: scopes_of_past_tokens
-- The rows go away with their table.
SELECT 1;
