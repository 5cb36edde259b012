-- The same sums from the rows themselves, to prove the kept ones and to mend them. One account and a span of days at a
-- time: the comparison needs no lock, the repair holds its locks for that span only.

-- name: rollup_row
-- One sum of one rollup. `subject` is the dimension's id, or the histogram's bucket; `sums` in the order of the columns.
CREATE TYPE rollup_row AS (rollup text, dimension text, subject bigint, day date, sums numeric[]);

-- name: rollup_drift_row
-- A sum that differs from the rows.
CREATE TYPE rollup_drift_row AS (
    rollup text, dimension text, subject bigint, day date, raw numeric[], kept numeric[]
);

-- name: rollups_raw
-- What the rows say, for one account and the days [p_from, p_to). Spend only from `p_ledger_from` on: before, the
-- ledger's partitions have gone and the sums are all that is left.
CREATE FUNCTION rollups_raw(p_account_id bigint, p_from date, p_to date, p_ledger_from date) RETURNS SETOF rollup_row
LANGUAGE sql STABLE
AS $$
    -- Column by column and not through run_outcome_of: quicker by far, and a proof that does not share its mistakes.
    WITH runs AS MATERIALIZED (
        SELECT (created_at AT TIME ZONE 'UTC')::date AS day, status, cost_usd, iterations, project_id,
               prompt_version_id, language_model_id, coalesce(requested_by_id, 0) AS person_id,
               (extract(epoch FROM finished_at - started_at) * 1000)::bigint AS milliseconds
        FROM agent_runs
        WHERE account_id = p_account_id AND finished_at IS NOT NULL
          AND created_at >= p_from::timestamp AT TIME ZONE 'UTC' AND created_at < p_to::timestamp AT TIME ZONE 'UTC'
    ), quality AS MATERIALIZED (
        SELECT (created_at AT TIME ZONE 'UTC')::date AS day, project_id, prompt_version_id, language_model_id,
               quality_score, is_merged, has_passing_tests, has_passing_ci, votes_up, votes_down
        FROM quality_metrics
        WHERE account_id = p_account_id
          AND (created_at AT TIME ZONE 'UTC')::date >= p_from AND (created_at AT TIME ZONE 'UTC')::date < p_to
    )
    SELECT 'runs_daily', by.dimension, by.id, day, ARRAY[
        count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
        count(*) FILTER (WHERE status = 'stopped'), count(milliseconds),
        coalesce(sum(milliseconds), 0), sum(iterations), sum(cost_usd)]
    FROM runs
    CROSS JOIN LATERAL (VALUES
        ('all', 0::bigint), ('project', project_id), ('prompt_version', prompt_version_id),
        ('language_model', language_model_id), ('person', person_id)
    ) by (dimension, id)
    GROUP BY 2, 3, 4
    UNION ALL
    SELECT 'run_histograms', of.measure, histogram_bucket(of.value), day, ARRAY[count(*)::numeric]
    FROM runs
    CROSS JOIN LATERAL (VALUES
        ('seconds', milliseconds / 1000.0::double precision), ('usd', cost_usd::double precision)
    ) of (measure, value)
    WHERE of.value IS NOT NULL
    GROUP BY 2, 3, 4
    UNION ALL
    SELECT 'quality_daily', by.dimension, by.id, day, ARRAY[
        count(*), count(quality_score), coalesce(sum(quality_score), 0),
        count(*) FILTER (WHERE is_merged), count(*) FILTER (WHERE NOT is_merged),
        count(*) FILTER (WHERE has_passing_tests), count(*) FILTER (WHERE NOT has_passing_tests),
        count(*) FILTER (WHERE has_passing_ci), count(*) FILTER (WHERE NOT has_passing_ci),
        sum(votes_up), sum(votes_down)]
    FROM quality
    CROSS JOIN LATERAL (VALUES
        ('all', 0::bigint), ('project', project_id), ('prompt_version', prompt_version_id),
        ('language_model', language_model_id)
    ) by (dimension, id)
    GROUP BY 2, 3, 4
    UNION ALL
    SELECT 'spend_daily', by.dimension, by.id, (usage.created_at AT TIME ZONE 'UTC')::date, ARRAY[
        count(*) FILTER (WHERE usage.kind = 'call'),
        count(*) FILTER (WHERE usage.kind = 'call' AND NOT usage.is_priced)
            - count(*) FILTER (WHERE usage.kind = 'pricing'),
        sum(usage.cost_usd)]
    FROM token_usages usage
    JOIN agent_runs run ON run.id = usage.agent_run_id
    CROSS JOIN LATERAL (VALUES
        ('prompt_version', run.prompt_version_id), ('person', coalesce(run.requested_by_id, 0))
    ) by (dimension, id)
    WHERE usage.account_id = p_account_id
      AND usage.created_at >= greatest(p_from, p_ledger_from)::timestamp AT TIME ZONE 'UTC'
      AND usage.created_at < p_to::timestamp AT TIME ZONE 'UTC'
    GROUP BY 2, 3, 4
