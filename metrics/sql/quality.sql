-- Votes.

-- name: grants
-- People change and take back their votes.
GRANT SELECT, INSERT, UPDATE, DELETE ON run_votes TO paid_tenant, paid_platform;
