-- name: rollups_of_the_past
-- Every month of every account, each in a transaction of its own, so that runs go on ending meanwhile.
DO $$
DECLARE
    past record;
    ledger_from date := ledger_complete_from();
BEGIN
    FOR past IN
        SELECT account_id, month::date AS month
        FROM (SELECT account_id, min(created_at AT TIME ZONE 'UTC') AS first FROM agent_runs GROUP BY 1) account
        CROSS JOIN LATERAL generate_series(
            date_trunc('month', first), now() AT TIME ZONE 'UTC', interval '1 month') month
    LOOP
        PERFORM rollups_repair(past.account_id, past.month, (past.month + interval '1 month')::date, ledger_from);
        COMMIT;
    END LOOP;
END
$$;

-- reverse: rollups_of_the_past
-- The sums go away with their tables.
SELECT 1;
