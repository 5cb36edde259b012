-- Metrics: the ledger's rows belong to their run, and who may do what.

-- name: token_usages_belong_to_run
-- The ledger takes no row whose account or time is not its run's.
CREATE TRIGGER rows_belong_to_their_run AFTER INSERT ON token_usages REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION rows_belong_to_their_run();

-- name: grants
-- A tenant reads its money and sets its budgets; only the platform books.
GRANT SELECT, INSERT, UPDATE, DELETE ON cost_budgets TO paid_tenant, paid_platform;
GRANT SELECT, INSERT, UPDATE ON quality_metrics TO paid_tenant, paid_platform;
GRANT SELECT ON token_usages, usage_daily, gateway_calls, budget_reservations TO paid_tenant;
GRANT SELECT, INSERT, UPDATE ON budget_reservations TO paid_platform;
GRANT SELECT, INSERT ON token_usages TO paid_platform;
GRANT SELECT, INSERT, UPDATE ON usage_daily TO paid_platform;
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway_calls TO paid_platform;
