-- name: usage_daily_add
-- Adds the inserted ledger rows to the day's sums in the same transaction.
-- One slot of 16 per run, so that concurrent writers of one project do not queue on one row lock: calls of one run
-- wait for each other on the run's row anyway, and runs of one hour have numbers that follow each other.
CREATE FUNCTION usage_daily_add() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO usage_daily AS day_sum (
        account_id, project_id, language_model_id, day, slot, calls, unpriced_calls,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd
    )
    SELECT account_id, project_id, coalesce(language_model_id, 0), (created_at AT TIME ZONE 'UTC')::date,
           agent_run_id % 16,
           count(*) FILTER (WHERE kind = 'call'),
           -- A call that was unpriced is none any more once a `pricing` row has priced it.
           count(*) FILTER (WHERE kind = 'call' AND NOT is_priced) - count(*) FILTER (WHERE kind = 'pricing'),
           sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(cost_usd)
    FROM inserted
    GROUP BY 1, 2, 3, 4, 5
    -- One order for everybody: two statements that add to the same days cannot deadlock.
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (account_id, project_id, day, language_model_id, slot) DO UPDATE SET
        calls = day_sum.calls + excluded.calls,
        unpriced_calls = day_sum.unpriced_calls + excluded.unpriced_calls,
        input_tokens = day_sum.input_tokens + excluded.input_tokens,
        output_tokens = day_sum.output_tokens + excluded.output_tokens,
        cache_read_tokens = day_sum.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = day_sum.cache_write_tokens + excluded.cache_write_tokens,
        cost_usd = day_sum.cost_usd + excluded.cost_usd;
    RETURN NULL;
END
$$;

-- name: token_usages_daily
-- Once per statement on the partitioned parent, however many rows and partitions it touched.
CREATE TRIGGER token_usages_daily
AFTER INSERT ON token_usages
REFERENCING NEW TABLE AS inserted
FOR EACH STATEMENT EXECUTE FUNCTION usage_daily_add();

-- reverse: usage_daily
-- Drops what this file made, the callers first.
DROP TRIGGER token_usages_daily ON token_usages;
DROP FUNCTION
    usage_daily_add();