$$;

-- name: rollups_kept
-- The sums that are kept, in the same form; a row that came down to nothing counts as none.
CREATE FUNCTION rollups_kept(p_account_id bigint, p_from date, p_to date, p_ledger_from date) RETURNS SETOF rollup_row
LANGUAGE sql STABLE
AS $$
    SELECT * FROM (
        SELECT 'runs_daily' AS rollup, dimension::text, dimension_id AS subject, day, ARRAY[
            completed, failed, stopped, timed, milliseconds, iterations, cost_usd] AS sums
        FROM runs_daily WHERE account_id = p_account_id AND day >= p_from AND day < p_to
        UNION ALL
        SELECT 'run_histograms', measure, bucket, day, ARRAY[runs::numeric]
        FROM run_histograms WHERE account_id = p_account_id AND day >= p_from AND day < p_to
        UNION ALL
        SELECT 'quality_daily', dimension, dimension_id, day, ARRAY[
            runs, scored, score_sum, merged, unmerged, tests_passed, tests_failed, ci_passed, ci_failed,
            votes_up, votes_down]
        FROM quality_daily WHERE account_id = p_account_id AND day >= p_from AND day < p_to
        UNION ALL
        SELECT 'spend_daily', dimension, dimension_id, day, ARRAY[sum(calls), sum(unpriced_calls), sum(cost_usd)]
        FROM spend_daily
        WHERE account_id = p_account_id AND day >= greatest(p_from, p_ledger_from) AND day < p_to
        GROUP BY 2, 3, 4
    ) kept
    WHERE 0 <> ANY (sums)
$$;

-- name: rollups_drift
-- The sums that differ from the rows; `raw` or `kept` is NULL where there is none. One statement, one snapshot: rows and
-- sums change in the same transaction, so nothing that is being written can look like a difference.
CREATE FUNCTION rollups_drift(p_account_id bigint, p_from date, p_to date, p_ledger_from date)
RETURNS SETOF rollup_drift_row
LANGUAGE sql STABLE
AS $$
    SELECT rollup, dimension, subject, day, raw.sums, kept.sums
    FROM rollups_raw(p_account_id, p_from, p_to, p_ledger_from) raw
    FULL JOIN rollups_kept(p_account_id, p_from, p_to, p_ledger_from) kept USING (rollup, dimension, subject, day)
    WHERE raw.sums IS DISTINCT FROM kept.sums
    ORDER BY 1, 2, 4, 3
$$;

