-- Reads of `paid/lib/replicas.py`.

-- name: replica_state
-- Asked on a replica: whether it is one, whether it hears its primary, whether it has replayed the reader's last write and
-- what the primary had a while ago, and how many seconds it is behind what it has received. What was received and
-- replayed whole is not behind, however long the primary has been idle.
SELECT pg_is_in_recovery(),
       EXISTS (SELECT FROM pg_stat_wal_receiver),
       coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false),
       coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false),
       CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0) END::float8

-- name: primary_position
-- Asked on the primary after a commit: whoever has replayed up to here has that commit.
SELECT pg_current_wal_insert_lsn()::text

-- name: primary_flushed
-- Asked on the primary now and then: what a replica can have received by now. Unlike the place of the next record, it is
-- the end of one, which a replica reaches also when nothing follows.
SELECT pg_current_wal_flush_lsn()::text
