"""What PostgreSQL's catalogue says about our schema, as plain values that can be compared."""

from collections.abc import Callable
from typing import Any

# Everything that migrations make, one line each. What belongs to an extension is not ours.
SCHEMA = """
WITH ours AS (
  SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relacl
  FROM pg_class c
  WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'p', 'v') AND c.relname <> 'django_migrations'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
)
SELECT 'table ' || relname || ' ' || relkind::text || ' ' || relrowsecurity || relforcerowsecurity
       || ' ' || coalesce((SELECT string_agg(entry::text, ' ' ORDER BY entry::text) FROM unnest(relacl) entry), '')
FROM ours
UNION ALL
SELECT 'column ' || relname || '.' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull || ' '
       || attidentity::text || ' ' || coalesce(pg_get_expr(adbin, adrelid), '')
FROM ours JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL
SELECT 'grant ' || relname || '.' || attname || ' ' || attacl::text
FROM ours JOIN pg_attribute ON attrelid = ours.oid AND attacl IS NOT NULL
UNION ALL
SELECT 'constraint ' || relname || ' ' || conname || ' ' || pg_get_constraintdef(pg_constraint.oid)
FROM ours JOIN pg_constraint ON conrelid = ours.oid AND contype <> 't'
UNION ALL
SELECT 'index ' || replace(indexdef, ' ON ONLY ', ' ON ') FROM ours JOIN pg_indexes ON tablename = relname
WHERE schemaname = %(schema)s
UNION ALL
SELECT 'trigger ' || relname || ' ' || pg_get_triggerdef(pg_trigger.oid)
FROM ours JOIN pg_trigger ON tgrelid = ours.oid AND NOT tgisinternal
UNION ALL
SELECT 'policy ' || relname || ' ' || polname || ' ' || polcmd::text || ' ' || polroles::regrole[]::text || ' '
       || coalesce(pg_get_expr(polqual, polrelid), '') || ' ' || coalesce(pg_get_expr(polwithcheck, polrelid), '')
FROM ours JOIN pg_policy ON polrelid = ours.oid
UNION ALL
SELECT 'function ' || p.oid::regprocedure || ' ' || coalesce(p.proacl::text, '') || ' ' || pg_get_functiondef(p.oid)
FROM pg_proc p
WHERE p.pronamespace = %(schema)s::regnamespace
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
ORDER BY 1
"""


def schema(execute: Callable[[str, dict[str, str]], Any], name: str = "public") -> list[str]:
    """Every object of one schema in a canonical order."""
    return [line.replace(f"{name}.", "") for (line,) in execute(SCHEMA, {"schema": name}).fetchall()]


# Relations that hold rows of tenants (they have account_id) and what protects them, partitions included.
PROTECTION = """
SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
       array(SELECT polname || ' ' || polcmd::text || ' ' || polroles::regrole[]::text || ' ' || pg_get_expr(polqual, polrelid)
             FROM pg_policy WHERE polrelid = c.oid ORDER BY polname)
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'account_id' AND NOT attisdropped)
ORDER BY c.relname
"""
TENANT_POLICY = "tenant * {paid_tenant} (account_id = ( SELECT current_account() AS current_account))"


def unprotected(cursor: Any) -> list[str]:
    """Names of tables and partitions of tenants that lack forced row-level security or the tenant's policy."""
    cursor.execute(PROTECTION)
    return [name for name, is_forced, policies in cursor.fetchall() if not is_forced or TENANT_POLICY not in policies]
