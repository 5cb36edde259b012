-- The newest versions that use some variables, where every one of many does: beside prompt_versions_using, which gives all.

-- name: newest_versions_using
-- The `newest` of the versions, of the running account and global, whose texts use all the wanted variables. Those of one
-- variable are served by prompt_version_variables_newest, of several by prompt_versions_variables or, where many do, by a
-- walk back along prompt_versions_tenant_key. A plan for the values at hand: with unknown ones the planner guesses, and
-- may read the whole account.
CREATE FUNCTION newest_versions_using(wanted jsonb, newest integer) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
BEGIN
  IF acting IS NULL THEN
    RETURN;
  END IF;
  IF wanted = to_jsonb(variable_names(wanted)) AND jsonb_array_length(wanted) = 1 THEN
    RETURN QUERY
    SELECT found.version_id FROM (
      (SELECT version_id FROM prompt_version_variables WHERE account_id = acting AND variable = wanted ->> 0
       ORDER BY version_id DESC LIMIT newest)
      UNION
      (SELECT version_id FROM prompt_version_variables WHERE account_id = 0 AND variable = wanted ->> 0
       ORDER BY version_id DESC LIMIT newest)) AS found
    ORDER BY found.version_id DESC LIMIT newest;
    RETURN;
  END IF;
  RETURN QUERY
  SELECT found.id FROM (
    (SELECT id FROM prompt_versions WHERE account_id = acting AND variables @> wanted
     ORDER BY account_id DESC, id DESC LIMIT newest)
    UNION
    (SELECT id FROM prompt_versions WHERE account_id = 0 AND variables @> wanted
     ORDER BY account_id DESC, id DESC LIMIT newest)) AS found
  ORDER BY found.id DESC LIMIT newest;
END $$;

-- name: newest_using_grants
-- For tenants: the platform, which no policy keeps from an index, asks the table.
REVOKE EXECUTE ON FUNCTION newest_versions_using(jsonb, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION newest_versions_using(jsonb, integer) TO paid_tenant;

-- reverse: newest_using
-- Nothing else depends on it.
DROP FUNCTION newest_versions_using(jsonb, integer);
