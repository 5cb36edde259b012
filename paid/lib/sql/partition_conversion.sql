-- A table that grew unpartitioned becomes a partitioned one while it is written. Only the owner calls this, through
-- `manage.py partitions convert`. `t` is the table, `t_partitioned` its sibling until the swap, `t_unpartitioned` afterwards.

-- name: partition_conversions
-- Conversions under way, so that one which broke off goes on where it was. `last_key` is the primary key copied last.
CREATE TABLE partition_conversions (
  table_name text PRIMARY KEY,
  key_column name NOT NULL,
  primary_key name[] NOT NULL,
  last_key text[],
  copied bigint NOT NULL DEFAULT 0,
  is_copied boolean NOT NULL DEFAULT false,
  is_swapped boolean NOT NULL DEFAULT false,
  started_at timestamptz NOT NULL DEFAULT now()
);

-- name: conversion_obstacles
-- What stands in the way of converting a table by a column, in words; no rows: nothing.
CREATE FUNCTION conversion_obstacles(of_table text, key_column name) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
  source oid := to_regclass(format('public.%I', of_table));
  key_number smallint := (SELECT attnum FROM pg_attribute WHERE attrelid = source AND attname = key_column AND NOT attisdropped
                          AND attnotnull AND atttypid = 'timestamptz'::regtype);
BEGIN
  IF source IS NULL OR (SELECT relkind FROM pg_class WHERE oid = source) <> 'r' THEN
    RETURN NEXT format('%s is no plain table of this database', of_table);
    RETURN;
  END IF;
  IF key_number IS NULL THEN
    RETURN NEXT format('%s has no column %s of type timestamptz that is NOT NULL', of_table, key_column);
  END IF;
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = source AND attname = 'account_id' AND NOT attisdropped) THEN
    RETURN NEXT format('%s has no account_id: partitions are protected by it', of_table);
  END IF;
  IF NOT EXISTS (SELECT FROM pg_index WHERE indrelid = source AND indisprimary) THEN
    RETURN NEXT format('%s has no primary key', of_table);
  END IF;
  RETURN QUERY SELECT format('%s refers to it (%s): a foreign key cannot point to rows whose key grows', conrelid::regclass, conname)
    FROM pg_constraint WHERE confrelid = source AND contype = 'f';
  RETURN QUERY SELECT format('%s is unique without %s: no partition could check it for the others', indexrelid::regclass, key_column)
    FROM pg_index WHERE indrelid = source AND indisunique AND NOT indisprimary AND NOT key_number = ANY (indkey);
  RETURN QUERY SELECT DISTINCT format('the view %s reads it', pg_rewrite.ev_class::regclass) FROM pg_depend
    JOIN pg_rewrite ON pg_rewrite.oid = pg_depend.objid
    WHERE classid = 'pg_rewrite'::regclass AND refobjid = source AND pg_rewrite.ev_class <> source;
  RETURN QUERY SELECT format('its trigger %s needs transition tables or constraints for rows', tgname) FROM pg_trigger
    WHERE tgrelid = source AND NOT tgisinternal AND tgtype & 1 = 1 AND (tgnewtable IS NOT NULL OR tgoldtable IS NOT NULL);
END $$;

-- name: conversion_columns
-- The columns that are copied, each behind `prefix`: not those that the table computes itself.
CREATE FUNCTION conversion_columns(of_table text, prefix text) RETURNS text
LANGUAGE sql STABLE SET search_path = public, pg_temp
RETURN (SELECT string_agg(prefix || quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = to_regclass(format('public.%I', of_table)) AND attnum > 0 AND NOT attisdropped AND attgenerated = '');

-- name: conversion_sync
-- Trigger on the table that is converted: the sibling gets the same rows, in the same transaction.
CREATE FUNCTION conversion_sync() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  sibling text := format('%I', TG_TABLE_NAME || '_partitioned');
  keys name[] := TG_ARGV[0]::name[];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    EXECUTE format('TRUNCATE %s', sibling);
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    EXECUTE format('DELETE FROM %s WHERE %s', sibling,
                   (SELECT string_agg(format('%I = ($1).%1$I', key), ' AND ') FROM unnest(keys) AS key)) USING OLD;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s', sibling,
                   conversion_columns(TG_TABLE_NAME, ''), conversion_columns(TG_TABLE_NAME, '($1).')) USING NEW;
  END IF;
  RETURN NULL;
END $$;