-- name: rollups_repair
-- Sets the sums of a span that differ to what the rows say, and gives what they were. Writers wait while it runs: a sum
-- that changes between the comparison and the correction would be wrong for ever.
CREATE FUNCTION rollups_repair(p_account_id bigint, p_from date, p_to date, p_ledger_from date)
RETURNS SETOF rollup_drift_row
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    drift rollup_drift_row[];
BEGIN
    LOCK TABLE quality_daily, run_histograms, runs_daily, spend_daily IN SHARE ROW EXCLUSIVE MODE;
    SELECT array_agg(d) INTO drift
    FROM rollups_drift(p_account_id, p_from, p_to, p_ledger_from) d;
    IF drift IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM runs_daily t USING unnest(drift) d
    WHERE d.rollup = 'runs_daily' AND t.account_id = p_account_id
      AND (t.dimension, t.dimension_id, t.day) = (d.dimension, d.subject, d.day);
    INSERT INTO runs_daily (account_id, dimension, dimension_id, day,
                            completed, failed, stopped, timed, milliseconds, iterations, cost_usd)
    SELECT p_account_id, d.dimension, d.subject, d.day,
           raw[1], raw[2], raw[3], raw[4], raw[5], raw[6], raw[7]
    FROM unnest(drift) d WHERE d.rollup = 'runs_daily' AND d.raw IS NOT NULL;

    DELETE FROM run_histograms t USING unnest(drift) d
    WHERE d.rollup = 'run_histograms' AND t.account_id = p_account_id
      AND (t.measure, t.bucket, t.day) = (d.dimension, d.subject, d.day);
    INSERT INTO run_histograms (account_id, measure, bucket, day, runs)
    SELECT p_account_id, d.dimension, d.subject, d.day, raw[1]
    FROM unnest(drift) d WHERE d.rollup = 'run_histograms' AND d.raw IS NOT NULL;

    DELETE FROM quality_daily t USING unnest(drift) d
    WHERE d.rollup = 'quality_daily' AND t.account_id = p_account_id
      AND (t.dimension, t.dimension_id, t.day) = (d.dimension, d.subject, d.day);
    INSERT INTO quality_daily (account_id, dimension, dimension_id, day, runs, scored, score_sum, merged, unmerged,
                               tests_passed, tests_failed, ci_passed, ci_failed, votes_up, votes_down)
    SELECT p_account_id, d.dimension, d.subject, d.day,
           raw[1], raw[2], raw[3], raw[4], raw[5], raw[6], raw[7], raw[8], raw[9], raw[10], raw[11]
    FROM unnest(drift) d WHERE d.rollup = 'quality_daily' AND d.raw IS NOT NULL;

    DELETE FROM spend_daily t USING unnest(drift) d
    WHERE d.rollup = 'spend_daily' AND t.account_id = p_account_id
      AND (t.dimension, t.dimension_id, t.day) = (d.dimension, d.subject, d.day);
    INSERT INTO spend_daily (account_id, dimension, dimension_id, day, slot, calls, unpriced_calls, cost_usd)
    SELECT p_account_id, d.dimension, d.subject, d.day, 0, raw[1], raw[2], raw[3]
    FROM unnest(drift) d WHERE d.rollup = 'spend_daily' AND d.raw IS NOT NULL;
    RETURN QUERY SELECT d.* FROM unnest(drift) d;
END
$$;

-- name: ledger_complete_from
-- The first day whose ledger rows are all still there; infinity for an empty ledger. Partitions go by the run's start: a run of the month dropped
-- last may have calls in the first days of the oldest month that is left.
CREATE FUNCTION ledger_complete_from() RETURNS date
LANGUAGE sql STABLE
AS $$
    SELECT CASE
        WHEN oldest.day IS NULL THEN 'infinity'
        WHEN EXISTS (SELECT FROM usage_daily older WHERE older.day < oldest.day) THEN oldest.month + 2
        ELSE oldest.day
    END
    FROM (
        SELECT min((u.created_at AT TIME ZONE 'UTC')::date) AS day,
               date_trunc('month', min(u.run_created_at) AT TIME ZONE 'UTC')::date AS month
        FROM token_usages u
    ) oldest
$$;

-- name: rollups_privileges
-- They read whole tables: no tenant and nobody else calls these.
REVOKE ALL ON FUNCTION
    rollups_raw(bigint, date, date, date),
    rollups_kept(bigint, date, date, date),
    rollups_drift(bigint, date, date, date),
    rollups_repair(bigint, date, date, date),
    ledger_complete_from()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    rollups_raw(bigint, date, date, date),
    rollups_kept(bigint, date, date, date),
    rollups_drift(bigint, date, date, date),
    rollups_repair(bigint, date, date, date),
    ledger_complete_from()
TO paid_platform;

-- reverse: rollups
-- Drops what this file made, the callers first.
DROP FUNCTION
    ledger_complete_from(),
    rollups_repair(bigint, date, date, date),
    rollups_drift(bigint, date, date, date),
    rollups_kept(bigint, date, date, date),
    rollups_raw(bigint, date, date, date);
DROP TYPE rollup_drift_row, rollup_row;
