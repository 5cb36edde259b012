-- name: budget_alerts_raise
-- Writes down which budgets have passed a threshold (their own, and all of the limit) and gives how many are new.
-- The unique row makes it once per budget, period and threshold, however many callers look at the same time. The
-- period before is looked at too: what was spent in its last minute is seen in the first one after it. A `run`
-- budget is passed by runs, each of which has a row of its own.
CREATE FUNCTION budget_alerts_raise() RETURNS bigint
LANGUAGE sql
AS $$
    WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day),
    periods (period, starts_on, ends_before) AS (
        SELECT 'day', day, day + 1 FROM today
        UNION ALL SELECT 'day', day - 1, day FROM today
        UNION ALL SELECT 'month', date_trunc('month', day)::date,
                         (date_trunc('month', day) + interval '1 month')::date FROM today
        UNION ALL SELECT 'month', (date_trunc('month', day) - interval '1 month')::date,
                         date_trunc('month', day)::date FROM today
    ),
    used AS (
        SELECT b.id AS budget_id, b.account_id, NULL::bigint AS run_id, p.starts_on, b.limit_usd, b.alert_threshold,
               (SELECT coalesce(sum(u.cost_usd), 0) FROM usage_daily u
                WHERE u.account_id = b.account_id AND (b.project_id IS NULL OR u.project_id = b.project_id)
                  AND u.day >= p.starts_on AND u.day < p.ends_before) AS spent_usd
        FROM cost_budgets b JOIN periods p ON p.period = b.period
        -- A budget says nothing about a time before there was one.
        WHERE p.ends_before > (b.created_at AT TIME ZONE 'UTC')::date
        UNION ALL
        SELECT b.id, b.account_id, a.id, (a.created_at AT TIME ZONE 'UTC')::date, b.limit_usd, b.alert_threshold,
               a.cost_usd
        FROM cost_budgets b
        JOIN agent_runs a ON a.account_id = b.account_id AND (b.project_id IS NULL OR a.project_id = b.project_id)
        WHERE b.period = 'run' AND a.created_at >= b.created_at AND a.cost_usd > 0
          AND (a.finished_at IS NULL OR a.finished_at > now() - interval '1 hour')
          AND a.created_at > now() - interval '9 days'
    ),
    raised AS (
        INSERT INTO budget_alerts (
            account_id, cost_budget_id, agent_run_id, period_starts_on, threshold, limit_usd, spent_usd
        )
        SELECT u.account_id, u.budget_id, u.run_id, u.starts_on, t.threshold, u.limit_usd, u.spent_usd
        FROM used u CROSS JOIN LATERAL (SELECT DISTINCT unnest(ARRAY[u.alert_threshold, 1]) AS threshold) t
        WHERE u.spent_usd > 0 AND u.spent_usd >= u.limit_usd * t.threshold
        ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM raised
$$;

-- name: budget_alert_of_pause
-- Writes down why a run waits for money: the hard budgets that have nothing left for it or, when it is none of them,
-- the run's own limit (no budget). Gives how many are new.
CREATE FUNCTION budget_alert_of_pause(p_run_id bigint, p_limit_usd numeric) RETURNS bigint
LANGUAGE sql
AS $$
    WITH run AS (
        SELECT a.id, a.account_id, a.project_id, a.cost_usd, (now() AT TIME ZONE 'UTC')::date AS day, r.drawn_usd,
               r.amount_usd - r.drawn_usd AS rest_usd
        FROM agent_runs a JOIN budget_reservations r ON r.agent_run_id = a.id
        WHERE a.id = p_run_id
    ),
    -- Its escrow is closed by now: what it could not use for its next call is back and does not count as room.
    out AS (
        SELECT l.* FROM run
        CROSS JOIN LATERAL budget_left(run.account_id, run.project_id) l
        WHERE l.is_hard
          AND CASE l.period WHEN 'run' THEN l.left_usd - run.drawn_usd ELSE l.left_usd END <= run.rest_usd
    ),
    raised AS (
        INSERT INTO budget_alerts (
            account_id, cost_budget_id, agent_run_id, period_starts_on, threshold, limit_usd, spent_usd
        )
        SELECT run.account_id, out.budget_id, CASE WHEN out.period = 'run' OR out.budget_id IS NULL THEN run.id END,
               CASE out.period WHEN 'month' THEN date_trunc('month', run.day)::date ELSE run.day END, 1,
               coalesce(out.limit_usd, p_limit_usd),
               CASE WHEN out.period IN ('day', 'month') THEN out.limit_usd - out.left_usd ELSE run.cost_usd END
        FROM run LEFT JOIN out ON true
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM raised
$$;

-- name: budget_alerts_claim
-- Takes alerts that somebody has yet to tell, for `p_lease`: a sender that dies leaves them due again.
CREATE FUNCTION budget_alerts_claim(p_limit bigint, p_lease interval) RETURNS SETOF bigint
LANGUAGE sql
AS $$
    UPDATE budget_alerts SET due_at = clock_timestamp() + p_lease, attempts = attempts + 1
    WHERE id IN (
        SELECT a.id FROM budget_alerts a
        WHERE a.told_at IS NULL AND a.due_at <= clock_timestamp()
        ORDER BY a.due_at, a.id LIMIT p_limit FOR UPDATE SKIP LOCKED
    )
    RETURNING id
$$;

-- name: alerts_privileges
-- A tenant reads its alerts and says where they go; only the platform raises and sends them.
REVOKE ALL ON FUNCTION
    budget_alerts_raise(),
    budget_alert_of_pause(bigint, numeric),
    budget_alerts_claim(bigint, interval)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    budget_alerts_raise(),
    budget_alert_of_pause(bigint, numeric),
    budget_alerts_claim(bigint, interval)
TO paid_platform;
GRANT SELECT ON budget_alerts TO paid_tenant;
GRANT SELECT, INSERT, UPDATE ON budget_alerts TO paid_platform;
GRANT SELECT, INSERT, UPDATE, DELETE ON alert_webhooks TO paid_tenant, paid_platform;

-- reverse: alerts
-- Drops what this file made.
DROP FUNCTION
    budget_alerts_claim(bigint, interval),
    budget_alert_of_pause(bigint, numeric),
    budget_alerts_raise();
