-- What became of the subjects (issues) of an experiment.

-- name: subjects_of_experiment
-- One row per issue, in the order of assignment: its first run decides. Uses the index on agent_runs.ab_variant_id.
SELECT first_run.ab_variant_id, first_run.status, first_run.finished_at, first_run.cost_usd, first_run.iterations,
       q.quality_score, q.is_merged, char_length(i.title) + char_length(i.body) AS text_length,
       CASE jsonb_typeof(i.labels) WHEN 'array' THEN jsonb_array_length(i.labels) ELSE 0 END AS label_count
FROM (
  SELECT DISTINCT ON (r.issue_id) r.*
  FROM agent_runs r
  WHERE r.account_id = %(account_id)s
    AND r.ab_variant_id IN (SELECT v.id FROM ab_variants v WHERE v.ab_test_id = %(test_id)s)
  ORDER BY r.issue_id, r.created_at, r.id
) first_run
JOIN issues i ON i.id = first_run.issue_id AND i.account_id = first_run.account_id
LEFT JOIN quality_metrics q ON q.agent_run_id = first_run.id
ORDER BY first_run.created_at, first_run.id;

-- name: experiments_to_look_at
-- Experiments that have not ended and of which something happened since the last look, or whose outcomes may have
-- matured since: those with unsettled subjects are looked at once an hour.
SELECT t.id, t.account_id
FROM ab_tests t
LEFT JOIN ab_test_readings reading ON reading.ab_test_id = t.id
WHERE t.status IN ('running', 'paused')
  AND (
    reading.id IS NULL
    OR (reading.subjects_settled < reading.subjects_assigned AND reading.computed_at < now() - interval '1 hour')
    OR EXISTS (
      SELECT FROM agent_runs r
      WHERE r.ab_variant_id IN (SELECT v.id FROM ab_variants v WHERE v.ab_test_id = t.id)
        AND (r.updated_at > reading.computed_at
             OR EXISTS (SELECT FROM quality_metrics q WHERE q.agent_run_id = r.id AND q.updated_at > reading.computed_at)))
  )
ORDER BY t.id;
