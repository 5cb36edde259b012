-- name: usage_daily_lack
-- Days whose sums differ from the ledger's rows: what the rows have more than the sums, and what the sums are. The sums of
-- what dropped months came to (slot -1, ledger_months.sql) are apart: no rows are left to compare them with.
-- One statement, one snapshot: rows and sums change in the same transaction, so nothing that is being written can look
-- like a difference. But a partition that leaves is seen at once: who asks beside that has locked the ledger before
-- (ACCESS SHARE), or would see it gone and the sums from before.
CREATE FUNCTION usage_daily_lack()
RETURNS TABLE (
    account_id bigint, project_id bigint, language_model_id bigint, day date,
    calls bigint, unpriced_calls bigint, input_tokens bigint, output_tokens bigint,
    cache_read_tokens bigint, cache_write_tokens bigint, cost_usd numeric, daily_calls bigint, daily_usd numeric
)
LANGUAGE sql STABLE
AS $$
    WITH ledger AS (
        SELECT u.account_id, u.project_id, coalesce(u.language_model_id, 0) AS language_model_id,
               (u.created_at AT TIME ZONE 'UTC')::date AS day,
               count(*) FILTER (WHERE u.kind = 'call') AS calls,
               count(*) FILTER (WHERE u.kind = 'call' AND NOT u.is_priced)
                   - count(*) FILTER (WHERE u.kind = 'pricing') AS unpriced,
               sum(u.input_tokens) AS input, sum(u.output_tokens) AS output,
               sum(u.cache_read_tokens) AS cache_read, sum(u.cache_write_tokens) AS cache_write,
               sum(u.cost_usd) AS usd
        FROM token_usages u
        -- An account that is being erased loses its sums before its rows.
        WHERE EXISTS (SELECT FROM accounts account WHERE account.id = u.account_id)
        GROUP BY 1, 2, 3, 4
    ), daily AS (
        SELECT d.account_id, d.project_id, d.language_model_id, d.day,
               sum(d.calls) AS calls, sum(d.unpriced_calls) AS unpriced,
               sum(d.input_tokens) AS input, sum(d.output_tokens) AS output,
               sum(d.cache_read_tokens) AS cache_read, sum(d.cache_write_tokens) AS cache_write,
               sum(d.cost_usd) AS usd
        FROM usage_daily d WHERE d.slot >= 0 GROUP BY 1, 2, 3, 4
    ), lack AS (
        SELECT account_id, project_id, language_model_id, day,
               (coalesce(l.calls, 0) - coalesce(d.calls, 0))::bigint AS calls,
               (coalesce(l.unpriced, 0) - coalesce(d.unpriced, 0))::bigint AS unpriced,
               (coalesce(l.input, 0) - coalesce(d.input, 0))::bigint AS input,
               (coalesce(l.output, 0) - coalesce(d.output, 0))::bigint AS output,
               (coalesce(l.cache_read, 0) - coalesce(d.cache_read, 0))::bigint AS cache_read,
               (coalesce(l.cache_write, 0) - coalesce(d.cache_write, 0))::bigint AS cache_write,
               coalesce(l.usd, 0) - coalesce(d.usd, 0) AS usd,
               coalesce(d.calls, 0)::bigint AS daily_calls, coalesce(d.usd, 0) AS daily_usd
        FROM ledger l FULL JOIN daily d USING (account_id, project_id, language_model_id, day)
    )
    SELECT * FROM lack
    WHERE 0 <> ANY (ARRAY[calls, unpriced, input, output, cache_read, cache_write, usd])
    ORDER BY 1, 2, 3, 4
$$;

-- name: usage_daily_drift
-- The same as what the rows and the sums say.
CREATE FUNCTION usage_daily_drift()
RETURNS TABLE (
    account_id bigint, project_id bigint, language_model_id bigint, day date,
    ledger_calls bigint, daily_calls bigint, ledger_usd numeric, daily_usd numeric
)
LANGUAGE sql STABLE
AS $$
    SELECT l.account_id, l.project_id, l.language_model_id, l.day,
           l.daily_calls + l.calls, l.daily_calls, l.daily_usd + l.cost_usd, l.daily_usd
    FROM usage_daily_lack() l
    ORDER BY 1, 2, 3, 4
$$;

-- name: usage_daily_repair
-- Adds to the drifted days what they lack and gives what they were. No writer waits: what is added to a day meanwhile is
-- neither in the difference nor lost by it. One repair at a time, or two would add the same.
CREATE FUNCTION usage_daily_repair()
RETURNS TABLE (
    account_id bigint, project_id bigint, language_model_id bigint, day date,
    ledger_calls bigint, daily_calls bigint, ledger_usd numeric, daily_usd numeric
)
-- As the owner: nobody else may delete a day's sum.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    LOCK TABLE usage_daily IN SHARE UPDATE EXCLUSIVE MODE;
    RETURN QUERY
    WITH lack AS MATERIALIZED (SELECT * FROM usage_daily_lack())
    , added AS (
        INSERT INTO usage_daily AS kept (
            account_id, project_id, language_model_id, day, slot, calls, unpriced_calls,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd
        )
        SELECT l.account_id, l.project_id, l.language_model_id, l.day, 0, l.calls, l.unpriced_calls,
               l.input_tokens, l.output_tokens, l.cache_read_tokens, l.cache_write_tokens, l.cost_usd
        FROM lack l ORDER BY 1, 2, 3, 4
        ON CONFLICT (account_id, project_id, day, language_model_id, slot) DO UPDATE SET
            calls = kept.calls + excluded.calls,
            unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
            input_tokens = kept.input_tokens + excluded.input_tokens,
            output_tokens = kept.output_tokens + excluded.output_tokens,
            cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
            cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
            cost_usd = kept.cost_usd + excluded.cost_usd
    )
    SELECT l.account_id, l.project_id, l.language_model_id, l.day,
           l.daily_calls + l.calls, l.daily_calls, l.daily_usd + l.cost_usd, l.daily_usd
    FROM lack l ORDER BY 1, 2, 3, 4;
    PERFORM ledger_sums_tidy();
