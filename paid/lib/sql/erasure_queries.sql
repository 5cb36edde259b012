-- Reads and writes of `paid/erasure.py`, as the owner.

-- name: tenant_tables
-- Every table that holds rows of accounts, found by its column: a new table is erased without being named anywhere.
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'account_id' AND NOT attisdropped)
ORDER BY relname

-- name: partitions_of
-- The leaves of a partitioned table; none for a plain one.
SELECT relid::regclass::text FROM pg_partition_tree(to_regclass(%s)) WHERE isleaf AND level > 0

-- name: users_without_account
-- People who belong to no account any longer. They may sign in, and see nothing.
SELECT count(*) FROM users WHERE NOT EXISTS (SELECT FROM memberships WHERE user_id = users.id)
