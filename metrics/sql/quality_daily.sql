-- Sums of quality by day, kept in the transaction that writes it. NULL is not known and counts on neither side.

-- name: quality_outcome
-- What the sums need to know of one row; `sign` is 1 to add it, -1 to take it back.
CREATE TYPE quality_outcome AS (
    sign integer, account_id bigint, project_id bigint, prompt_version_id bigint, language_model_id bigint, day date,
    score numeric, is_merged boolean, tests_pass boolean, ci_passes boolean, votes_up integer, votes_down integer
);

-- name: quality_outcome_of
-- The outcome of one row. The day is UTC, of the row's creation, which is when its run ended.
CREATE FUNCTION quality_outcome_of(quality quality_metrics, sign integer) RETURNS quality_outcome
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ROW(
        sign, quality.account_id, quality.project_id, quality.prompt_version_id, quality.language_model_id,
        (quality.created_at AT TIME ZONE 'UTC')::date, quality.quality_score, quality.is_merged,
        quality.has_passing_tests, quality.has_passing_ci, quality.votes_up, quality.votes_down
    )::quality_outcome
$$;

-- name: quality_daily_book
-- Adds outcomes to the sums, in one order of keys for everybody, so that two cannot deadlock.
CREATE FUNCTION quality_daily_book(outcomes quality_outcome[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO quality_daily AS kept (
        account_id, dimension, dimension_id, day, runs, scored, score_sum, merged, unmerged,
        tests_passed, tests_failed, ci_passed, ci_failed, votes_up, votes_down
    )
    SELECT o.account_id, by.dimension, by.dimension_id, o.day, sum(o.sign),
           sum(o.sign * (o.score IS NOT NULL)::int), sum(o.sign * coalesce(o.score, 0)),
           sum(o.sign * (o.is_merged IS TRUE)::int), sum(o.sign * (o.is_merged IS FALSE)::int),
           sum(o.sign * (o.tests_pass IS TRUE)::int), sum(o.sign * (o.tests_pass IS FALSE)::int),
           sum(o.sign * (o.ci_passes IS TRUE)::int), sum(o.sign * (o.ci_passes IS FALSE)::int),
           sum(o.sign * o.votes_up), sum(o.sign * o.votes_down)
    FROM unnest(outcomes) o
    CROSS JOIN LATERAL (VALUES
        ('all', 0::bigint), ('project', o.project_id), ('prompt_version', o.prompt_version_id),
        ('language_model', o.language_model_id)
    ) by (dimension, dimension_id)
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 4, 3
    ON CONFLICT (account_id, dimension, day, dimension_id) DO UPDATE SET
        runs = kept.runs + excluded.runs,
        scored = kept.scored + excluded.scored,
        score_sum = kept.score_sum + excluded.score_sum,
        merged = kept.merged + excluded.merged,
        unmerged = kept.unmerged + excluded.unmerged,
        tests_passed = kept.tests_passed + excluded.tests_passed,
        tests_failed = kept.tests_failed + excluded.tests_failed,
        ci_passed = kept.ci_passed + excluded.ci_passed,
        ci_failed = kept.ci_failed + excluded.ci_failed,
        votes_up = kept.votes_up + excluded.votes_up,
        votes_down = kept.votes_down + excluded.votes_down;
END
$$;

-- name: quality_daily_follow
-- Trigger: what a statement on quality_metrics did.
CREATE FUNCTION quality_daily_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    outcomes quality_outcome[];
BEGIN
    IF TG_OP <> 'INSERT' THEN
        SELECT array_agg(quality_outcome_of(former, -1)) INTO outcomes FROM former;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        SELECT outcomes || array_agg(quality_outcome_of(added, 1)) INTO outcomes FROM added;
    END IF;
    IF cardinality(outcomes) > 0 THEN
        PERFORM quality_daily_book(outcomes);
    END IF;
    RETURN NULL;
END
$$;

-- name: quality_daily_on_insert
-- Once per statement.
CREATE TRIGGER quality_daily_on_insert AFTER INSERT ON quality_metrics REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION quality_daily_follow();

-- name: quality_daily_on_update
-- Once per statement: votes, CI and merges come one by one, a new way to score comes for all.
CREATE TRIGGER quality_daily_on_update AFTER UPDATE ON quality_metrics
REFERENCING OLD TABLE AS former NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION quality_daily_follow();

-- name: quality_daily_on_delete
-- Rows go only with their run.
CREATE TRIGGER quality_daily_on_delete AFTER DELETE ON quality_metrics REFERENCING OLD TABLE AS former
FOR EACH STATEMENT EXECUTE FUNCTION quality_daily_follow();

-- name: quality_daily_privileges
-- Everybody reads their own sums; only the triggers write them.
GRANT SELECT ON quality_daily TO paid_tenant, paid_platform;
REVOKE ALL ON FUNCTION quality_daily_book(quality_outcome[]), quality_daily_follow() FROM PUBLIC;

-- reverse: quality_daily
-- The triggers first: their table outlives this file.
DROP TRIGGER quality_daily_on_insert ON quality_metrics;
DROP TRIGGER quality_daily_on_update ON quality_metrics;
DROP TRIGGER quality_daily_on_delete ON quality_metrics;
DROP FUNCTION quality_daily_follow(), quality_daily_book(quality_outcome[]),
    quality_outcome_of(quality_metrics, integer);
DROP TYPE quality_outcome;
