-- Projects: who may do what.

-- name: grants
-- What forges and agents made is never deleted row by row; a project is switched off, not removed.
GRANT SELECT, INSERT, UPDATE ON projects, issues, comments, pull_requests TO paid_tenant, paid_platform;
GRANT SELECT, INSERT, UPDATE, DELETE ON project_memberships TO paid_tenant, paid_platform;
GRANT SELECT ON webhook_deliveries TO paid_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries TO paid_platform;
