-- Starts of runs that programs asked for under a key of their own.

-- name: grants
-- A tenant writes what it asked down, once; only retention takes it away.
GRANT SELECT, INSERT ON run_requests TO paid_tenant, paid_platform;
GRANT DELETE ON run_requests TO paid_platform;