END
$$;

-- name: run_cost_drift
-- Runs whose sums, with what is still unposted of them, differ from their ledger rows. Not those whose month is gone: they
-- have no rows, or a late one that does not say all.
CREATE FUNCTION run_cost_drift()
RETURNS TABLE (run_id bigint, ledger_usd numeric, run_usd numeric)
LANGUAGE sql STABLE
AS $$
    SELECT a.id, coalesce(l.usd, 0), a.cost_usd + coalesce(r.unposted_usd, 0)
    FROM agent_runs a
    LEFT JOIN budget_reservations r ON r.agent_run_id = a.id
    LEFT JOIN (
        SELECT u.agent_run_id, sum(u.cost_usd) AS usd,
               sum(u.input_tokens) AS input, sum(u.output_tokens) AS output,
               sum(u.cache_read_tokens) AS cache_read, sum(u.cache_write_tokens) AS cache_write,
               count(*) FILTER (WHERE u.kind = 'call' AND NOT u.is_priced)
                   - count(*) FILTER (WHERE u.kind = 'pricing') AS unpriced
        FROM token_usages u GROUP BY 1
    ) l ON l.agent_run_id = a.id
    WHERE a.created_at >= (SELECT coalesce(max(gone.ends_at), '-infinity') FROM ledger_months_gone gone)
      AND (a.cost_usd + coalesce(r.unposted_usd, 0),
           a.input_tokens + coalesce(r.unposted_input_tokens, 0),
           a.output_tokens + coalesce(r.unposted_output_tokens, 0),
           a.cache_read_tokens + coalesce(r.unposted_cache_read_tokens, 0),
           a.cache_write_tokens + coalesce(r.unposted_cache_write_tokens, 0),
           a.unpriced_calls + coalesce(r.unposted_unpriced_calls, 0))
          IS DISTINCT FROM (coalesce(l.usd, 0), coalesce(l.input, 0), coalesce(l.output, 0),
                            coalesce(l.cache_read, 0), coalesce(l.cache_write, 0), coalesce(l.unpriced, 0))
    ORDER BY 1
$$;

-- name: run_cost_repair
-- Sets the sums of drifted runs to their ledger rows and gives what they were; what is unposted is among the rows.
-- All runs and then their escrows are locked first, as settling a call does, and each counted again under the locks: none
-- changes in between, and nobody who waits for one of them has a sum of its day.
CREATE FUNCTION run_cost_repair()
RETURNS TABLE (run_id bigint, ledger_usd numeric, run_usd numeric)
LANGUAGE plpgsql
AS $$
DECLARE
    drifted bigint[] := ARRAY(SELECT d.run_id FROM run_cost_drift() d);
    ledger record;
BEGIN
    PERFORM 1 FROM agent_runs a WHERE a.id = ANY (drifted) ORDER BY a.id FOR NO KEY UPDATE;
    PERFORM 1 FROM budget_reservations r WHERE r.agent_run_id = ANY (drifted) ORDER BY r.agent_run_id FOR UPDATE;
    FOREACH run_id IN ARRAY drifted LOOP
        SELECT coalesce(sum(u.cost_usd), 0) AS usd, coalesce(sum(u.input_tokens), 0) AS input,
               coalesce(sum(u.output_tokens), 0) AS output, coalesce(sum(u.cache_read_tokens), 0) AS cache_read,
               coalesce(sum(u.cache_write_tokens), 0) AS cache_write,
               count(*) FILTER (WHERE u.kind = 'call' AND NOT u.is_priced)
                   - count(*) FILTER (WHERE u.kind = 'pricing') AS unpriced
        INTO ledger
        FROM token_usages u WHERE u.agent_run_id = run_cost_repair.run_id;
        SELECT a.cost_usd + coalesce(r.unposted_usd, 0) INTO run_usd
        FROM agent_runs a LEFT JOIN budget_reservations r ON r.agent_run_id = a.id
        WHERE a.id = run_cost_repair.run_id;
        UPDATE agent_runs a SET
            cost_usd = ledger.usd, input_tokens = ledger.input, output_tokens = ledger.output,
            cache_read_tokens = ledger.cache_read, cache_write_tokens = ledger.cache_write,
            unpriced_calls = ledger.unpriced
        WHERE a.id = run_cost_repair.run_id;
        PERFORM spend_forget(run_id);
        ledger_usd := ledger.usd;
        RETURN NEXT;
    END LOOP;
END
$$;

-- name: reconcile_privileges
-- Money is the platform's business: no tenant and nobody else calls these.
REVOKE ALL ON FUNCTION
    usage_daily_lack(),
    usage_daily_drift(),
    usage_daily_repair(),
    run_cost_drift(),
    run_cost_repair()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    usage_daily_lack(),
    usage_daily_drift(),
    usage_daily_repair(),
    run_cost_drift(),
    run_cost_repair()
TO paid_platform;

-- reverse: reconcile
-- Drops what this file made, the callers first.
DROP FUNCTION
    run_cost_repair(),
    run_cost_drift(),
    usage_daily_repair(),
    usage_daily_drift(),
    usage_daily_lack();
