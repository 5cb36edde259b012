-- Partitions by range of a timestamp, in UTC: made ahead of time, dropped whole. Called by the platform, done as the owner.

-- name: partitioned_tables
-- Which tables are partitioned and how: the one place that says so. `keep` NULL keeps everything.
CREATE TABLE partitioned_tables (
  name text PRIMARY KEY,
  unit text NOT NULL CHECK (unit IN ('day', 'month')),
  ahead integer NOT NULL CHECK (ahead BETWEEN 1 AND 400),
  keep interval CHECK (keep >= interval '1 day')
);
GRANT SELECT ON partitioned_tables TO paid_platform;

-- name: partitions
-- Every partition with its range. The default partition has no range.
CREATE VIEW partitions WITH (security_invoker = true) AS
SELECT parent.relname::text AS parent,
       child.relname::text AS name,
       pg_get_expr(child.relpartbound, child.oid) = 'DEFAULT' AS is_default,
       bounds.found[1]::timestamptz AS starts_at,
       bounds.found[2]::timestamptz AS ends_at,
       greatest(child.reltuples, 0)::bigint AS estimated_rows,
       pg_total_relation_size(child.oid) AS bytes
FROM partitioned_tables
JOIN pg_class parent ON parent.oid = to_regclass('public.' || quote_ident(partitioned_tables.name))
JOIN pg_inherits ON pg_inherits.inhparent = parent.oid
JOIN pg_class child ON child.oid = pg_inherits.inhrelid
LEFT JOIN LATERAL regexp_match(pg_get_expr(child.relpartbound, child.oid),
                               '^FOR VALUES FROM \(''([^'']+)''\) TO \(''([^'']+)''\)$') AS bounds (found) ON true;
GRANT SELECT ON partitions TO paid_platform;

-- name: create_partition
-- One partition of a registered table that holds `moment`; false when it is there already.
-- Rows of its range that went to the default partition are moved over, so that it can be attached.
CREATE FUNCTION create_partition(parent_name text, moment timestamptz) RETURNS boolean
LANGUAGE plpgsql SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
  partition_unit text := (SELECT unit FROM partitioned_tables WHERE name = parent_name);
  lower_bound timestamptz := date_trunc(partition_unit, moment, 'UTC');
  upper_bound timestamptz := lower_bound + ('1 ' || partition_unit)::interval;
  partition_name text := parent_name || '_p'
    || to_char(lower_bound, CASE partition_unit WHEN 'day' THEN 'YYYYMMDD' ELSE 'YYYYMM' END);
  default_name text := parent_name || '_default';
  has_strays boolean;
BEGIN
  IF partition_unit IS NULL THEN
    RAISE EXCEPTION '% is not a partitioned table of ours', parent_name USING ERRCODE = 'undefined_table';
  END IF;
  IF to_regclass(format('public.%I', partition_name)) IS NOT NULL THEN
    RETURN false;
  END IF;
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition_name, parent_name);
  -- The owner reads every row: a policy that hid rows here would leave them behind.
  EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= $1 AND %2$I < $2)', default_name, partition_key(parent_name))
    INTO has_strays USING lower_bound, upper_bound;
  IF has_strays THEN
    -- A detached table has no row triggers of its parent, so that also append-only rows can be moved.
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent_name, default_name);
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE %I >= $1 AND %2$I < $2 RETURNING *) INSERT INTO %I SELECT * FROM moved',
                   default_name, partition_key(parent_name), partition_name) USING lower_bound, upper_bound;
  END IF;
  EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                 parent_name, partition_name, lower_bound, upper_bound);
  IF has_strays THEN
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I DEFAULT', parent_name, default_name);
  END IF;
  PERFORM secure_tenant_table(format('public.%I', partition_name)::regclass);
  RETURN true;
END $$;

-- name: partition_key
-- The column that a table is partitioned by.
CREATE FUNCTION partition_key(parent_name text) RETURNS name
LANGUAGE sql STABLE SET search_path = public, pg_temp
RETURN (SELECT attname FROM pg_partitioned_table
        JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
        WHERE partrelid = format('public.%I', parent_name)::regclass);

-- name: create_partitions
-- The missing partitions of one table from `since` to `until`, both included; returns how many were made.
CREATE FUNCTION create_partitions(parent_name text, since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
  partition_unit text := (SELECT unit FROM partitioned_tables WHERE name = parent_name);
  moment timestamptz;
  made integer := 0;
BEGIN
  IF partition_unit IS NULL THEN
    RAISE EXCEPTION '% is not a partitioned table of ours', parent_name USING ERRCODE = 'undefined_table';
  END IF;
  FOR moment IN SELECT generate_series(date_trunc(partition_unit, since, 'UTC'), until, ('1 ' || partition_unit)::interval) LOOP
    made := made + create_partition(parent_name, moment)::integer;
  END LOOP;
  RETURN made;
END $$;

-- name: register_partitioned_table
-- Notes a new partitioned parent, makes its default partition and the first ones.
CREATE FUNCTION register_partitioned_table(parent_name text, partition_unit text, partitions_ahead integer, keep_days integer)
RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO partitioned_tables VALUES (parent_name, partition_unit, partitions_ahead, make_interval(days => keep_days));
  EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', parent_name || '_default', parent_name);
  PERFORM create_partitions(parent_name, now(), now() + partitions_ahead * ('1 ' || partition_unit)::interval);
END $$;

-- name: drop_partition
-- Detaches and drops one partition that is older than its table keeps; raises for any other.
CREATE FUNCTION drop_partition(parent_name text, partition_name text) RETURNS void
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

-- name: default_partition_rows
-- How many rows nobody expected: counted up to 1,000, because the alarm only asks whether there are any.
CREATE FUNCTION default_partition_rows(parent_name text) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  counted bigint;
BEGIN
  PERFORM FROM partitioned_tables WHERE name = parent_name;
  IF NOT FOUND THEN
    RAISE EXCEPTION '% is not a partitioned table of ours', parent_name USING ERRCODE = 'undefined_table';
  END IF;
  EXECUTE format('SELECT count(*) FROM (SELECT FROM %I LIMIT 1000) AS found', parent_name || '_default') INTO counted;
  RETURN counted;
END $$;

-- name: who_may_call
-- The platform makes and drops partitions; the rest is for migrations.
REVOKE EXECUTE ON FUNCTION create_partition(text, timestamptz), create_partitions(text, timestamptz, timestamptz),
  register_partitioned_table(text, text, integer, integer), drop_partition(text, text), default_partition_rows(text),
  partition_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_partitions(text, timestamptz, timestamptz), drop_partition(text, text),
  default_partition_rows(text) TO paid_platform;

-- reverse: partitions
-- The functions, then what they read.
DROP FUNCTION default_partition_rows(text), drop_partition(text, text),
  register_partitioned_table(text, text, integer, integer), create_partitions(text, timestamptz, timestamptz),
  create_partition(text, timestamptz), partition_key(text);
DROP VIEW partitions;
DROP TABLE partitioned_tables;
