-- A settlement leaves what its call came to on the escrow of its run, a narrow row that it changes anyway. Posting brings
-- it into the run's own sums, for many calls at a time: a change of the run's row is a change to a wide one, with all the
-- indexes and keys that a page or another table finds it by.
-- At every moment, a run's sums and what its escrow has unposted are together what its ledger rows come to.

-- name: spend_post
-- Adds to a run's sums what its escrow has unposted. Locks the run and then its escrow, as all do who lock both, also when
-- there is nothing to post: the caller may go on to change either, or the sums of a day.
-- Sums that would come to their ends stay unposted, and the log says so: they are one tenant's, and others are posted
-- beside them.
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
    BEGIN
        UPDATE agent_runs a SET
            input_tokens = a.input_tokens + escrow.unposted_input_tokens,
            output_tokens = a.output_tokens + escrow.unposted_output_tokens,
            cache_read_tokens = a.cache_read_tokens + escrow.unposted_cache_read_tokens,
            cache_write_tokens = a.cache_write_tokens + escrow.unposted_cache_write_tokens,
            cost_usd = a.cost_usd + escrow.unposted_usd,
            unpriced_calls = a.unpriced_calls + escrow.unposted_unpriced_calls
        WHERE a.id = p_run_id;
        UPDATE budget_reservations r SET
            unposted_calls = 0, unposted_unpriced_calls = 0, unposted_usd = 0, unposted_input_tokens = 0,
            unposted_output_tokens = 0, unposted_cache_read_tokens = 0, unposted_cache_write_tokens = 0, is_late = false
        WHERE r.id = escrow.id;
    EXCEPTION WHEN numeric_value_out_of_range THEN
        RAISE WARNING 'what run % has spent cannot be added to its sums: %', p_run_id, SQLERRM;
    END;
END
$$;

-- name: spend_post_all
-- Posts what is unposted anywhere. A run that somebody else holds is left to them or to the next time: nobody waits here for
-- a run while others wait for those that this one has.
-- One at a time: runs that have ended are added to the sums of their days, which two would lock each in its own order.
-- Without waiting for the disk: a server that fails finds it unposted again.
CREATE FUNCTION spend_post_all() RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    of_run bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(hashtext('spend_post_all'));
    FOR of_run IN
        SELECT r.agent_run_id FROM budget_reservations r WHERE r.closed_at IS NULL AND r.unposted_calls > 0
        UNION SELECT r.agent_run_id FROM budget_reservations r WHERE r.is_late
        ORDER BY 1
    LOOP
        PERFORM 1 FROM agent_runs a WHERE a.id = of_run FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            PERFORM spend_post(of_run);
        END IF;
    END LOOP;
END
$$;

-- name: posting_privileges
-- Money is the platform's business: no tenant and nobody else calls these.
REVOKE ALL ON FUNCTION spend_post(bigint), spend_post_all() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spend_post(bigint), spend_post_all() TO paid_platform;

-- reverse: posting
-- Nothing is left unposted when the columns go: settlements that have begun are waited for, and those that begin later find
-- the function that adds to the run itself.
LOCK TABLE gateway_calls IN ACCESS EXCLUSIVE MODE;
SELECT spend_post(r.agent_run_id) FROM budget_reservations r WHERE r.unposted_calls > 0;
DROP FUNCTION spend_post_all(), spend_post(bigint);
