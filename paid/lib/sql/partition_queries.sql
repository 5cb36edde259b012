-- Reads of `paid/lib/partitions.py`.

-- name: missing_partitions
-- What is not there yet, from the present period to as many ahead as the table wants.
SELECT wanted.name, period.starts_at
FROM partitioned_tables AS wanted
CROSS JOIN LATERAL generate_series(date_trunc(wanted.unit, now(), 'UTC'),
                                   date_trunc(wanted.unit, now(), 'UTC') + wanted.ahead * ('1 ' || wanted.unit)::interval,
                                   ('1 ' || wanted.unit)::interval) AS period (starts_at)
WHERE NOT EXISTS (SELECT FROM partitions WHERE partitions.parent = wanted.name AND partitions.starts_at = period.starts_at)
ORDER BY wanted.name, period.starts_at

-- name: unexpected_rows
-- Default partitions that hold rows.
SELECT name, default_partition_rows(name) FROM partitioned_tables WHERE default_partition_rows(name) > 0 ORDER BY name

-- name: expired_partitions
-- What its table does not keep any longer, oldest first.
SELECT partitions.parent, partitions.name, partitions.ends_at, partitions.estimated_rows, partitions.bytes
FROM partitions JOIN partitioned_tables ON partitioned_tables.name = partitions.parent
WHERE partitions.ends_at <= now() - partitioned_tables.keep
ORDER BY partitions.parent, partitions.ends_at