-- name: conversion_start
-- Makes the sibling with its partitions, indexes, foreign keys and policies, and the trigger that keeps both alike.
CREATE FUNCTION conversion_start(of_table text, key_column name, partition_unit text, partitions_ahead integer, keep_days integer)
RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
DECLARE
  source regclass := format('public.%I', of_table)::regclass;
  sibling text := of_table || '_partitioned';
  keys name[];
  found_index record;
  found_constraint record;
  oldest timestamptz;
BEGIN
  SELECT array_agg(attname ORDER BY position) INTO keys
  FROM pg_index, unnest(indkey) WITH ORDINALITY AS part (number, position)
  JOIN pg_attribute ON attnum = part.number
  WHERE indrelid = source AND indisprimary AND attrelid = source;
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING IDENTITY'
                 ' INCLUDING STORAGE INCLUDING COMMENTS) PARTITION BY RANGE (%I)', sibling, of_table, key_column);
  EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I PRIMARY KEY (%s)', sibling, sibling || '_pkey',
                 (SELECT string_agg(quote_ident(key), ', ') FROM unnest(array_append(array_remove(keys, key_column), key_column)) AS key));
  FOR found_index IN SELECT indexrelid, pg_get_indexdef(indexrelid) AS definition, relname, indisunique
                     FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                     WHERE indrelid = source AND NOT indisprimary LOOP
    EXECUTE regexp_replace(found_index.definition, '^(CREATE (?:UNIQUE )?INDEX) \S+ ON (?:ONLY )?\S+ ',
                           format('\1 %I ON %I ', left(found_index.relname, 61) || '_p', sibling));
  END LOOP;
  FOR found_constraint IN SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
                          WHERE conrelid = source AND contype = 'f' LOOP
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I %s', sibling, found_constraint.conname, found_constraint.definition);
  END LOOP;
  PERFORM conversion_copy_policies(of_table, sibling);
  EXECUTE format('SELECT coalesce(min(%I), now()) FROM %I', key_column, of_table) INTO oldest;
  INSERT INTO partitioned_tables VALUES (sibling, partition_unit, partitions_ahead, make_interval(days => keep_days));
  EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', sibling || '_default', sibling);
  PERFORM secure_tenant_table(format('public.%I', sibling || '_default')::regclass);
  PERFORM create_partitions(sibling, oldest, now() + partitions_ahead * ('1 ' || partition_unit)::interval);
  -- From its commit on every write goes to both; it waits for the writers of before, and is given up after the timeout.
  EXECUTE format('CREATE TRIGGER conversion_sync AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW'
                 ' EXECUTE FUNCTION conversion_sync(%L)', of_table, keys);
  EXECUTE format('CREATE TRIGGER conversion_sync_truncate AFTER TRUNCATE ON %I FOR EACH STATEMENT'
                 ' EXECUTE FUNCTION conversion_sync(%L)', of_table, keys);
  INSERT INTO partition_conversions (table_name, key_column, primary_key) VALUES (of_table, key_column, keys);
END $$;

-- name: conversion_copy_policies
-- Row-level security and its policies, forced as on the source, on the sibling.
CREATE FUNCTION conversion_copy_policies(of_table text, sibling text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  source regclass := format('public.%I', of_table)::regclass;
  found record;
BEGIN
  IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = source) THEN
    RETURN;
  END IF;
  EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', sibling);
  EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', sibling);
  FOR found IN SELECT * FROM pg_policies WHERE schemaname = 'public' AND tablename = of_table LOOP
    EXECUTE format('CREATE POLICY %I ON %I AS %s FOR %s TO %s%s%s', found.policyname, sibling, found.permissive, found.cmd,
                   (SELECT string_agg(quote_ident(role), ', ') FROM unnest(found.roles) AS role),
                   ' USING (' || found.qual || ')', ' WITH CHECK (' || found.with_check || ')');
  END LOOP;
END $$;

