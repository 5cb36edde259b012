-- Around the change of who adds a settlement to the days' sums (gateway_calls.sql, ledger_sums.sql), beside live gateways.

-- name: settlements_first
-- The first table that a settlement locks, before the ledger, its last: taken the other way round, both would wait for
-- each other.
LOCK TABLE gateway_calls IN ACCESS EXCLUSIVE MODE;

-- reverse: settlements_first
-- A settlement that has begun waits for the ledger and then goes on as it began, with sums of its own: the former trigger
-- stands aside for it too, or its call would be counted twice.
DROP TRIGGER token_usages_added ON token_usages;
CREATE TRIGGER token_usages_added AFTER INSERT ON token_usages REFERENCING NEW TABLE AS inserted
FOR EACH STATEMENT WHEN (current_setting('paid.sums', true) IS DISTINCT FROM 'settled')
EXECUTE FUNCTION ledger_rows_added();
