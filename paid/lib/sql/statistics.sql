-- What the server knows of itself, for the page of operations. The owner may read all statistics (init-db.sql); the
-- platform asks through these functions, and so sees no other database and no statement that could hold a password.

-- name: slowest_statements
-- The statements of this database that took most, by `ordering`: total, mean or calls. Nothing where pg_stat_statements is
-- not there or not loaded. Only statements whose constants are replaced: commands such as ALTER ROLE keep theirs.
CREATE FUNCTION slowest_statements(ordering text, at_most integer)
RETURNS TABLE (query text, role text, calls bigint, total_ms float8, mean_ms float8, max_ms float8, row_count bigint, hit_share float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF to_regclass('public.pg_stat_statements') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY EXECUTE $query$
    SELECT left(regexp_replace(seen.query, '\s+', ' ', 'g'), 4000), seen.userid::regrole::text, seen.calls,
           seen.total_exec_time, seen.mean_exec_time, seen.max_exec_time, seen.rows,
           seen.shared_blks_hit::float8 / nullif(seen.shared_blks_hit + seen.shared_blks_read, 0)
    FROM pg_stat_statements AS seen
    WHERE seen.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND seen.query ~* '^[\s(]*(select|with|insert|update|delete|merge|copy|fetch|<)'
    ORDER BY CASE $1 WHEN 'mean' THEN seen.mean_exec_time WHEN 'calls' THEN seen.calls ELSE seen.total_exec_time END DESC
    LIMIT $2 $query$ USING ordering, at_most;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
  RETURN;
END $$;

-- name: replication_states
-- Who streams from this server: its name, how it is, and how far behind in bytes and seconds.
CREATE FUNCTION replication_states()
RETURNS TABLE (name text, address text, state text, behind_bytes bigint, behind_seconds float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT application_name, coalesce(host(client_addr), 'socket'), state,
         pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint, extract(epoch FROM replay_lag)::float8
  FROM pg_stat_replication WHERE state <> 'backup' ORDER BY application_name, pid
$$;

-- name: who_may_call
-- The page of operations is for the host's staff, who act as the platform.
REVOKE EXECUTE ON FUNCTION slowest_statements(text, integer), replication_states() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slowest_statements(text, integer), replication_states() TO paid_platform;

-- reverse: statistics
-- Drops what this file made.
DROP FUNCTION replication_states(), slowest_statements(text, integer);
