-- Tables of Django's own apps: nothing in them belongs to a tenant, so no tenant may touch them.

-- name: platform_grants
-- Sessions are kept by the platform; content types and the admin's log serve the host's staff.
GRANT SELECT, INSERT, UPDATE, DELETE ON django_session TO paid_platform;
GRANT SELECT, INSERT ON django_content_type, django_admin_log TO paid_platform;
GRANT SELECT ON auth_permission, auth_group, auth_group_permissions, django_migrations TO paid_platform;

-- reverse: platform_grants
-- The tables may stay after this: take back what was given.
REVOKE ALL ON django_session, django_content_type, django_admin_log, auth_permission, auth_group, auth_group_permissions,
  django_migrations FROM paid_platform;
