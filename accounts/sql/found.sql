-- Searches by array, and accounts by their key.

-- name: github_tokens_with_scopes
-- The running account's tokens that have all the wanted scopes: all of them, or the `newest` that came last. The newest of
-- one scope are served by github_token_scopes_newest, of several by github_tokens_scopes or, where many are, by a walk back
-- along github_tokens_tenant_key. A plan for the values at hand: with unknown ones the planner guesses, and may read the whole account.
CREATE FUNCTION github_tokens_with_scopes(wanted text[], newest integer) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
BEGIN
  IF newest IS NULL THEN
    RETURN QUERY SELECT id FROM github_tokens WHERE account_id = acting AND scopes @> wanted::varchar[];
  ELSIF cardinality(wanted) = 1 AND wanted[1] IS NOT NULL THEN
    RETURN QUERY
    SELECT token_id FROM github_token_scopes WHERE account_id = acting AND scope = wanted[1]
    ORDER BY token_id DESC LIMIT newest;
  ELSE
    RETURN QUERY
    SELECT id FROM github_tokens WHERE account_id = acting AND scopes @> wanted::varchar[]
    ORDER BY account_id DESC, id DESC LIMIT newest;
  END IF;
END $$;
REVOKE EXECUTE ON FUNCTION github_tokens_with_scopes(text[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION github_tokens_with_scopes(text[], integer) TO paid_tenant;

-- name: accounts_by_key
-- The three policies of accounts come together by OR. With an array in place of IN each arm is a condition on the
-- primary key, and a tenant's read of accounts is three look-ups; with IN it read every account of the installation.
ALTER POLICY mine ON accounts
  USING (id = ANY (ARRAY(SELECT account_id FROM memberships WHERE user_id = (SELECT current_user_id()))));

-- reverse: found
-- The policy as it was, and no search.
ALTER POLICY mine ON accounts
  USING (id IN (SELECT account_id FROM memberships WHERE user_id = (SELECT current_user_id())));
DROP FUNCTION github_tokens_with_scopes(text[], integer);
