-- Reads of `paid/lib/partitions.py`.

-- name: missing_partitions
-- What is not there yet: from the present period to as many ahead as the table wants, and the first periods of rows that
-- fell into the default partition.
SELECT wanted.name, period.starts_at
FROM partitioned_tables AS wanted
CROSS JOIN LATERAL (
    SELECT generate_series(date_trunc(wanted.unit, now(), 'UTC'),
                           date_trunc(wanted.unit, now(), 'UTC') + wanted.ahead * ('1 ' || wanted.unit)::interval,
                           ('1 ' || wanted.unit)::interval)
    UNION
    SELECT default_partition_periods(wanted.name, %s)
) AS period (starts_at)
WHERE NOT EXISTS (SELECT FROM partitions WHERE partitions.parent = wanted.name AND partitions.starts_at = period.starts_at)
ORDER BY wanted.name, period.starts_at

-- name: unexpected_rows
-- Default partitions that hold rows.
SELECT name, default_partition_rows(name) FROM partitioned_tables WHERE default_partition_rows(name) > 0 ORDER BY name

-- name: expired_partitions
-- What its table does not keep any longer, and what was detached and not dropped yet; oldest first.
SELECT partitions.parent, partitions.name, partitions.ends_at, partitions.estimated_rows, partitions.bytes, false AS is_detached
FROM partitions JOIN partitioned_tables ON partitioned_tables.name = partitions.parent
WHERE partitions.ends_at <= now() - partitioned_tables.keep
UNION ALL
SELECT detached_partitions.parent, detached_partitions.name, detached_partitions.ends_at,
       greatest(pg_class.reltuples, 0)::bigint, pg_total_relation_size(pg_class.oid), true
FROM detached_partitions JOIN pg_class ON pg_class.oid = to_regclass(format('public.%I', detached_partitions.name))
ORDER BY 1, 3

-- name: unbuilt_indexes
-- Indexes that closed partitions should have and have not, the smallest partition first.
SELECT parent, partition, index_name, definition, estimated_rows, is_broken
FROM partition_index_states WHERE NOT is_built ORDER BY estimated_rows, partition, index_name

-- name: partition_summary
-- One line for each partitioned table, for the page of operations.
SELECT wanted.name, wanted.unit, extract(day FROM wanted.keep)::integer, count(*) FILTER (WHERE NOT partitions.is_default),
       min(partitions.starts_at), max(partitions.ends_at), coalesce(sum(partitions.estimated_rows), 0)::bigint,
       coalesce(sum(partitions.bytes), 0)::bigint, default_partition_rows(wanted.name)
FROM partitioned_tables AS wanted LEFT JOIN partitions ON partitions.parent = wanted.name
GROUP BY wanted.name, wanted.unit, wanted.keep ORDER BY wanted.name
