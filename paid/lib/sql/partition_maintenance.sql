-- Partitions that leave: detached under a lock of milliseconds, dropped afterwards. And indexes of closed ones.

-- name: detached_partitions
-- What was detached and is not dropped yet: a process that dies in between leaves its row here, and the next one goes on.
CREATE TABLE detached_partitions (
  name text PRIMARY KEY,
  parent text NOT NULL,
  ends_at timestamptz NOT NULL,
  detached_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON detached_partitions TO paid_platform;

-- name: detach_partition
-- Detaches one partition that is older than its table keeps; raises for any other. The lock on the parent is asked for
-- first and for 50 ms at most: whoever reads meanwhile waits behind this request, and not longer.
CREATE FUNCTION detach_partition(parent_name text, partition_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '50ms' AS $$
DECLARE
  upper_bound timestamptz;
BEGIN
  SELECT partitions.ends_at INTO upper_bound FROM partitions
  JOIN partitioned_tables ON partitioned_tables.name = partitions.parent
  WHERE partitions.parent = parent_name AND partitions.name = partition_name
    AND partitions.ends_at <= now() - partitioned_tables.keep;
  IF NOT FOUND THEN
    RAISE EXCEPTION '% is not a partition of % that may be dropped', partition_name, parent_name
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent_name);
  EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent_name, partition_name);
  INSERT INTO detached_partitions (name, parent, ends_at) VALUES (partition_name, parent_name, upper_bound);
END $$;

-- name: drop_partition
-- Drops one partition that was detached before; raises for any other table.
CREATE OR REPLACE FUNCTION drop_partition(parent_name text, partition_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
BEGIN
  DELETE FROM detached_partitions WHERE parent = parent_name AND name = partition_name;
  IF NOT FOUND THEN
    RAISE EXCEPTION '% is not a detached partition of % that may be dropped', partition_name, parent_name
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  EXECUTE format('DROP TABLE %I', partition_name);
END $$;

-- name: short_locks
-- A request for a lock that waits makes readers wait behind it: all of these give up after 50 ms and are tried again.
ALTER FUNCTION create_partition(text, timestamptz) SET lock_timeout = '50ms';
ALTER FUNCTION create_partitions(text, timestamptz, timestamptz) SET lock_timeout = '50ms';

-- name: partition_indexes
-- Indexes that a partition gets once it is closed, so that the open one does not pay for them with every row. `definition`
-- is what stands behind CREATE INDEX … ON partition. `settle` is how long after its end rows may still arrive.
CREATE TABLE partition_indexes (
  parent text NOT NULL REFERENCES partitioned_tables (name) ON UPDATE CASCADE ON DELETE CASCADE,
  suffix text NOT NULL CHECK (suffix ~ '^[a-z][a-z0-9_]{0,19}$'),
  definition text NOT NULL CHECK (definition LIKE 'USING %'),
  settle interval NOT NULL DEFAULT interval '1 day' CHECK (settle >= interval '0'),
  PRIMARY KEY (parent, suffix)
);
GRANT SELECT ON partition_indexes TO paid_platform;

-- name: partition_index_states
-- Every index that a closed partition should have: whether it is there, or was left invalid by a build that broke off.
CREATE VIEW partition_index_states WITH (security_invoker = true) AS
SELECT partitions.parent,
       partitions.name AS partition,
       partitions.name || '_' || wanted.suffix AS index_name,
       wanted.definition,
       partitions.estimated_rows,
       coalesce(pg_index.indisvalid, false) AS is_built,
       pg_index.indexrelid IS NOT NULL AND NOT pg_index.indisvalid AS is_broken
FROM partition_indexes AS wanted
JOIN partitions ON partitions.parent = wanted.parent AND partitions.ends_at <= now() - wanted.settle
LEFT JOIN pg_index ON pg_index.indexrelid = to_regclass(format('public.%I', partitions.name || '_' || wanted.suffix));
GRANT SELECT ON partition_index_states TO paid_platform;

-- name: who_may_call
-- The platform detaches; everybody else has no part in it.
REVOKE EXECUTE ON FUNCTION detach_partition(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION detach_partition(text, text) TO paid_platform;

-- reverse: partition_maintenance
-- drop_partition detaches and drops in one step again.
DROP VIEW partition_index_states;
DROP TABLE partition_indexes;
ALTER FUNCTION create_partitions(text, timestamptz, timestamptz) SET lock_timeout = '2s';
ALTER FUNCTION create_partition(text, timestamptz) SET lock_timeout = '2s';
CREATE OR REPLACE FUNCTION drop_partition(parent_name text, partition_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
BEGIN
  PERFORM FROM partitions
  JOIN partitioned_tables ON partitioned_tables.name = partitions.parent
  WHERE partitions.parent = parent_name AND partitions.name = partition_name
    AND partitions.ends_at <= now() - partitioned_tables.keep;
  IF NOT FOUND THEN
    RAISE EXCEPTION '% is not a partition of % that may be dropped', partition_name, parent_name
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent_name, partition_name);
  EXECUTE format('DROP TABLE %I', partition_name);
END $$;
DROP FUNCTION detach_partition(text, text);
DROP TABLE detached_partitions;
