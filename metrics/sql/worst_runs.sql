-- The worst runs of a span of days.

-- name: worst_runs
-- The lowest scores: the lowest few of each day by the index quality_metrics_worst, and of those the lowest. The day of
-- a row is an expression that is not leakproof, so under row-level security its index would not be used (3 s in place of
-- 1 ms at 200,000 runs): the owner looks, and this function filters by the account itself.
CREATE FUNCTION worst_runs(since date, until date, max_rows integer)
RETURNS TABLE (agent_run_id bigint, quality_score numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT worst.agent_run_id, worst.quality_score
  FROM generate_series(since, until, interval '1 day') day
  CROSS JOIN LATERAL (
    SELECT q.agent_run_id, q.quality_score FROM quality_metrics q
    WHERE q.account_id = current_account() AND (q.created_at AT TIME ZONE 'UTC')::date = day::date
      AND q.quality_score IS NOT NULL
    ORDER BY q.quality_score LIMIT max_rows
  ) worst
  ORDER BY 2, 1 LIMIT max_rows
$$;
REVOKE EXECUTE ON FUNCTION worst_runs(date, date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worst_runs(date, date, integer) TO paid_tenant, paid_platform;

-- reverse: worst_runs
-- Nothing else uses it.
DROP FUNCTION worst_runs(date, date, integer);
