-- Experiments: their life, what is fixed once they have started, and who is held out of all of them.

-- name: is_held_out
-- Whether a subject takes part in no experiment of its account: the same subjects for every experiment.
CREATE FUNCTION is_held_out(of_account bigint, subject text, share numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN share > 0 AND
  ('x' || left(encode(sha256(convert_to('held out:' || of_account || ':' || subject, 'UTF8')), 'hex'), 12))
    ::bit(48)::bigint < share * 281474976710656;
GRANT EXECUTE ON FUNCTION is_held_out(bigint, text, numeric) TO paid_tenant, paid_platform;

-- name: resolve_prompt
-- The version that a subject (an issue) gets of a prompt: nearest scope, then the running experiment's variant, unless
-- the subject is held out of all experiments.
CREATE OR REPLACE FUNCTION resolve_prompt(wanted_account bigint, wanted_project bigint, wanted_slug text, subject text)
RETURNS TABLE (
    prompt_id bigint,
    prompt_version_id bigint,
    version_account_id bigint,
    version integer,
    template text,
    system_prompt text,
    ab_variant_id bigint,
    scope text
)
-- plpgsql keeps the plans of its statements for the session; as an inlined SQL function it would be planned each time.
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY INVOKER SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    nearest record;
    test record;
    digest text;
    chosen_variant bigint;
    chosen_version bigint;
    -- 48 bits of the digest make one draw from [0, 1).
    draws CONSTANT numeric := 281474976710656;
BEGIN
    -- Three look-ups in the unique index of account, project and slug: one condition for all would read every prompt
    -- of the account.
    SELECT found.id, found.scope, found.current_version_id INTO nearest
    FROM (
        SELECT 1 AS distance, p.id, p.scope, p.current_version_id FROM prompts p
        WHERE p.account_id = wanted_account AND p.project_id = wanted_project AND p.slug = wanted_slug
        UNION ALL
        SELECT 2, p.id, p.scope, p.current_version_id FROM prompts p
        WHERE p.account_id = wanted_account AND p.project_id IS NULL AND p.slug = wanted_slug
        UNION ALL
        SELECT 3, p.id, p.scope, p.current_version_id FROM prompts p
        WHERE p.account_id = 0 AND p.project_id IS NULL AND p.slug = wanted_slug
    ) found
    WHERE found.current_version_id IS NOT NULL
    ORDER BY found.distance
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    chosen_version := nearest.current_version_id;

    SELECT t.id, t.salt, t.traffic_share, t.holdout_share INTO test
    FROM ab_tests t
    WHERE t.account_id = wanted_account AND t.prompt_id = nearest.id AND t.status = 'running';
    IF FOUND AND NOT is_held_out(wanted_account, subject, test.holdout_share) THEN
        -- Keyed by the test's salt, so that tests split their subjects independently of each other. The length
        -- goes first: no two pairs of salt and subject make the same bytes.
        digest := encode(sha256(convert_to(length(test.salt) || ':' || test.salt || subject, 'UTF8')), 'hex');
        IF ('x' || left(digest, 12))::bit(48)::bigint < test.traffic_share * draws THEN
            SELECT w.id, w.prompt_version_id INTO chosen_variant, chosen_version
            FROM (
                SELECT v.id, v.prompt_version_id,
                       sum(v.weight) OVER (ORDER BY v.id) AS upto,
                       sum(v.weight) OVER () AS total
                FROM ab_variants v
                WHERE v.ab_test_id = test.id AND v.account_id = wanted_account
            ) w
            WHERE w.upto * draws > ('x' || substr(digest, 13, 12))::bit(48)::bigint * w.total
            ORDER BY w.id
            LIMIT 1;
            chosen_version := coalesce(chosen_version, nearest.current_version_id);
        END IF;
    END IF;

    RETURN QUERY
    SELECT nearest.id, v.id, v.account_id, v.version, v.template, v.system_prompt, chosen_variant, nearest.scope::text
    FROM prompt_versions v
    WHERE v.id = chosen_version;
END
$$;

-- name: ab_tests_life
-- Trigger: an experiment goes from draft to running, rests and goes on, and ends once. What decides about its subjects
-- and its outcome is fixed at the start: a change on the way would make its figures mean nothing.
CREATE FUNCTION ab_tests_life() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
    ('draft', 'running'), ('running', 'paused'), ('paused', 'running'),
    ('running', 'completed'), ('paused', 'completed')
  ) THEN
    RAISE EXCEPTION 'experiment % cannot go from % to %', OLD.id, OLD.status, NEW.status
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ab_tests_life', TABLE = 'ab_tests';
  END IF;
  IF OLD.started_at IS NOT NULL AND
    (OLD.account_id, OLD.prompt_id, OLD.metric, OLD.salt, OLD.traffic_share, OLD.holdout_share, OLD.metric_cap,
     OLD.rule, OLD.started_at) IS DISTINCT FROM
    (NEW.account_id, NEW.prompt_id, NEW.metric, NEW.salt, NEW.traffic_share, NEW.holdout_share, NEW.metric_cap,
     NEW.rule, NEW.started_at)
  THEN
    RAISE EXCEPTION 'experiment % has started: its prompt, metric, shares and rule are fixed', OLD.id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ab_tests_fixed', TABLE = 'ab_tests';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER ab_tests_life BEFORE UPDATE ON ab_tests FOR EACH ROW EXECUTE FUNCTION ab_tests_life();