-- name: conversion_batch
-- Copies the next rows in the order of the primary key; returns how many, 0 at the end. The rows are locked while they
-- are copied: whoever changes one waits for this short transaction, and the trigger then finds the copy to change.
CREATE FUNCTION conversion_batch(of_table text, size integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  state partition_conversions;
  key_list text;
  batch_rows bigint;
  newest text[];
BEGIN
  SELECT * INTO STRICT state FROM partition_conversions WHERE table_name = of_table FOR UPDATE;
  key_list := (SELECT string_agg(quote_ident(key), ', ') FROM unnest(state.primary_key) AS key);
  EXECUTE format(
    'WITH batch AS MATERIALIZED (SELECT * FROM %1$I %2$s ORDER BY %3$s LIMIT $1 FOR SHARE),'
    ' copied AS (INSERT INTO %4$I (%7$s) OVERRIDING SYSTEM VALUE SELECT %7$s FROM batch ON CONFLICT DO NOTHING)'
    ' SELECT count(*), (SELECT ARRAY[%5$s] FROM batch ORDER BY %6$s LIMIT 1) FROM batch',
    of_table,
    CASE WHEN state.last_key IS NOT NULL THEN
      format('WHERE (%s) > (%s)', key_list, (SELECT string_agg(quote_literal(part), ', ') FROM unnest(state.last_key) AS part)) END,
    key_list, of_table || '_partitioned',
    (SELECT string_agg(quote_ident(key) || '::text', ', ') FROM unnest(state.primary_key) AS key),
    (SELECT string_agg(quote_ident(key) || ' DESC', ', ') FROM unnest(state.primary_key) AS key),
    conversion_columns(of_table, ''))
  INTO batch_rows, newest USING size;
  UPDATE partition_conversions SET copied = copied + batch_rows,
         last_key = coalesce(newest, last_key), is_copied = newest IS NULL WHERE table_name = of_table;
  RETURN batch_rows;
END $$;

-- name: conversion_compare
-- Rows of both in one snapshot, and whether their contents are the same (sums of the rows' hashes).
CREATE FUNCTION conversion_compare(of_table text, OUT source_rows bigint, OUT sibling_rows bigint, OUT are_equal boolean)
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  EXECUTE format(
    'SELECT source.rows, sibling.rows, source.rows = sibling.rows AND source.hashes = sibling.hashes FROM'
    ' (SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) AS hashes FROM %I AS t) AS source,'
    ' (SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) AS hashes FROM %I AS t) AS sibling',
    of_table, of_table || '_partitioned')
  INTO source_rows, sibling_rows, are_equal;
  IF NOT are_equal THEN
    UPDATE partition_conversions SET last_key = NULL, is_copied = false WHERE table_name = of_table;
  END IF;
END $$;

-- name: conversion_swap
-- The sibling takes the table's name, triggers, grants and sequences, under a lock that is asked for 200 ms at most.
CREATE FUNCTION conversion_swap(of_table text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
DECLARE
  source regclass := format('public.%I', of_table)::regclass;
  sibling regclass := format('public.%I', of_table || '_partitioned')::regclass;
  former text := of_table || '_unpartitioned';
  trigger_definitions text[];
  item record;
BEGIN
  EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', of_table);
  EXECUTE format('DROP TRIGGER conversion_sync ON %I', of_table);
  EXECUTE format('DROP TRIGGER conversion_sync_truncate ON %I', of_table);
  SELECT array_agg(pg_get_triggerdef(oid) ORDER BY tgname) INTO trigger_definitions
  FROM pg_trigger WHERE tgrelid = source AND NOT tgisinternal;
  PERFORM conversion_move_grants(source, sibling);
  FOR item IN SELECT attname, attidentity <> '' AS is_identity, pg_get_serial_sequence(source::text, attname) AS sequence
              FROM pg_attribute WHERE attrelid = source AND attnum > 0 AND NOT attisdropped
              AND pg_get_serial_sequence(source::text, attname) IS NOT NULL LOOP
    IF item.is_identity THEN
      PERFORM setval(pg_get_serial_sequence(sibling::text, item.attname), nextval(item.sequence::regclass), false);
    ELSE
      EXECUTE format('ALTER SEQUENCE %s OWNED BY %s.%I', item.sequence, sibling, item.attname);
    END IF;
  END LOOP;
  EXECUTE format('ALTER TABLE %I RENAME TO %I', of_table, former);
  EXECUTE format('ALTER TABLE %I RENAME TO %I', of_table || '_partitioned', of_table);
  FOR item IN SELECT relname, indisprimary FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = source LOOP
    EXECUTE format('ALTER INDEX %I RENAME TO %I', item.relname, left(item.relname, 59) || '_old');
    EXECUTE format('ALTER INDEX %I RENAME TO %I', CASE WHEN item.indisprimary THEN of_table || '_partitioned_pkey'
                   ELSE left(item.relname, 61) || '_p' END, item.relname);
  END LOOP;
  FOR item IN SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = sibling LOOP
    EXECUTE format('ALTER TABLE %I RENAME TO %I', item.relname,
                   of_table || substr(item.relname, length(of_table || '_partitioned') + 1));
  END LOOP;
  UPDATE partitioned_tables SET name = of_table WHERE name = of_table || '_partitioned';
  FOR item IN SELECT unnest(trigger_definitions) AS definition LOOP
    EXECUTE item.definition;
  END LOOP;
  UPDATE partition_conversions SET is_swapped = true WHERE table_name = of_table;
END $$;

-- name: conversion_move_grants
-- Whatever was granted on one table, whole or by column, is granted on the other, and taken away from the first.
CREATE FUNCTION conversion_move_grants(source regclass, sibling regclass) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  item record;
BEGIN
  FOR item IN
    SELECT privilege_type || coalesce(' (' || quote_ident(column_name) || ')', '') AS privilege,
           CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS role
    FROM (SELECT NULL::name AS column_name, acl.* FROM pg_class, aclexplode(relacl) AS acl WHERE oid = source
          UNION ALL
          SELECT attname, acl.* FROM pg_attribute, aclexplode(attacl) AS acl WHERE attrelid = source) AS granted
    WHERE grantee <> (SELECT relowner FROM pg_class WHERE oid = source)
  LOOP
    EXECUTE format('GRANT %s ON %s TO %s', item.privilege, sibling, item.role);
    EXECUTE format('REVOKE %s ON %s FROM %s', item.privilege, source, item.role);
  END LOOP;
END $$;

-- name: conversion_undo
-- Before the swap: takes the sibling and the trigger away. After it: drops the former table, which nobody reads any longer.
CREATE FUNCTION conversion_undo(of_table text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
BEGIN
  IF (SELECT is_swapped FROM partition_conversions WHERE table_name = of_table) THEN
    EXECUTE format('DROP TABLE %I', of_table || '_unpartitioned');
  ELSE
    EXECUTE format('DROP TRIGGER IF EXISTS conversion_sync ON %I', of_table);
    EXECUTE format('DROP TRIGGER IF EXISTS conversion_sync_truncate ON %I', of_table);
    EXECUTE format('DROP TABLE IF EXISTS %I', of_table || '_partitioned');
    DELETE FROM partitioned_tables WHERE name = of_table || '_partitioned';
  END IF;
  DELETE FROM partition_conversions WHERE table_name = of_table;
END $$;

-- name: computed_columns
-- A partition is like its table also where a column is computed, and rows that are moved into it leave that to it.
DO $do$
BEGIN
  EXECUTE replace(replace(pg_get_functiondef('create_partition(text, timestamptz)'::regprocedure),
    'INCLUDING CONSTRAINTS)', 'INCLUDING CONSTRAINTS INCLUDING GENERATED)'),
    $plain$INSERT INTO %I SELECT * FROM moved'$plain$,
    $named$INSERT INTO %I (' || conversion_columns(parent_name, '') || ') OVERRIDING SYSTEM VALUE SELECT '
                   || conversion_columns(parent_name, '') || ' FROM moved'$named$);
END $do$;

-- name: for_the_owner_only
-- Nobody who serves a request converts a table.
REVOKE EXECUTE ON FUNCTION conversion_obstacles(text, name), conversion_columns(text, text), conversion_sync(),
  conversion_start(text, name, text, integer, integer), conversion_copy_policies(text, text), conversion_batch(text, integer),
  conversion_compare(text), conversion_swap(text), conversion_move_grants(regclass, regclass), conversion_undo(text) FROM PUBLIC;

-- reverse: partition_conversion
-- Drops what this file made.
DO $do$
BEGIN
  EXECUTE replace(replace(pg_get_functiondef('create_partition(text, timestamptz)'::regprocedure),
    'INCLUDING CONSTRAINTS INCLUDING GENERATED)', 'INCLUDING CONSTRAINTS)'),
    $named$INSERT INTO %I (' || conversion_columns(parent_name, '') || ') OVERRIDING SYSTEM VALUE SELECT '
                   || conversion_columns(parent_name, '') || ' FROM moved'$named$,
    $plain$INSERT INTO %I SELECT * FROM moved'$plain$);
END $do$;
DROP FUNCTION conversion_undo(text), conversion_move_grants(regclass, regclass), conversion_swap(text),
  conversion_compare(text), conversion_batch(text, integer), conversion_copy_policies(text, text),
  conversion_start(text, name, text, integer, integer), conversion_sync(), conversion_columns(text, text),
  conversion_obstacles(text, name);
DROP TABLE partition_conversions;
