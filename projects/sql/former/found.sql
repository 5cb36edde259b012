-- Searches by label and setting: all rows of the running account that are asked for, or the `newest` that came last, for
-- which the planner walks back from the newest where many are. Each takes a plan for the values at hand: with unknown
-- ones the planner guesses.

-- name: projects_labelled
-- The running account's projects with all the wanted labels. Served by projects_labels and projects_tenant_key.
CREATE FUNCTION projects_labelled(wanted jsonb, newest integer) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
BEGIN
  IF newest IS NULL THEN
    RETURN QUERY SELECT id FROM projects WHERE account_id = acting AND labels @> wanted;
  ELSE
    RETURN QUERY
    SELECT id FROM projects WHERE account_id = acting AND labels @> wanted
    ORDER BY account_id DESC, id DESC LIMIT newest;
  END IF;
END $$;

-- name: projects_with_settings
-- The running account's projects with all the wanted settings. Served by projects_settings and projects_tenant_key.
CREATE FUNCTION projects_with_settings(wanted jsonb, newest integer) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
BEGIN
  IF newest IS NULL THEN
    RETURN QUERY SELECT id FROM projects WHERE account_id = acting AND settings @> wanted;
  ELSE
    RETURN QUERY
    SELECT id FROM projects WHERE account_id = acting AND settings @> wanted
    ORDER BY account_id DESC, id DESC LIMIT newest;
  END IF;
END $$;

-- name: issues_labelled
-- The running account's issues with all the wanted labels. Served by issues_labels and issues_tenant_key.
CREATE FUNCTION issues_labelled(wanted jsonb, newest integer) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
BEGIN
  IF newest IS NULL THEN
    RETURN QUERY SELECT id FROM issues WHERE account_id = acting AND labels @> wanted;
  ELSE
    RETURN QUERY
    SELECT id FROM issues WHERE account_id = acting AND labels @> wanted ORDER BY account_id DESC, id DESC LIMIT newest;
  END IF;
END $$;

-- name: found_grants
-- For tenants: the platform, which no policy keeps from an index, asks the tables.
REVOKE EXECUTE ON FUNCTION projects_labelled(jsonb, integer), projects_with_settings(jsonb, integer),
  issues_labelled(jsonb, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION projects_labelled(jsonb, integer), projects_with_settings(jsonb, integer),
  issues_labelled(jsonb, integer) TO paid_tenant;

-- reverse: found
-- Nothing else depends on them.
DROP FUNCTION issues_labelled(jsonb, integer), projects_with_settings(jsonb, integer), projects_labelled(jsonb, integer);
