-- Rows in default partitions: of which periods they are, so that these can be made and the rows moved into them.

-- name: default_partition_periods
-- The starts of the periods that rows of a default partition are of, oldest first and `at_most` of them.
-- One look at the key's index for each: it need not read the rows in between.
CREATE FUNCTION default_partition_periods(parent_name text, at_most integer) RETURNS SETOF timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  partition_unit text := (SELECT unit FROM partitioned_tables WHERE name = parent_name);
  period timestamptz := '-infinity';
BEGIN
  IF partition_unit IS NULL THEN
    RAISE EXCEPTION '% is not a partitioned table of ours', parent_name USING ERRCODE = 'undefined_table';
  END IF;
  FOR found_so_far IN 1 .. at_most LOOP
    -- What lies at the end of all time has no period: it stays, and so does the alarm.
    EXECUTE format('SELECT date_trunc(%L, min(%I), ''UTC'') FROM %I WHERE %2$I >= $1 AND isfinite(%2$I)',
                   partition_unit, partition_key(parent_name), parent_name || '_default')
      INTO period USING period;
    EXIT WHEN period IS NULL;
    RETURN NEXT period;
    period := period + ('1 ' || partition_unit)::interval;
  END LOOP;
END $$;

-- name: who_may_call
-- The platform makes partitions; nobody else learns when other tenants' rows were written.
REVOKE EXECUTE ON FUNCTION default_partition_periods(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION default_partition_periods(text, integer) TO paid_platform;

-- reverse: stray_rows
-- The one function.
DROP FUNCTION default_partition_periods(text, integer);
