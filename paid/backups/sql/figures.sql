-- name: tables
-- Every table of ours; a partitioned one once, not its partitions.
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
ORDER BY relname

-- name: ledger
-- The sum of the ledger in all its digits.
SELECT coalesce(sum(cost_usd), 0)::text FROM token_usages

-- name: partition_key
-- The column that a table is partitioned by.
SELECT attname::text FROM pg_partitioned_table JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
WHERE partrelid = to_regclass(format('public.%%I', %s::text))

-- name: drift
-- How many daily sums differ from the ledger that they are kept from: 0 at every moment of a sound database. An account's
-- erasure takes its sums first and its ledger afterwards, batch by batch.
SELECT count(*) FROM usage_daily_drift() AS drift
WHERE NOT EXISTS (SELECT FROM audit_events AS event
                  WHERE event.account_id = 0 AND event.object_type = 'account'
                    AND event.action IN ('account.erasure_began', 'account.erased')
                    AND event.object_id = drift.account_id::text)

-- name: erased_accounts
-- The accounts that the audit log of account 0 says were erased, or half of it, and that are not there.
SELECT DISTINCT object_id FROM audit_events
WHERE account_id = 0 AND object_type = 'account' AND action IN ('account.erasure_began', 'account.erased')
  AND NOT EXISTS (SELECT FROM accounts WHERE accounts.id::text = object_id)

-- name: retention
-- Before which month retention may drop one, for each table that does not keep everything.
SELECT name, to_char((now() - keep) AT TIME ZONE 'UTC', 'YYYY-MM') FROM partitioned_tables WHERE keep IS NOT NULL

-- name: partitioned_months
-- The months that still have their partition.
SELECT parent, to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM') FROM partitions WHERE NOT is_default

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
