-- name: ledger_months_of_the_past
-- Where months of the ledger were dropped before they left anything in slot -1, nobody knows any more what they came to: the
-- sums are believed once, and what they have more than the rows that are left goes there. Where none was dropped a
-- difference stays one, for `reconcile_usage` to tell. Differences are added, so that writers do not wait for this.
DO $$
DECLARE
    first_month timestamptz := (SELECT min(starts_at) FROM partitions WHERE parent = 'token_usages');
BEGIN
    -- Days from before the first month, or runs from then that cost something and have no row.
    IF NOT EXISTS (SELECT FROM usage_daily WHERE day < (first_month AT TIME ZONE 'UTC')::date) AND NOT EXISTS (
        SELECT FROM agent_runs run
        WHERE run.created_at < first_month AND (run.cost_usd <> 0 OR run.unpriced_calls <> 0)
          AND NOT EXISTS (
              SELECT FROM token_usages usage
              WHERE usage.run_created_at = run.created_at AND usage.agent_run_id = run.id
          )
    ) THEN
        RETURN;
    END IF;
    INSERT INTO ledger_months_gone (name, ends_at) VALUES ('before', first_month);
    LOCK TABLE token_usages IN ACCESS SHARE MODE;
    LOCK TABLE usage_daily, spend_daily IN SHARE UPDATE EXCLUSIVE MODE;
    WITH lack AS MATERIALIZED (SELECT * FROM usage_daily_lack())
    INSERT INTO usage_daily AS kept (
        account_id, project_id, language_model_id, day, slot, calls, unpriced_calls,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd
    )
    SELECT account_id, project_id, language_model_id, day, slot, sign * calls, sign * unpriced_calls,
           sign * input_tokens, sign * output_tokens, sign * cache_read_tokens, sign * cache_write_tokens,
           sign * cost_usd
    FROM lack CROSS JOIN (VALUES (-1, -1), (0, 1)) moved (slot, sign)
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (account_id, project_id, day, language_model_id, slot) DO UPDATE SET
        calls = kept.calls + excluded.calls,
        unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
        input_tokens = kept.input_tokens + excluded.input_tokens,
        output_tokens = kept.output_tokens + excluded.output_tokens,
        cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
        cost_usd = kept.cost_usd + excluded.cost_usd;
    WITH ledger AS (
        SELECT usage.account_id, by.dimension, by.dimension_id, (usage.created_at AT TIME ZONE 'UTC')::date AS day,
               count(*) FILTER (WHERE usage.kind = 'call') AS calls,
               count(*) FILTER (WHERE usage.kind = 'call' AND NOT usage.is_priced)
                   - count(*) FILTER (WHERE usage.kind = 'pricing') AS unpriced_calls,
               sum(usage.cost_usd) AS cost_usd
        FROM token_usages usage
        JOIN agent_runs run ON run.id = usage.agent_run_id
        CROSS JOIN LATERAL (VALUES
            ('prompt_version', run.prompt_version_id), ('person', coalesce(run.requested_by_id, 0))
        ) by (dimension, dimension_id)
        GROUP BY 1, 2, 3, 4
    ), daily AS (
        SELECT account_id, dimension, dimension_id, day,
               sum(calls) AS calls, sum(unpriced_calls) AS unpriced_calls, sum(cost_usd) AS cost_usd
        FROM spend_daily WHERE slot >= 0 GROUP BY 1, 2, 3, 4
    ), lack AS MATERIALIZED (
        SELECT account_id, dimension, dimension_id, day,
               coalesce(l.calls, 0) - coalesce(d.calls, 0) AS calls,
               coalesce(l.unpriced_calls, 0) - coalesce(d.unpriced_calls, 0) AS unpriced_calls,
               coalesce(l.cost_usd, 0) - coalesce(d.cost_usd, 0) AS cost_usd
        FROM ledger l FULL JOIN daily d USING (account_id, dimension, dimension_id, day)
    )
    INSERT INTO spend_daily AS kept (account_id, dimension, dimension_id, day, slot, calls, unpriced_calls, cost_usd)
    SELECT account_id, dimension, dimension_id, day, slot, sign * calls, sign * unpriced_calls, sign * cost_usd
    FROM lack CROSS JOIN (VALUES (-1, -1), (0, 1)) moved (slot, sign)
    WHERE 0 <> ANY (ARRAY[calls, unpriced_calls, cost_usd])
    ORDER BY 1, 2, 4, 3, 5
    ON CONFLICT (account_id, dimension, day, dimension_id, slot) DO UPDATE SET
        calls = kept.calls + excluded.calls,
        unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
        cost_usd = kept.cost_usd + excluded.cost_usd;
    PERFORM ledger_sums_tidy();
END
$$;

-- reverse: ledger_months_of_the_past
-- ledger_months.sql takes slot -1 back.
SELECT 1;
