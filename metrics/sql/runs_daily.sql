-- Sums of ended runs by day, kept in the transaction that ends a run. Live runs are not in them: a run changes its
-- status several times and its cost with its model calls, and none of that may queue behind a sum.

-- name: run_outcome
-- What the sums need to know of one run; `sign` is 1 to add it, -1 to take it back.
CREATE TYPE run_outcome AS (
    sign integer, account_id bigint, project_id bigint, prompt_version_id bigint, language_model_id bigint,
    person_id bigint, day date, status text, milliseconds bigint, iterations bigint, cost_usd numeric
);

-- name: run_outcome_of
-- The outcome of one row. The day is UTC, of the run's creation.
CREATE FUNCTION run_outcome_of(run agent_runs, sign integer) RETURNS run_outcome
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ROW(
        sign, run.account_id, run.project_id, run.prompt_version_id, run.language_model_id,
        coalesce(run.requested_by_id, 0), (run.created_at AT TIME ZONE 'UTC')::date, run.status,
        (extract(epoch FROM run.finished_at - run.started_at) * 1000)::bigint, run.iterations, run.cost_usd
    )::run_outcome
$$;

-- name: histogram_bucket
-- The bucket of a value: i for (1.02^(i-1), 1.02^i], one of its own for zero and below.
CREATE FUNCTION histogram_bucket(value double precision) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN value > 0 THEN ceil(ln(value) / ln(1.02::double precision))::integer ELSE -100000 END $$;

-- name: histogram_value
-- What stands for a bucket: 2g^i / (g+1) is at most (g-1)/(g+1) = 0.99 % from any value in it (g = 1.02; the bound of
-- DDSketch, Masson, Rim and Lee, VLDB 2019).
CREATE FUNCTION histogram_value(bucket integer) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN bucket > -100000 THEN 2 * power(1.02::double precision, bucket) / 2.02 ELSE 0 END $$;

-- name: runs_daily_book
-- Adds outcomes to the sums and to the histograms, in one order of keys for everybody, so that two cannot deadlock.
CREATE FUNCTION runs_daily_book(outcomes run_outcome[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO runs_daily AS kept (
        account_id, dimension, dimension_id, day,
        completed, failed, stopped, timed, milliseconds, iterations, cost_usd
    )
    SELECT o.account_id, by.dimension, by.dimension_id, o.day,
           sum(o.sign * (o.status = 'completed')::int), sum(o.sign * (o.status = 'failed')::int),
           sum(o.sign * (o.status = 'stopped')::int), sum(o.sign * (o.milliseconds IS NOT NULL)::int),
           sum(o.sign * coalesce(o.milliseconds, 0)), sum(o.sign * o.iterations), sum(o.sign * o.cost_usd)
    FROM unnest(outcomes) o
    CROSS JOIN LATERAL (VALUES
        ('all', 0::bigint), ('project', o.project_id), ('prompt_version', o.prompt_version_id),
        ('language_model', o.language_model_id), ('person', o.person_id)
    ) by (dimension, dimension_id)
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 4, 3
    ON CONFLICT (account_id, dimension, day, dimension_id) DO UPDATE SET
        completed = kept.completed + excluded.completed,
        failed = kept.failed + excluded.failed,
        stopped = kept.stopped + excluded.stopped,
        timed = kept.timed + excluded.timed,
        milliseconds = kept.milliseconds + excluded.milliseconds,
        iterations = kept.iterations + excluded.iterations,
        cost_usd = kept.cost_usd + excluded.cost_usd;

    INSERT INTO run_histograms AS kept (account_id, measure, day, bucket, runs)
    SELECT o.account_id, of.measure, o.day, histogram_bucket(of.value), sum(o.sign)
    FROM unnest(outcomes) o
    CROSS JOIN LATERAL (VALUES
        ('seconds', o.milliseconds / 1000.0::double precision), ('usd', o.cost_usd::double precision)
    ) of (measure, value)
    WHERE of.value IS NOT NULL
    GROUP BY 1, 2, 3, 4
    HAVING sum(o.sign) <> 0
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (account_id, measure, day, bucket) DO UPDATE SET runs = kept.runs + excluded.runs;
END
$$;

-- name: runs_daily_follow
-- Trigger: what a statement on agent_runs did to runs that have ended.
CREATE FUNCTION runs_daily_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    outcomes run_outcome[];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (OLD.status, OLD.prompt_version_id, OLD.language_model_id, OLD.requested_by_id, OLD.started_at,
            OLD.finished_at, OLD.iterations, OLD.cost_usd)
           IS NOT DISTINCT FROM
           (NEW.status, NEW.prompt_version_id, NEW.language_model_id, NEW.requested_by_id, NEW.started_at,
            NEW.finished_at, NEW.iterations, NEW.cost_usd)
        THEN
            RETURN NULL;
        END IF;
        outcomes := array_remove(ARRAY[
            CASE WHEN OLD.finished_at IS NOT NULL THEN run_outcome_of(OLD, -1) END,
            CASE WHEN NEW.finished_at IS NOT NULL THEN run_outcome_of(NEW, 1) END
        ], NULL);
    ELSIF TG_OP = 'INSERT' THEN
        SELECT array_agg(run_outcome_of(added, 1)) INTO outcomes FROM added WHERE finished_at IS NOT NULL;
    ELSE
        SELECT array_agg(run_outcome_of(former, -1)) INTO outcomes FROM former WHERE finished_at IS NOT NULL;
    END IF;
    IF cardinality(outcomes) > 0 THEN
        PERFORM runs_daily_book(outcomes);
    END IF;
    RETURN NULL;
END
$$;

-- name: runs_daily_on_insert
-- Runs start live; rows that are loaded may have ended already.
CREATE TRIGGER runs_daily_on_insert AFTER INSERT ON agent_runs REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION runs_daily_follow();

-- name: runs_daily_on_update
-- Row by row, unlike the others, which would collect old and new rows of every update: what a run has spent is posted often.
-- PostgreSQL reads a condition anew in each statement, so it asks one thing; the function looks at the rest.
CREATE TRIGGER runs_daily_on_update AFTER UPDATE ON agent_runs FOR EACH ROW
WHEN (coalesce(NEW.finished_at, OLD.finished_at) IS NOT NULL)
EXECUTE FUNCTION runs_daily_follow();

-- name: runs_daily_on_delete
-- Runs go only with their project or account.
CREATE TRIGGER runs_daily_on_delete AFTER DELETE ON agent_runs REFERENCING OLD TABLE AS former
FOR EACH STATEMENT EXECUTE FUNCTION runs_daily_follow();

-- name: runs_daily_privileges
-- Everybody reads their own sums; only the triggers write them.
GRANT SELECT ON runs_daily, run_histograms TO paid_tenant, paid_platform;
REVOKE ALL ON FUNCTION runs_daily_book(run_outcome[]), runs_daily_follow() FROM PUBLIC;

-- reverse: runs_daily
-- The triggers first: their table outlives this file.
DROP TRIGGER runs_daily_on_insert ON agent_runs;
DROP TRIGGER runs_daily_on_update ON agent_runs;
DROP TRIGGER runs_daily_on_delete ON agent_runs;
DROP FUNCTION runs_daily_follow(), runs_daily_book(run_outcome[]), histogram_value(integer),
    histogram_bucket(double precision), run_outcome_of(agent_runs, integer);
DROP TYPE run_outcome;
