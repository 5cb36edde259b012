-- How runs ended: the kept sums of ended runs. NULL stands for what cannot be known: a share of nothing.

-- name: cohorts
-- Per value of one dimension: runs, how many succeeded, what they cost, what they were worth.
SELECT ended.id,
       CASE %(dimension)s
           WHEN 'prompt_version' THEN (
               SELECT prompt.name || ' v' || version.version FROM prompt_versions version
               JOIN prompts prompt ON prompt.id = version.prompt_id
               WHERE version.id = ended.id AND version.account_id IN (0, %(account)s))
           WHEN 'language_model' THEN (
               SELECT name FROM language_models WHERE id = ended.id AND account_id IN (0, %(account)s))
           WHEN 'project' THEN (SELECT name FROM projects WHERE id = ended.id AND account_id = %(account)s)
       END,
       ended.runs, ended.completed, ended.failed, ended.stopped, ended.cost_usd, ended.mean_seconds,
       coalesce(worth.scored, 0), worth.mean_score, coalesce(worth.merged, 0), coalesce(worth.unmerged, 0)
FROM (
    SELECT dimension_id AS id, sum(completed + failed + stopped)::bigint AS runs, sum(completed)::bigint AS completed,
           sum(failed)::bigint AS failed, sum(stopped)::bigint AS stopped, sum(cost_usd) AS cost_usd,
           (sum(milliseconds) / 1000.0 / nullif(sum(timed), 0))::double precision AS mean_seconds
    FROM runs_daily
    WHERE account_id = %(account)s AND dimension = %(dimension)s AND day BETWEEN %(since)s AND %(until)s
    GROUP BY 1
    HAVING sum(completed + failed + stopped) > 0
) ended
LEFT JOIN (
    SELECT dimension_id AS id, sum(scored)::bigint AS scored, sum(score_sum) / nullif(sum(scored), 0) AS mean_score,
           sum(merged)::bigint AS merged, sum(unmerged)::bigint AS unmerged
    FROM quality_daily
    WHERE account_id = %(account)s AND dimension = %(dimension)s AND day BETWEEN %(since)s AND %(until)s
    GROUP BY 1
) worth ON worth.id = ended.id
ORDER BY ended.runs DESC, ended.id;

-- name: outcomes
-- One row: how the runs of a span ended.
SELECT coalesce(sum(completed), 0)::bigint, coalesce(sum(failed), 0)::bigint, coalesce(sum(stopped), 0)::bigint
FROM runs_daily
WHERE account_id = %(account)s AND dimension = 'all' AND day BETWEEN %(since)s AND %(until)s;

-- name: project_totals
-- Per project, of all time: runs, what they cost, and when the last one was asked for. Live ones are in it.
SELECT totals.id, totals.runs, totals.cost_usd, newest.created_at
FROM (
    SELECT id, sum(runs)::bigint AS runs, sum(cost_usd) AS cost_usd
    FROM (
        SELECT dimension_id AS id, completed + failed + stopped AS runs, cost_usd FROM runs_daily
        WHERE account_id = %(account)s AND dimension = 'project'
        UNION ALL
        SELECT project_id, 1, cost_usd FROM agent_runs
        WHERE account_id = %(account)s AND status IN ('queued', 'preparing', 'running', 'paused', 'publishing')
    ) runs
    GROUP BY 1 HAVING sum(runs) > 0
) totals
CROSS JOIN LATERAL (
    SELECT created_at FROM agent_runs
    WHERE account_id = %(account)s AND project_id = totals.id ORDER BY created_at DESC, id DESC LIMIT 1
) newest;

-- name: history_by_model
-- Per model, of the newest runs of one project that succeeded or failed: how many, what became of their pull requests,
-- what one cost on average where all of its calls had a price. The index agent_runs_recent gives the newest.
SELECT newest.language_model_id, count(*), count(*) FILTER (WHERE newest.status = 'completed'),
       count(*) FILTER (WHERE worth.is_merged), count(*) FILTER (WHERE NOT worth.is_merged),
       avg(newest.cost_usd) FILTER (WHERE newest.unpriced_calls = 0)
FROM (
    SELECT id, language_model_id, status, cost_usd, unpriced_calls FROM agent_runs
    WHERE account_id = %(account)s AND project_id = %(project)s AND status IN ('completed', 'failed')
    ORDER BY created_at DESC, id DESC LIMIT %(newest)s
) newest
LEFT JOIN quality_metrics worth ON worth.account_id = %(account)s AND worth.agent_run_id = newest.id
GROUP BY 1;

-- name: percentiles_exact
-- Median, 90th and 99th percentile of the runs themselves, linear between the neighbours.
SELECT percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY value)
FROM (
    SELECT CASE %(measure)s WHEN 'usd' THEN cost_usd::double precision
           ELSE extract(epoch FROM finished_at - started_at)::double precision END AS value
    FROM agent_runs
    WHERE account_id = %(account)s AND finished_at IS NOT NULL
      AND created_at >= %(since)s::date::timestamp AT TIME ZONE 'UTC'
      AND created_at < (%(until)s::date + 1)::timestamp AT TIME ZONE 'UTC'
) runs
WHERE value IS NOT NULL;

-- name: percentiles_of_buckets
-- The same from the histograms: the value of the bucket in which the run of that rank lies.
WITH counted AS (
    SELECT bucket, sum(runs) AS runs FROM run_histograms
    WHERE account_id = %(account)s AND measure = %(measure)s AND day BETWEEN %(since)s AND %(until)s
    GROUP BY 1 HAVING sum(runs) > 0
), ranked AS (
    SELECT bucket, sum(runs) OVER (ORDER BY bucket) AS below_or_in, sum(runs) OVER () AS total FROM counted
)
SELECT array_agg((SELECT histogram_value(min(bucket)) FROM ranked WHERE below_or_in >= share * total) ORDER BY share)
FROM unnest(ARRAY[0.5, 0.9, 0.99]) share;
