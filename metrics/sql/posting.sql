-- A settlement leaves what its call came to on the escrow of its run, a narrow row that it changes anyway. Posting brings
-- it into the run's own sums, for many calls at a time: a change of the run's row is a change to a wide one, with all the
-- indexes and keys that a page or another table finds it by.
-- At every moment, a run's sums and what its escrow has unposted are together what its ledger rows come to.

-- name: spend_post
-- Adds to a run's sums what its escrow has unposted. Locks the run and then its escrow, as all do who lock both, also when
-- there is nothing to post: the caller may go on to change either, or the sums of a day.
CREATE FUNCTION spend_post(p_run_id bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    escrow budget_reservations;
BEGIN
    PERFORM 1 FROM agent_runs a WHERE a.id = p_run_id FOR NO KEY UPDATE;
    SELECT r.* INTO escrow FROM budget_reservations r WHERE r.agent_run_id = p_run_id FOR UPDATE;
    IF coalesce(escrow.unposted_calls, 0) = 0 THEN
        RETURN;
    END IF;
    UPDATE agent_runs a SET
        input_tokens = a.input_tokens + escrow.unposted_input_tokens,
        output_tokens = a.output_tokens + escrow.unposted_output_tokens,
        cache_read_tokens = a.cache_read_tokens + escrow.unposted_cache_read_tokens,
        cache_write_tokens = a.cache_write_tokens + escrow.unposted_cache_write_tokens,
        cost_usd = a.cost_usd + escrow.unposted_usd,
        unpriced_calls = a.unpriced_calls + escrow.unposted_unpriced_calls
    WHERE a.id = p_run_id;
    PERFORM spend_forget(p_run_id);
END
$$;

-- name: spend_forget
-- Nothing of a run is unposted any more: its own sums have it all.
CREATE FUNCTION spend_forget(p_run_id bigint) RETURNS void
LANGUAGE sql
AS $$
    UPDATE budget_reservations SET
        unposted_calls = 0, unposted_unpriced_calls = 0, unposted_usd = 0, unposted_input_tokens = 0,
        unposted_output_tokens = 0, unposted_cache_read_tokens = 0, unposted_cache_write_tokens = 0, is_late = false
    WHERE agent_run_id = p_run_id
$$;

-- name: spend_unposted
-- The runs of which something is unposted, by the indexes of open escrows and of late calls; NULL for none.
CREATE FUNCTION spend_unposted() RETURNS bigint[]
LANGUAGE sql STABLE
AS $$
    SELECT array_agg(found.run_id ORDER BY found.run_id)
    FROM (
        SELECT r.agent_run_id FROM budget_reservations r WHERE r.closed_at IS NULL AND r.unposted_calls > 0
        UNION SELECT r.agent_run_id FROM budget_reservations r WHERE r.is_late
    ) found (run_id)
$$;

-- name: spend_post_behind
-- Posts one run behind its calls, in a transaction of its own: with two, calls of the one would wait for those of the
-- other. A run that somebody holds is left to them or to the next time, and so is an escrow that is not to be had.
-- Without waiting for the disk: a server that fails finds it unposted again.
CREATE FUNCTION spend_post_behind(p_run_id bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '2s', true);
    PERFORM 1 FROM agent_runs a WHERE a.id = p_run_id FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND THEN
        PERFORM spend_post(p_run_id);
    END IF;
END
$$;

-- name: posting_privileges
-- Money is the platform's business: no tenant and nobody else calls these.
REVOKE ALL ON FUNCTION
    spend_post(bigint), spend_forget(bigint), spend_unposted(), spend_post_behind(bigint)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    spend_post(bigint), spend_forget(bigint), spend_unposted(), spend_post_behind(bigint)
TO paid_platform;

-- reverse: posting
-- Nothing is left unposted when the columns go. Gateways and workers are stopped before: who posts meanwhile waits for
-- this in a circle, and a settlement finds the columns gone and leaves its call to a sweep.
LOCK TABLE budget_reservations IN ACCESS EXCLUSIVE MODE;
SELECT spend_post(run_id) FROM unnest(spend_unposted()) AS run_id;
DROP FUNCTION spend_post_behind(bigint), spend_unposted(), spend_forget(bigint), spend_post(bigint);
