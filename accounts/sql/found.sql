-- Searches by array, and accounts by their key.

-- name: github_tokens_with_scopes
-- The running account's tokens that have all the wanted scopes. Served by the index github_tokens_scopes.
CREATE FUNCTION github_tokens_with_scopes(wanted text[]) RETURNS SETOF bigint
-- A plan for the values at hand: with unknown ones the planner guesses, and may read the whole account.
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
BEGIN
  RETURN QUERY SELECT id FROM github_tokens WHERE account_id = acting AND scopes @> wanted::varchar[];
END $$;
REVOKE EXECUTE ON FUNCTION github_tokens_with_scopes(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION github_tokens_with_scopes(text[]) TO paid_tenant;

-- name: accounts_by_key
-- The three policies of accounts come together by OR. With an array in place of IN each arm is a condition on the
-- primary key, and a tenant's read of accounts is three look-ups; with IN it read every account of the installation.
ALTER POLICY mine ON accounts
  USING (id = ANY (ARRAY(SELECT account_id FROM memberships WHERE user_id = (SELECT current_user_id()))));

-- reverse: found
-- The policy as it was, and no search.
ALTER POLICY mine ON accounts
  USING (id IN (SELECT account_id FROM memberships WHERE user_id = (SELECT current_user_id())));
DROP FUNCTION github_tokens_with_scopes(text[]);
