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

-- name: newest_issues_labelled
-- The newest issues of an account with all of these labels, along issue_labels. Of several it walks the one that reaches
-- furthest back for as many, which is the rarest lately, and looks each issue up for the others. NULL: a thousand were
-- not enough, so the labels are common and seldom together, and another way is shorter.
CREATE FUNCTION newest_issues_labelled(acting bigint, names text[], newest integer) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  most constant integer := 1000;
  rarest text := names[1];
  found bigint[];
BEGIN
  IF cardinality(names) = 1 THEN
    RETURN ARRAY(
      SELECT issue_id FROM issue_labels WHERE account_id = acting AND label = rarest
      ORDER BY issue_id DESC LIMIT newest);
  END IF;
  SELECT name INTO rarest
  FROM unnest(names) AS name LEFT JOIN LATERAL (
    SELECT issue_id FROM issue_labels WHERE account_id = acting AND label = name
    ORDER BY issue_id DESC OFFSET greatest(newest, 1) - 1 LIMIT 1) AS reached ON true
  ORDER BY issue_id NULLS FIRST LIMIT 1;
  found := ARRAY(
    SELECT walk.issue_id
    FROM (SELECT issue_id FROM issue_labels WHERE account_id = acting AND label = rarest
          ORDER BY issue_id DESC LIMIT most) AS walk
    WHERE (SELECT count(*) FROM issue_labels one
           WHERE one.account_id = acting AND one.issue_id = walk.issue_id AND one.label = ANY (names)) = cardinality(names)
    LIMIT newest);
  IF cardinality(found) < newest AND EXISTS (
    SELECT FROM issue_labels WHERE account_id = acting AND label = rarest ORDER BY issue_id DESC OFFSET most LIMIT 1)
  THEN
    RETURN NULL;
  END IF;
  RETURN found;
END $$;

-- name: issues_labelled
-- The running account's issues with all the wanted labels, or the `newest` of them. All are served by issues_labels, the
-- newest by issue_labels_newest.
CREATE FUNCTION issues_labelled(wanted jsonb, newest integer) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
  names text[] := label_names(wanted);
  found bigint[];
BEGIN
  IF newest IS NULL THEN
    RETURN QUERY SELECT id FROM issues WHERE account_id = acting AND labels @> wanted;
    RETURN;
  END IF;
  IF names <> '{}' THEN
    found := newest_issues_labelled(acting, names, newest);
  END IF;
  IF found IS NULL THEN
    RETURN QUERY
    SELECT id FROM issues WHERE account_id = acting AND labels @> wanted ORDER BY account_id DESC, id DESC LIMIT newest;
  ELSE
    RETURN QUERY SELECT unnest(found);
  END IF;
END $$;

-- name: found_grants
-- For tenants: the platform, which no policy keeps from an index, asks the tables.
REVOKE EXECUTE ON FUNCTION projects_labelled(jsonb, integer), projects_with_settings(jsonb, integer),
  issues_labelled(jsonb, integer), newest_issues_labelled(bigint, text[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION projects_labelled(jsonb, integer), projects_with_settings(jsonb, integer),
  issues_labelled(jsonb, integer) TO paid_tenant;

-- reverse: found
-- Nothing else depends on them.
DROP FUNCTION issues_labelled(jsonb, integer), newest_issues_labelled(bigint, text[], integer),
  projects_with_settings(jsonb, integer), projects_labelled(jsonb, integer);