-- name: ab_variants_fixed
-- Trigger: the variants of an experiment that has started stay as they are. They go away with it.
CREATE FUNCTION ab_variants_fixed() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  test_id bigint := CASE WHEN TG_OP = 'DELETE' THEN OLD.ab_test_id ELSE NEW.ab_test_id END;
BEGIN
  IF EXISTS (SELECT FROM ab_tests t WHERE t.id = test_id AND t.started_at IS NOT NULL) THEN
    RAISE EXCEPTION 'experiment % has started: its variants are fixed', test_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ab_variants_fixed', TABLE = 'ab_variants';
  END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER ab_variants_fixed BEFORE INSERT OR UPDATE OR DELETE ON ab_variants
  FOR EACH ROW EXECUTE FUNCTION ab_variants_fixed();

-- reverse: triggers
-- Triggers go with their functions.
DROP FUNCTION ab_variants_fixed(), ab_tests_life() CASCADE;

-- reverse: resolve_prompt
-- As it was before anybody could be held out.
CREATE OR REPLACE FUNCTION resolve_prompt(wanted_account bigint, wanted_project bigint, wanted_slug text, subject text)
RETURNS TABLE (
    prompt_id bigint,
    prompt_version_id bigint,
    version_account_id bigint,
    version integer,
    template text,
    system_prompt text,
    ab_variant_id bigint,
    scope text
)
-- plpgsql keeps the plans of its statements for the session; as an inlined SQL function it would be planned each time.
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY INVOKER SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    nearest record;
    test record;
    digest text;
    chosen_variant bigint;
    chosen_version bigint;
    -- 48 bits of the digest make one draw from [0, 1).
    draws CONSTANT numeric := 281474976710656;
BEGIN
    -- Three look-ups in the unique index of account, project and slug: one condition for all would read every prompt
    -- of the account.
    SELECT found.id, found.scope, found.current_version_id INTO nearest
    FROM (
        SELECT 1 AS distance, p.id, p.scope, p.current_version_id FROM prompts p
        WHERE p.account_id = wanted_account AND p.project_id = wanted_project AND p.slug = wanted_slug
        UNION ALL
        SELECT 2, p.id, p.scope, p.current_version_id FROM prompts p
        WHERE p.account_id = wanted_account AND p.project_id IS NULL AND p.slug = wanted_slug
        UNION ALL
        SELECT 3, p.id, p.scope, p.current_version_id FROM prompts p
        WHERE p.account_id = 0 AND p.project_id IS NULL AND p.slug = wanted_slug
    ) found
    WHERE found.current_version_id IS NOT NULL
    ORDER BY found.distance
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    chosen_version := nearest.current_version_id;

    SELECT t.id, t.salt, t.traffic_share INTO test
    FROM ab_tests t
    WHERE t.account_id = wanted_account AND t.prompt_id = nearest.id AND t.status = 'running';
    IF FOUND THEN
        -- Keyed by the test's salt, so that tests split their subjects independently of each other. The length
        -- goes first: no two pairs of salt and subject make the same bytes.
        digest := encode(sha256(convert_to(length(test.salt) || ':' || test.salt || subject, 'UTF8')), 'hex');
        IF ('x' || left(digest, 12))::bit(48)::bigint < test.traffic_share * draws THEN
            SELECT w.id, w.prompt_version_id INTO chosen_variant, chosen_version
            FROM (
                SELECT v.id, v.prompt_version_id,
                       sum(v.weight) OVER (ORDER BY v.id) AS upto,
                       sum(v.weight) OVER () AS total
                FROM ab_variants v
                WHERE v.ab_test_id = test.id AND v.account_id = wanted_account
            ) w
            WHERE w.upto * draws > ('x' || substr(digest, 13, 12))::bit(48)::bigint * w.total
            ORDER BY w.id
            LIMIT 1;
            chosen_version := coalesce(chosen_version, nearest.current_version_id);
        END IF;
    END IF;

    RETURN QUERY
    SELECT nearest.id, v.id, v.account_id, v.version, v.template, v.system_prompt, chosen_variant, nearest.scope::text
    FROM prompt_versions v
    WHERE v.id = chosen_version;
END
$$;

-- reverse: is_held_out
-- Nothing uses it any more.
DROP FUNCTION is_held_out(bigint, text, numeric);
