-- name: resolve_prompt
-- The version that a subject (an issue) gets of a prompt: nearest scope, then the running experiment's variant.
CREATE FUNCTION resolve_prompt(wanted_account bigint, wanted_project bigint, wanted_slug text, subject text)
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
    nearest prompts;
    test ab_tests;
    digest text;
    chosen_variant bigint;
    chosen_version bigint;
    -- 48 bits of the digest make one draw from [0, 1).
    draws CONSTANT numeric := 281474976710656;
BEGIN
    SELECT p.* INTO nearest
    FROM prompts p
    WHERE p.slug = wanted_slug
      AND p.account_id IN (wanted_account, 0)
      AND (p.project_id IS NULL OR p.project_id = wanted_project)
      AND p.current_version_id IS NOT NULL
    ORDER BY p.project_id NULLS LAST, p.account_id DESC
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    chosen_version := nearest.current_version_id;

    SELECT t.* INTO test
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
GRANT EXECUTE ON FUNCTION resolve_prompt(bigint, bigint, text, text) TO paid_tenant, paid_platform;

-- reverse: resolve_prompt
-- Nothing else depends on it.
DROP FUNCTION resolve_prompt(bigint, bigint, text, text);
