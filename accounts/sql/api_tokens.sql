-- Tokens of the HTTP API.

-- name: grants
-- A tenant makes its tokens and revokes them; what a token may do is fixed once it is made.
GRANT SELECT, INSERT ON api_tokens TO paid_tenant, paid_platform;
GRANT UPDATE (name, revoked_at) ON api_tokens TO paid_tenant, paid_platform;

-- name: use_api_token
-- Who a token speaks for, by its digest; no row when it is unknown, revoked or expired. The caller has no account yet:
-- that is what the token tells. When it was used is written down at most every ten minutes, so that a read stays a read.
CREATE FUNCTION use_api_token(wanted_digest bytea)
RETURNS TABLE (token_id bigint, of_account bigint, name text, scopes text[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  known record;
BEGIN
  SELECT t.id, t.account_id, t.name, t.scopes, t.last_used_at INTO known
  FROM api_tokens t
  WHERE t.digest = wanted_digest AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now());
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF known.last_used_at IS NULL OR known.last_used_at < now() - interval '10 minutes' THEN
    -- Whoever finds the row locked leaves it: another request of this moment writes the same.
    UPDATE api_tokens t SET last_used_at = now()
    FROM (SELECT l.id FROM api_tokens l WHERE l.id = known.id FOR NO KEY UPDATE SKIP LOCKED) free
    WHERE t.id = free.id;
  END IF;
  RETURN QUERY SELECT known.id, known.account_id, known.name::text, known.scopes::text[];
END $$;
REVOKE EXECUTE ON FUNCTION use_api_token(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION use_api_token(bytea) TO paid_tenant;

-- reverse: use_api_token
-- Grants go away with the table.
DROP FUNCTION use_api_token(bytea);
