-- Searches by label and setting. Each takes a plan for the values at hand: with unknown ones the planner guesses.

-- name: projects_labelled
-- The running account's projects with all the wanted labels. Served by the index projects_labels.
CREATE FUNCTION projects_labelled(wanted jsonb) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
BEGIN
  RETURN QUERY SELECT id FROM projects WHERE account_id = acting AND labels @> wanted;
END $$;

-- name: projects_with_settings
-- The running account's projects with all the wanted settings. Served by the index projects_settings.
CREATE FUNCTION projects_with_settings(wanted jsonb) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
BEGIN
  RETURN QUERY SELECT id FROM projects WHERE account_id = acting AND settings @> wanted;
END $$;

-- name: issues_labelled
-- The running account's issues with all the wanted labels: all of them, or the `newest` that came last, for which the
-- planner walks back from the newest where the label is common. Served by issues_labels and issues_tenant_key.
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
REVOKE EXECUTE ON FUNCTION projects_labelled(jsonb), projects_with_settings(jsonb), issues_labelled(jsonb, integer)
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION projects_labelled(jsonb), projects_with_settings(jsonb), issues_labelled(jsonb, integer)
  TO paid_tenant;

-- reverse: found
-- Nothing else depends on them.
DROP FUNCTION issues_labelled(jsonb, integer), projects_with_settings(jsonb), projects_labelled(jsonb);
