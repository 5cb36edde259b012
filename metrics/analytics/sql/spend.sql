-- What was spent, by the day (UTC) of the ledger row. Every breakdown of a span adds up to the same total.

-- name: by_project
-- Per project; the dearest first.
SELECT sums.id, coalesce(project.name, 'A deleted project'), sums.cost_usd, sums.calls, sums.unpriced_calls
FROM (
    SELECT project_id AS id, sum(cost_usd) AS cost_usd, sum(calls)::bigint AS calls,
           sum(unpriced_calls)::bigint AS unpriced_calls
    FROM usage_daily WHERE account_id = %(account)s AND day BETWEEN %(since)s AND %(until)s GROUP BY 1
) sums
LEFT JOIN projects project ON project.account_id = %(account)s AND project.id = sums.id
ORDER BY 3 DESC, 2, 1;

-- name: by_model
-- Per model that answered, which is not always the run's own; 0 is one that is not registered.
SELECT sums.id, coalesce(model.name, 'A model that is not registered'), sums.cost_usd, sums.calls, sums.unpriced_calls
FROM (
    SELECT language_model_id AS id, sum(cost_usd) AS cost_usd, sum(calls)::bigint AS calls,
           sum(unpriced_calls)::bigint AS unpriced_calls
    FROM usage_daily WHERE account_id = %(account)s AND day BETWEEN %(since)s AND %(until)s GROUP BY 1
) sums
LEFT JOIN language_models model ON model.id = sums.id AND model.account_id IN (0, %(account)s)
ORDER BY 3 DESC, 2, 1;

-- name: by_prompt
-- Per prompt version.
SELECT sums.id, coalesce(prompt.name || ' v' || version.version, 'A deleted prompt'),
       sums.cost_usd, sums.calls, sums.unpriced_calls
FROM (
    SELECT dimension_id AS id, sum(cost_usd) AS cost_usd, sum(calls)::bigint AS calls,
           sum(unpriced_calls)::bigint AS unpriced_calls
    FROM spend_daily
    WHERE account_id = %(account)s AND dimension = 'prompt_version' AND day BETWEEN %(since)s AND %(until)s GROUP BY 1
) sums
LEFT JOIN prompt_versions version ON version.id = sums.id AND version.account_id IN (0, %(account)s)
LEFT JOIN prompts prompt ON prompt.id = version.prompt_id
ORDER BY 3 DESC, 2, 1;

-- name: by_person
-- Per person who asked for the run; 0 where a label, the poll or the API did.
SELECT sums.id,
       CASE WHEN sums.id = 0 THEN 'Nobody (a label or the API)'
            ELSE coalesce(nullif(person.name, ''), person.email, 'A former member') END,
       sums.cost_usd, sums.calls, sums.unpriced_calls
FROM (
    SELECT dimension_id AS id, sum(cost_usd) AS cost_usd, sum(calls)::bigint AS calls,
           sum(unpriced_calls)::bigint AS unpriced_calls
    FROM spend_daily
    WHERE account_id = %(account)s AND dimension = 'person' AND day BETWEEN %(since)s AND %(until)s GROUP BY 1
) sums
LEFT JOIN users person ON person.id = sums.id
ORDER BY 3 DESC, 2, 1;

-- name: by_day
-- Per day; days without a call are zero.
SELECT extract(epoch FROM day)::bigint / 86400, to_char(day, 'YYYY-MM-DD'), coalesce(sums.cost_usd, 0),
       coalesce(sums.calls, 0), coalesce(sums.unpriced_calls, 0)
FROM generate_series(%(since)s::date, %(until)s::date, interval '1 day') day
LEFT JOIN (
    SELECT day AS of, sum(cost_usd) AS cost_usd, sum(calls)::bigint AS calls,
           sum(unpriced_calls)::bigint AS unpriced_calls
    FROM usage_daily WHERE account_id = %(account)s AND day BETWEEN %(since)s AND %(until)s GROUP BY 1
) sums ON sums.of = day::date
ORDER BY 1;

-- name: forecast
-- What the month has cost, and what its remaining days may cost; see metrics.analytics.forecast for the method.
-- One row: spent, days of history, days that remain (today too), mean and standard deviation per day.
WITH daily AS (
    SELECT day, sum(cost_usd) AS usd FROM usage_daily
    WHERE account_id = %(account)s
      AND day >= least(date_trunc('month', %(today)s::date)::date, %(today)s::date - 28) AND day <= %(today)s
    GROUP BY 1
), history AS (
    SELECT span.day::date AS day, coalesce(daily.usd, 0) AS usd
    -- Nothing for an account without a call: a series from NULL has no rows, while greatest() would pass NULL by.
    FROM (SELECT min(day) AS day FROM usage_daily WHERE account_id = %(account)s) AS first
    CROSS JOIN LATERAL generate_series(
        CASE WHEN first.day IS NOT NULL THEN greatest(first.day, %(today)s::date - 28) END,
        %(today)s::date - 1, interval '1 day') AS span (day)
    LEFT JOIN daily ON daily.day = span.day::date
)
SELECT (SELECT coalesce(sum(usd), 0) FROM daily WHERE day >= date_trunc('month', %(today)s::date)),
       (SELECT coalesce(sum(usd), 0) FROM daily WHERE day = %(today)s),
       count(*), (date_trunc('month', %(today)s::date) + interval '1 month')::date - %(today)s::date,
       avg(usd), stddev_samp(usd)
FROM history;
