-- Rules about rows that PostgreSQL looks at only when one of their columns is written (paid.lib.constraints.RowRule).

-- name: refuse_row
-- Trigger: a row breaks the rule that has the trigger's name. Told as a CHECK would tell it.
CREATE FUNCTION refuse_row() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'new row for relation "%" breaks the rule "%"', TG_TABLE_NAME, TG_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END $$;

-- reverse: row_rules
-- Drops what this file made.
DROP FUNCTION refuse_row();
