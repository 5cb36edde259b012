-- A month of the ledger that is dropped leaves what it came to in slot -1 of the days' sums, and goes out of the other
-- slots: these stay equal to the rows that are left, to the last digit, and all slots together are what pages add up.
-- A month goes by the start of its runs. Its rows may stand on any later day: a run is paused for a week, more than once,
-- and a call is corrected months afterwards.

-- name: ledger_sums_tidy
-- Removes what came down to nothing in slot 0: no sum needs it, and pages would show a line of zeros.
CREATE FUNCTION ledger_sums_tidy() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    DELETE FROM usage_daily
    WHERE slot = 0 AND (calls, unpriced_calls, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd)
                       = (0, 0, 0, 0, 0, 0, 0);
    DELETE FROM spend_daily WHERE slot = 0 AND (calls, unpriced_calls, cost_usd) = (0, 0, 0);
END
$$;

-- name: ledger_months_gone
-- The months that were dropped. Runs from before the end of the last one have not all their rows any more, also when a
-- late row of theirs brings a partition of that month back.
CREATE TABLE ledger_months_gone (
    name text PRIMARY KEY,
    ends_at timestamptz NOT NULL
);
GRANT SELECT ON ledger_months_gone TO paid_platform;

-- name: ledger_month_leaves
-- Trigger, in the transaction that detaches a partition and before it does. Nobody adds a row to the month from here on:
-- whoever would (a late correction) waits, and then finds the month gone. The ledger's other months are not locked.
CREATE FUNCTION ledger_month_leaves() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', NEW.name);
    EXECUTE format($sql$
        WITH gone AS MATERIALIZED (
            SELECT account_id, project_id, coalesce(language_model_id, 0) AS language_model_id,
                   (created_at AT TIME ZONE 'UTC')::date AS day,
                   count(*) FILTER (WHERE kind = 'call') AS calls,
                   count(*) FILTER (WHERE kind = 'call' AND NOT is_priced)
                       - count(*) FILTER (WHERE kind = 'pricing') AS unpriced_calls,
                   sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
                   sum(cache_read_tokens) AS cache_read_tokens, sum(cache_write_tokens) AS cache_write_tokens,
                   sum(cost_usd) AS cost_usd
            FROM %I usage
            -- An account that is being erased loses its sums before its rows.
            WHERE EXISTS (SELECT FROM accounts account WHERE account.id = usage.account_id)
            GROUP BY 1, 2, 3, 4
        )
        INSERT INTO usage_daily AS kept (
            account_id, project_id, language_model_id, day, slot, calls, unpriced_calls,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd
        )
        SELECT account_id, project_id, language_model_id, day, slot, sign * calls, sign * unpriced_calls,
               sign * input_tokens, sign * output_tokens, sign * cache_read_tokens, sign * cache_write_tokens,
               sign * cost_usd
        FROM gone CROSS JOIN (VALUES (-1, 1), (0, -1)) moved (slot, sign)
        ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT (account_id, project_id, day, language_model_id, slot) DO UPDATE SET
            calls = kept.calls + excluded.calls,
            unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
            input_tokens = kept.input_tokens + excluded.input_tokens,
            output_tokens = kept.output_tokens + excluded.output_tokens,
            cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
            cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
            cost_usd = kept.cost_usd + excluded.cost_usd
    $sql$, NEW.name);
    EXECUTE format($sql$
        WITH gone AS MATERIALIZED (
            SELECT usage.account_id, by.dimension, by.dimension_id, (usage.created_at AT TIME ZONE 'UTC')::date AS day,
                   count(*) FILTER (WHERE usage.kind = 'call') AS calls,
                   count(*) FILTER (WHERE usage.kind = 'call' AND NOT usage.is_priced)
                       - count(*) FILTER (WHERE usage.kind = 'pricing') AS unpriced_calls,
                   sum(usage.cost_usd) AS cost_usd
            FROM %I usage
            JOIN agent_runs run ON run.id = usage.agent_run_id
            CROSS JOIN LATERAL (VALUES
                ('prompt_version', run.prompt_version_id), ('person', coalesce(run.requested_by_id, 0))
            ) by (dimension, dimension_id)
            GROUP BY 1, 2, 3, 4
        )
        INSERT INTO spend_daily AS kept (
            account_id, dimension, dimension_id, day, slot, calls, unpriced_calls, cost_usd
        )
        SELECT account_id, dimension, dimension_id, day, slot, sign * calls, sign * unpriced_calls, sign * cost_usd
        FROM gone CROSS JOIN (VALUES (-1, 1), (0, -1)) moved (slot, sign)
        ORDER BY 1, 2, 4, 3, 5
        ON CONFLICT (account_id, dimension, day, dimension_id, slot) DO UPDATE SET
            calls = kept.calls + excluded.calls,
            unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
            cost_usd = kept.cost_usd + excluded.cost_usd
    $sql$, NEW.name);
    PERFORM ledger_sums_tidy();
    INSERT INTO ledger_months_gone (name, ends_at) VALUES (NEW.name, NEW.ends_at) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

-- name: ledger_month_leaves_with_its_partition
-- The one place from which a partition goes: detach_partition of paid/lib/sql/partition_notice.sql.
CREATE TRIGGER ledger_month_leaves AFTER INSERT ON detached_partitions
FOR EACH ROW WHEN (NEW.parent = 'token_usages') EXECUTE FUNCTION ledger_month_leaves();
REVOKE ALL ON FUNCTION ledger_month_leaves(), ledger_sums_tidy() FROM PUBLIC;

-- reverse: ledger_months
-- The sums are whole in slot 0 again.
DROP TRIGGER ledger_month_leaves ON detached_partitions;
WITH gone AS (DELETE FROM usage_daily WHERE slot = -1 RETURNING *)
INSERT INTO usage_daily AS kept (
    account_id, project_id, language_model_id, day, slot, calls, unpriced_calls,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd
)
SELECT account_id, project_id, language_model_id, day, 0, calls, unpriced_calls,
       input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd
FROM gone ORDER BY 1, 2, 3, 4
ON CONFLICT (account_id, project_id, day, language_model_id, slot) DO UPDATE SET
    calls = kept.calls + excluded.calls,
    unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
    input_tokens = kept.input_tokens + excluded.input_tokens,
    output_tokens = kept.output_tokens + excluded.output_tokens,
    cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
    cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
    cost_usd = kept.cost_usd + excluded.cost_usd;
WITH gone AS (DELETE FROM spend_daily WHERE slot = -1 RETURNING *)
INSERT INTO spend_daily AS kept (account_id, dimension, dimension_id, day, slot, calls, unpriced_calls, cost_usd)
SELECT account_id, dimension, dimension_id, day, 0, calls, unpriced_calls, cost_usd
FROM gone ORDER BY 1, 2, 4, 3
ON CONFLICT (account_id, dimension, day, dimension_id, slot) DO UPDATE SET
    calls = kept.calls + excluded.calls,
    unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
    cost_usd = kept.cost_usd + excluded.cost_usd;
DROP FUNCTION ledger_month_leaves(), ledger_sums_tidy();
DROP TABLE ledger_months_gone;
