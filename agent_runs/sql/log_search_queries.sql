-- Reads of `agent_runs/log_search.py`.

-- name: search
-- One page of hits, and as its last row how the search ended when it did not look at everything.
SELECT outcome, run_created_at, agent_run_id, seq, kind, content, metadata, created_at
FROM search_log(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
