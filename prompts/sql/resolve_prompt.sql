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
GRANT EXECUTE ON FUNCTION resolve_prompt(bigint, bigint, text, text) TO paid_tenant, paid_platform;

-- reverse: resolve_prompt
-- Nothing else depends on it.
DROP FUNCTION resolve_prompt(bigint, bigint, text, text);
