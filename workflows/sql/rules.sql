-- Workflows: who may do what.

-- name: grants
-- Anybody may command Temporal in the transaction that decided it; only the platform delivers and forgets.
GRANT SELECT, INSERT ON outbox TO paid_tenant;
GRANT SELECT ON workflow_states TO paid_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox, workflow_states TO paid_platform;
