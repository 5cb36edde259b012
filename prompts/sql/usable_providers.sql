-- name: usable_providers
-- The providers for which the running context's account, or the host for everybody, has a key. Tenants may not read
-- the host's keys, so the owner looks, and tells only the names.
CREATE FUNCTION usable_providers() RETURNS TABLE (provider text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT DISTINCT k.provider::text
    FROM provider_keys k
    WHERE k.account_id IN (0, current_account()) AND current_account() IS NOT NULL AND k.revoked_at IS NULL
$$;
REVOKE EXECUTE ON FUNCTION usable_providers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usable_providers() TO paid_tenant, paid_platform;

-- reverse: usable_providers
-- Nothing else depends on it.
DROP FUNCTION usable_providers();
