-- What every app's tables stand on: who is asking, and the triggers that keep rows honest.

-- name: extensions
-- Trigram search of prompts, and GIN over plain columns. Both are trusted: the database's owner may create them.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

-- name: current_account
-- The account of the running context; NULL without one. A setting once set reads '' afterwards, hence NULLIF.
CREATE FUNCTION current_account() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('paid.account_id', true), '')::bigint;

-- name: current_user_id
-- The signed-in user of the running context; NULL without one.
CREATE FUNCTION current_user_id() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('paid.user_id', true), '')::bigint;

-- name: secure_tenant_table
-- Row-level security, forced, with the policy `tenant`, on a table and on each of its partitions. Can be repeated.
CREATE FUNCTION secure_tenant_table(tenant_table regclass) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  member regclass;
BEGIN
  FOR member IN SELECT coalesce(tree.relid, tenant_table) FROM pg_partition_tree(tenant_table) AS tree
                UNION SELECT tenant_table
  LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', member);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', member);
    EXECUTE format('DROP POLICY IF EXISTS tenant ON %s', member);
    EXECUTE format('CREATE POLICY tenant ON %s TO paid_tenant USING (account_id = (SELECT current_account()))', member);
  END LOOP;
END $$;

-- name: let_tenants_read_global_rows
-- The policy `global_read`: whoever acts for an account may also read what belongs to account 0.
CREATE FUNCTION let_tenants_read_global_rows(tenant_table regclass) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  EXECUTE format(
    'CREATE POLICY global_read ON %s FOR SELECT TO paid_tenant'
    ' USING (account_id = 0 AND (SELECT current_account()) IS NOT NULL)', tenant_table);
END $$;

-- name: touch_updated_at
-- Trigger: a changed row says when. The statement's time, so that two changes in one transaction differ.
CREATE FUNCTION touch_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  NEW.updated_at := statement_timestamp();
  RETURN NEW;
END $$;

-- name: keep_updated_at
-- Gives a table the trigger touch_updated_at.
CREATE FUNCTION keep_updated_at(of_table regclass) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  EXECUTE format(
    'CREATE TRIGGER touch_updated_at BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION touch_updated_at()', of_table);
END $$;

-- name: refuse_change
-- Trigger: what stands in this table is never changed.
CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: its rows are never changed', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = 'Write a new row.';
END $$;

-- name: make_append_only
-- UPDATE, DELETE and TRUNCATE are refused, for the owner too. Row triggers reach partitions, also later ones.
CREATE FUNCTION make_append_only(of_table regclass) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  EXECUTE format(
    'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION refuse_change()', of_table);
  EXECUTE format(
    'CREATE TRIGGER never_truncated BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', of_table);
END $$;

-- name: make_immutable
-- UPDATE and TRUNCATE are refused, for the owner too; a row may still be deleted together with its parent.
CREATE FUNCTION make_immutable(of_table regclass) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  EXECUTE format(
    'CREATE TRIGGER immutable BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION refuse_change()', of_table);
  EXECUTE format(
    'CREATE TRIGGER never_truncated BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', of_table);
END $$;

-- name: for_the_owner_only
-- These functions change tables: only migrations call them.
REVOKE EXECUTE ON FUNCTION secure_tenant_table(regclass), let_tenants_read_global_rows(regclass),
  keep_updated_at(regclass), make_append_only(regclass), make_immutable(regclass) FROM PUBLIC;

-- reverse: foundation
-- The extensions stay: init-db.sql may have made them as another role.
DROP FUNCTION make_immutable(regclass), make_append_only(regclass), refuse_change(), keep_updated_at(regclass),
  touch_updated_at(), let_tenants_read_global_rows(regclass), secure_tenant_table(regclass), current_user_id(),
  current_account();
