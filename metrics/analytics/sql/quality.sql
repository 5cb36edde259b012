-- What runs were worth. NULL is not known: an unscored run takes no place in an average.

-- name: rolling_by_variant
-- The last points of each variant: the mean of a scored run and the 29 scored ones before it.
-- Reads the newest (points + 29) of each variant from the index quality_metrics_rolling, then slides the window.
SELECT variant.id, scored.agent_run_id, scored.created_at, scored.quality_score, scored.mean, scored.runs
FROM ab_variants variant
CROSS JOIN LATERAL (
    SELECT agent_run_id, created_at, quality_score,
           avg(quality_score) OVER last_30 AS mean, count(*) OVER last_30 AS runs,
           row_number() OVER (ORDER BY created_at DESC, id DESC) AS age
    FROM (
        SELECT id, agent_run_id, created_at, quality_score FROM quality_metrics
        WHERE account_id = %(account)s AND ab_variant_id = variant.id AND quality_score IS NOT NULL
        ORDER BY created_at DESC, id DESC LIMIT %(points)s + 29
    ) newest
    WINDOW last_30 AS (ORDER BY created_at, id ROWS BETWEEN 29 PRECEDING AND CURRENT ROW)
) scored
WHERE variant.account_id = %(account)s AND variant.ab_test_id = %(ab_test)s AND scored.age <= %(points)s
ORDER BY variant.id, scored.created_at, scored.agent_run_id;

-- name: trend
-- Per day of the span: how many runs were scored, their mean, and the mean over seven days weighted by runs.
SELECT of.day::date, coalesce(scored, 0), score_sum / nullif(scored, 0),
       sum(score_sum) OVER week / nullif(sum(scored) OVER week, 0)
FROM generate_series(%(since)s::date, %(until)s::date, interval '1 day') AS of (day)
LEFT JOIN quality_daily kept ON kept.account_id = %(account)s AND kept.dimension = 'all' AND kept.dimension_id = 0
     AND kept.day = of.day::date
WINDOW week AS (ORDER BY of.day ROWS BETWEEN 6 PRECEDING AND CURRENT ROW)
ORDER BY 1;

-- name: worst_runs
-- The lowest scores of the context's account in the span.
SELECT agent_run_id, quality_score FROM worst_runs(%(since)s, %(until)s, %(limit)s)
