-- name: usage_daily_drift
-- Days whose sums differ from the ledger's rows, for the time that the ledger still holds.
CREATE FUNCTION usage_daily_drift()
RETURNS TABLE (
    account_id bigint, project_id bigint, language_model_id bigint, day date,
    ledger_calls bigint, daily_calls bigint, ledger_usd numeric, daily_usd numeric
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
        FROM token_usages u GROUP BY 1, 2, 3, 4
    ), daily AS (
        SELECT d.account_id, d.project_id, d.language_model_id, d.day,
               sum(d.calls) AS calls, sum(d.unpriced_calls) AS unpriced,
               sum(d.input_tokens) AS input, sum(d.output_tokens) AS output,
               sum(d.cache_read_tokens) AS cache_read, sum(d.cache_write_tokens) AS cache_write,
               sum(d.cost_usd) AS usd
        FROM usage_daily d GROUP BY 1, 2, 3, 4
    )
    SELECT account_id, project_id, language_model_id, day,
           coalesce(l.calls, 0)::bigint, coalesce(d.calls, 0)::bigint, coalesce(l.usd, 0), coalesce(d.usd, 0)
    FROM ledger l FULL JOIN daily d USING (account_id, project_id, language_model_id, day)
    WHERE (l.calls, l.unpriced, l.input, l.output, l.cache_read, l.cache_write, l.usd)
          IS DISTINCT FROM (d.calls, d.unpriced, d.input, d.output, d.cache_read, d.cache_write, d.usd)
      -- Sums outlive the ledger's partitions, which go by the run's start: a run of the month dropped last may have
      -- calls in the first days of the oldest month that is left, so these days cannot be compared any more.
      AND day >= (
          SELECT CASE
              WHEN EXISTS (SELECT 1 FROM usage_daily older WHERE older.day < min(oldest.day)) THEN min(oldest.month) + 2
              ELSE min(oldest.day)
          END
          FROM (
              SELECT (u.created_at AT TIME ZONE 'UTC')::date AS day,
                     date_trunc('month', u.run_created_at AT TIME ZONE 'UTC')::date AS month
              FROM token_usages u
          ) oldest
      )
    ORDER BY 1, 2, 3, 4
$$;

-- name: usage_daily_repair
-- Makes the drifted days equal to the ledger again and gives what they were.
-- Writers wait while it runs: a sum that changes between the comparison and the correction would be wrong for ever.
CREATE FUNCTION usage_daily_repair()
RETURNS TABLE (
    account_id bigint, project_id bigint, language_model_id bigint, day date,
    ledger_calls bigint, daily_calls bigint, ledger_usd numeric, daily_usd numeric
)
-- As the owner: nobody else may delete a day's sum.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    drift record;
BEGIN
    LOCK TABLE usage_daily IN SHARE ROW EXCLUSIVE MODE;
    FOR drift IN SELECT * FROM usage_daily_drift() LOOP
        DELETE FROM usage_daily d
        WHERE d.account_id = drift.account_id AND d.project_id = drift.project_id
          AND d.language_model_id = drift.language_model_id AND d.day = drift.day;
        INSERT INTO usage_daily (
            account_id, project_id, language_model_id, day, slot, calls, unpriced_calls,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd
        )
        SELECT drift.account_id, drift.project_id, drift.language_model_id, drift.day, 0,
               count(*) FILTER (WHERE u.kind = 'call'),
               count(*) FILTER (WHERE u.kind = 'call' AND NOT u.is_priced) - count(*) FILTER (WHERE u.kind = 'pricing'),
               sum(u.input_tokens), sum(u.output_tokens), sum(u.cache_read_tokens), sum(u.cache_write_tokens),
               sum(u.cost_usd)
        FROM token_usages u
        WHERE u.account_id = drift.account_id AND u.project_id = drift.project_id
          AND coalesce(u.language_model_id, 0) = drift.language_model_id
          AND (u.created_at AT TIME ZONE 'UTC')::date = drift.day
        HAVING count(*) > 0;
        RETURN QUERY SELECT drift.account_id, drift.project_id, drift.language_model_id, drift.day,
                            drift.ledger_calls, drift.daily_calls, drift.ledger_usd, drift.daily_usd;
    END LOOP;
END
$$;

-- name: run_cost_drift
-- Runs whose sums, with what is still unposted of them, differ from their ledger rows.
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
    WHERE a.created_at >= (SELECT min(u.run_created_at) FROM token_usages u)
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
    usage_daily_drift(),
    usage_daily_repair(),
    run_cost_drift(),
    run_cost_repair()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
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
    usage_daily_drift();
