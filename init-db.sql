-- Roles, databases and extensions of Paid. Run by psql as a superuser: `manage.py up` does it for the
-- embedded server, docker compose mounts this file, and on a server of your own you run
--   PAID_OWNER_PASSWORD=… PAID_APP_PASSWORD=… psql -d postgres -f init-db.sql
-- It can be run again at any time: it creates what is missing and sets the passwords anew.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

\getenv owner_password PAID_OWNER_PASSWORD
\getenv app_password PAID_APP_PASSWORD
\getenv backup_password PAID_BACKUP_PASSWORD
\getenv temporal_password TEMPORAL_DATABASE_PASSWORD
\if :{?owner_password}
\else
  DO $$ BEGIN RAISE EXCEPTION 'PAID_OWNER_PASSWORD is not set in the environment'; END $$;
\endif
\if :{?app_password}
\else
  DO $$ BEGIN RAISE EXCEPTION 'PAID_APP_PASSWORD is not set in the environment'; END $$;
\endif

-- Roles. paid_owner needs BYPASSRLS: a forced owner without it silently updates no rows.
SELECT 'CREATE ROLE ' || wanted.name || ' ' || wanted.attributes
FROM (VALUES
  ('paid_owner', 'LOGIN BYPASSRLS CREATEDB'),
  ('paid_tenant', 'NOLOGIN'),
  ('paid_platform', 'NOLOGIN BYPASSRLS'),
  ('paid_app', 'LOGIN NOINHERIT')
) AS wanted (name, attributes)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) \gexec

ALTER ROLE paid_owner PASSWORD :'owner_password';
ALTER ROLE paid_app PASSWORD :'app_password';
GRANT paid_tenant, paid_platform TO paid_app;
-- The page of slow statements is a function of the owner's: without this it would show times without texts.
GRANT pg_read_all_stats TO paid_owner;
-- A connection of the application is a tenant without an account, who sees nothing, until a context says otherwise.
ALTER ROLE paid_app SET role = 'paid_tenant';

-- The login of `manage.py backup` exists only where its password is set: it copies the whole server, reads every
-- row of every tenant, and may change none.
\if :{?backup_password}
  SELECT 'CREATE ROLE paid_backup LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'paid_backup') \gexec
  ALTER ROLE paid_backup REPLICATION BYPASSRLS PASSWORD :'backup_password';
  ALTER ROLE paid_backup SET default_transaction_read_only = on;
  GRANT pg_read_all_data, pg_monitor TO paid_backup;
\endif

-- Temporal's own login exists only where a Temporal server keeps its state here (docker compose).
\if :{?temporal_password}
  SELECT 'CREATE ROLE temporal LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'temporal') \gexec
  ALTER ROLE temporal PASSWORD :'temporal_password';
\endif

-- Databases. Temporal's belong to its own login where there is one.
SELECT format('CREATE DATABASE %I OWNER %I', wanted.name, wanted.owner)
FROM (VALUES
  ('paid_development', 'paid_owner'),
  ('paid_test', 'paid_owner'),
  ('paid_production', 'paid_owner'),
  ('temporal', coalesce((SELECT rolname FROM pg_roles WHERE rolname = 'temporal'), current_user)),
  ('temporal_visibility', coalesce((SELECT rolname FROM pg_roles WHERE rolname = 'temporal'), current_user))
) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = wanted.name) \gexec

SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', datname)
FROM pg_database WHERE datname IN ('paid_development', 'paid_test', 'paid_production', 'temporal', 'temporal_visibility') \gexec
GRANT CONNECT ON DATABASE paid_development, paid_test, paid_production TO paid_app;
\if :{?backup_password}
  GRANT CONNECT ON DATABASE paid_development, paid_test, paid_production TO paid_backup;
\endif

-- pg_trgm finds words with typing errors and parts of words. btree_gin lets one GIN index begin with a plain column, so
-- that a search stays within one tenant: gin (account_id, to_tsvector(…)). Temporal's visibility tables need it too;
-- its own tool creates it there. Both are trusted extensions, so a migration may create them too (it does so in test
-- databases); pg_stat_statements takes a superuser, and shared_preload_libraries=pg_stat_statements.
\connect paid_development
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
\connect paid_test
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
\connect paid_production
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
