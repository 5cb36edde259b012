-- The slots of the days' sums, and who may read them. ledger_sums.sql adds to 0 to 15; in -1 is what months of the ledger
-- that were dropped came to (ledger_months.sql).

-- name: fold_daily_slots
-- Folds the slots of one closed day into slot 0, but for -1, in both tables that have them; gives how many rows that saved.
-- A row that is added to meanwhile is waited for: DELETE returns what it held last.
CREATE FUNCTION fold_daily_slots(closed_day date) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    spend bigint;
    usage bigint;
BEGIN
    WITH gone AS (DELETE FROM spend_daily WHERE day = closed_day AND slot > 0 RETURNING *)
    , sums AS (
        INSERT INTO spend_daily AS kept (
            account_id, dimension, dimension_id, day, slot, calls, unpriced_calls, cost_usd
        )
        SELECT account_id, dimension, dimension_id, day, 0, sum(calls), sum(unpriced_calls), sum(cost_usd)
        FROM gone GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4, 3
        ON CONFLICT (account_id, dimension, day, dimension_id, slot) DO UPDATE SET
            calls = kept.calls + excluded.calls,
            unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
            cost_usd = kept.cost_usd + excluded.cost_usd
        RETURNING xmax = 0 AS is_new
    )
    SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM sums WHERE is_new) INTO spend;
    WITH gone AS (DELETE FROM usage_daily WHERE day = closed_day AND slot > 0 RETURNING *)
    , sums AS (
        INSERT INTO usage_daily AS kept (
            account_id, project_id, language_model_id, day, slot, calls, unpriced_calls,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd
        )
        SELECT account_id, project_id, language_model_id, day, 0, sum(calls), sum(unpriced_calls),
               sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(cost_usd)
        FROM gone GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        ON CONFLICT (account_id, project_id, day, language_model_id, slot) DO UPDATE SET
            calls = kept.calls + excluded.calls,
            unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
            input_tokens = kept.input_tokens + excluded.input_tokens,
            output_tokens = kept.output_tokens + excluded.output_tokens,
            cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
            cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
            cost_usd = kept.cost_usd + excluded.cost_usd
        RETURNING xmax = 0 AS is_new
    )
    SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM sums WHERE is_new) INTO usage;
    RETURN spend + usage;
END
$$;

-- name: spend_daily_privileges
-- Everybody reads their own sums; only the ledger's trigger and the platform's folding write them.
GRANT SELECT ON spend_daily TO paid_tenant, paid_platform;
REVOKE ALL ON FUNCTION fold_daily_slots(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fold_daily_slots(date) TO paid_platform;

-- reverse: spend_daily
-- Drops what this file made.
DROP FUNCTION fold_daily_slots(date);
