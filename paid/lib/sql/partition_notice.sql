-- A partition that leaves is noted before it does: what has to be kept of its rows is kept by a trigger on
-- `detached_partitions`, in the same transaction, while the rows can still be read and before anybody is held up.

-- name: detach_partition
-- Detaches one partition that is older than its table keeps; raises for any other. The lock on the parent is asked for
-- when all else is done and for 50 ms at most: whoever reads meanwhile waits behind this request, and not longer.
CREATE OR REPLACE FUNCTION detach_partition(parent_name text, partition_name text) RETURNS void
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
  INSERT INTO detached_partitions (name, parent, ends_at) VALUES (partition_name, parent_name, upper_bound);
  EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent_name);
  EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent_name, partition_name);
END $$;

-- reverse: detach_partition
-- It is noted afterwards again.
CREATE OR REPLACE FUNCTION detach_partition(parent_name text, partition_name text) RETURNS void
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
