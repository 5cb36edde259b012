-- Evolution of prompts.

-- name: grants
-- Cycles are history: nobody deletes them.
GRANT SELECT, INSERT, UPDATE ON evolution_policies, evolutions TO paid_tenant, paid_platform;
