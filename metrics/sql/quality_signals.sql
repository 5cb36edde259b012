-- Signals that arrive after a run has ended.

-- name: runs_with_late_signals
-- Runs whose pull request says something else than their quality row does. Compares values, so a signal that was
-- lost in a crash is found the next time, and one that was taken is not taken twice. `since` bounds the look.
SELECT q.agent_run_id, q.account_id
FROM pull_requests p
JOIN agent_runs r ON r.pull_request_id = p.id AND r.account_id = p.account_id
JOIN quality_metrics q ON q.agent_run_id = r.id
WHERE p.updated_at > %(since)s
  AND (
    q.is_merged IS DISTINCT FROM (CASE p.state WHEN 'merged' THEN true WHEN 'closed' THEN false END)
    OR q.has_passing_ci IS DISTINCT FROM (CASE p.checks_state WHEN 'success' THEN true WHEN 'failure' THEN false END)
    OR q.is_approved IS DISTINCT FROM
      (CASE p.review_state WHEN 'approved' THEN true WHEN 'changes_requested' THEN false END)
  )
ORDER BY q.agent_run_id
LIMIT 1000;
