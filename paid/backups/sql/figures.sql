-- name: tables
-- Every table of ours; a partitioned one once, not its partitions.
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
ORDER BY relname

-- name: ledger
-- The sum of the ledger in all its digits.
SELECT coalesce(sum(cost_usd), 0)::text FROM token_usages

-- name: drift
-- How many daily sums differ from the ledger that they are kept from: 0 at every moment of a sound database.
SELECT count(*) FROM usage_daily_drift()

-- name: server
-- What a backup must say of its server; refused tablespaces are those beside pg_default and pg_global.
SELECT current_setting('server_version_num')::int,
       current_setting('server_version'),
       (SELECT system_identifier::text FROM pg_control_system()),
       pg_size_bytes(current_setting('wal_segment_size')),
       (SELECT rolname::text FROM pg_roles WHERE oid = 10),
       current_database()::text,
       current_setting('archive_mode') <> 'off',
       (SELECT count(*) FROM pg_tablespace) - 2,
       clock_timestamp()
