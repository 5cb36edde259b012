-- The last look at each experiment.

-- name: grants
-- The account reads and writes its own; rows go away with their experiment.
GRANT SELECT, INSERT, UPDATE, DELETE ON ab_test_readings TO paid_tenant, paid_platform;
