-- Erasing an account: the only way by which rows that are never changed go away one by one. See `paid/erasure.py`.

-- name: refuse_change
-- Trigger: what stands in this table is never changed. The owner of the table alone may delete the rows of an account that
-- is being erased, which the setting paid.erased_account names for one transaction.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) THEN
    IF to_jsonb(OLD) ->> 'account_id' = nullif(current_setting('paid.erased_account', true), '') THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION '% of % is refused: its rows are never changed', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = 'Write a new row.';
END $$;

-- reverse: refuse_change
-- Nobody deletes such rows.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: its rows are never changed', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = 'Write a new row.';
END $$;
