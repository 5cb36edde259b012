-- The figures of the overview page: one statement, because four of them took longer to ask than to answer.

-- name: days
-- Per day of the span: runs asked for on it that completed, failed, and the others (stopped, or live and read from their
-- few rows); what its ledger rows cost, and how many have no price. With each day the same two figures of today and of
-- the span: the account's daily limit (NULL: none) and how many of its runs' pull requests were merged, as the quality
-- page counts them.
SELECT day::date, coalesce(runs.completed, 0), coalesce(runs.failed, 0), coalesce(runs.other, 0),
       coalesce(spent.cost_usd, 0), coalesce(spent.unpriced_calls, 0),
       (SELECT limit_usd FROM cost_budgets
        WHERE account_id = %(account)s AND project_id IS NULL AND period = 'day'
        ORDER BY id LIMIT 1),
       (SELECT coalesce(sum(merged), 0)::bigint FROM quality_daily
        WHERE account_id = %(account)s AND dimension = 'all' AND day BETWEEN %(since)s AND %(until)s)
FROM generate_series(%(since)s::date::timestamp, %(until)s::date, interval '1 day') AS day
LEFT JOIN (
    SELECT day, sum(completed)::bigint AS completed, sum(failed)::bigint AS failed, sum(other)::bigint AS other
    FROM (
        SELECT day, completed, failed, stopped AS other FROM runs_daily
        WHERE account_id = %(account)s AND dimension = 'all' AND day BETWEEN %(since)s AND %(until)s
        UNION ALL
        SELECT (created_at AT TIME ZONE 'UTC')::date, 0, 0, 1 FROM agent_runs
        WHERE account_id = %(account)s AND status IN ('queued', 'preparing', 'running', 'paused', 'publishing')
          AND (created_at AT TIME ZONE 'UTC')::date BETWEEN %(since)s AND %(until)s
    ) asked
    GROUP BY 1
) runs USING (day)
LEFT JOIN (
    -- Each ledger row is in the sums of one person, 0 where nobody asked: a tenth of the rows that `usage_daily` has.
    SELECT day, sum(cost_usd) AS cost_usd, sum(unpriced_calls)::bigint AS unpriced_calls FROM spend_daily
    WHERE account_id = %(account)s AND dimension = 'person' AND day BETWEEN %(since)s AND %(until)s
    GROUP BY 1
) spent USING (day)
ORDER BY day;
