-- name: budget_left
-- What each budget over a project has left now. `run` budgets have no past; for the others what was
-- spent and what open escrows may still spend are taken off, in one statement and so from one snapshot.
CREATE FUNCTION budget_left(p_account_id bigint, p_project_id bigint)
RETURNS TABLE (budget_id bigint, period text, is_hard boolean, limit_usd numeric, left_usd numeric)
LANGUAGE sql STABLE
AS $$
    WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day),
    held AS (
        SELECT r.project_id, r.amount_usd - r.drawn_usd AS usd
        FROM budget_reservations r
        WHERE r.account_id = p_account_id AND r.closed_at IS NULL
        UNION ALL
        -- The escrow was closed while this call was on its way: its worst case is still to come.
        SELECT r.project_id, c.hold_usd
        FROM gateway_calls c
        JOIN budget_reservations r ON r.agent_run_id = c.agent_run_id
        WHERE c.account_id = p_account_id AND r.closed_at IS NOT NULL
    )
    SELECT b.id, b.period::text, b.is_hard, b.limit_usd,
           CASE b.period WHEN 'run' THEN b.limit_usd
           ELSE b.limit_usd
                - coalesce((
                    SELECT sum(u.cost_usd)
                    FROM usage_daily u, today
                    WHERE u.account_id = p_account_id
                      AND (b.project_id IS NULL OR u.project_id = b.project_id)
                      AND u.day >= CASE b.period WHEN 'day' THEN today.day ELSE date_trunc('month', today.day)::date END
                ), 0)
                - coalesce((SELECT sum(h.usd) FROM held h WHERE b.project_id IS NULL OR h.project_id = b.project_id), 0)
           END
    FROM cost_budgets b
    WHERE b.account_id = p_account_id AND (b.project_id IS NULL OR b.project_id = p_project_id)
$$;

-- name: escrow_room
-- The tightest hard budget over a project and what it has for a run whose escrow comes to `p_taken_usd` by now: a
-- `run` budget limits the escrow as a whole, a day's and a month's what is added to it. No row without a hard budget.
CREATE FUNCTION escrow_room(p_account_id bigint, p_project_id bigint, p_taken_usd numeric)
RETURNS TABLE (room_usd numeric, period text, limit_usd numeric)
LANGUAGE sql STABLE
AS $$
    SELECT CASE l.period WHEN 'run' THEN l.left_usd - p_taken_usd ELSE l.left_usd END AS room, l.period, l.limit_usd
    FROM budget_left(p_account_id, p_project_id) l
    WHERE l.is_hard ORDER BY room, l.budget_id LIMIT 1
$$;

-- name: escrow_open
-- Takes a run's money from its budgets, once. Gives the amount and, when it is 0, the budget that is out.
-- The budgets' rows are locked in key order first, so callers queue and each one counts what those before it took.
CREATE FUNCTION escrow_open(p_run_id bigint, p_wanted_usd numeric, p_expires_at timestamptz)
RETURNS TABLE (amount_usd numeric, period text, limit_usd numeric)
LANGUAGE plpgsql
AS $$
DECLARE
    run record;
    tightest record;
    granted numeric;
BEGIN
    SELECT a.id, a.account_id, a.project_id INTO STRICT run FROM agent_runs a WHERE a.id = p_run_id;
    PERFORM 1 FROM cost_budgets b
    WHERE b.account_id = run.account_id AND (b.project_id IS NULL OR b.project_id = run.project_id)
    ORDER BY b.id FOR UPDATE;

    SELECT r.amount_usd INTO granted FROM budget_reservations r WHERE r.agent_run_id = run.id;
    IF FOUND THEN
        RETURN QUERY SELECT granted, NULL::text, NULL::numeric;
        RETURN;
    END IF;

    SELECT * INTO tightest FROM escrow_room(run.account_id, run.project_id, 0);
    granted := least(p_wanted_usd, tightest.room_usd);
    IF granted <= 0 THEN
        RETURN QUERY SELECT 0::numeric, tightest.period, tightest.limit_usd;
        RETURN;
    END IF;

    INSERT INTO budget_reservations (account_id, project_id, agent_run_id, amount_usd, drawn_usd, expires_at)
    VALUES (run.account_id, run.project_id, run.id, granted, 0, p_expires_at);
    RETURN QUERY SELECT granted, tightest.period, tightest.limit_usd;
END
$$;

-- name: escrow_extend
-- Adds to a run's open escrow what its budgets allow; gives what was added and, when that is 0, the budget that is
-- out. No row when the run has no open escrow.
CREATE FUNCTION escrow_extend(p_run_id bigint, p_wanted_usd numeric)
RETURNS TABLE (amount_usd numeric, period text, limit_usd numeric)
LANGUAGE plpgsql
AS $$
DECLARE
    run record;
    escrow record;
    tightest record;
    added numeric;
BEGIN
    SELECT a.id, a.account_id, a.project_id INTO STRICT run FROM agent_runs a WHERE a.id = p_run_id;
    PERFORM 1 FROM cost_budgets b
    WHERE b.account_id = run.account_id AND (b.project_id IS NULL OR b.project_id = run.project_id)
    ORDER BY b.id FOR UPDATE;
    SELECT r.amount_usd INTO escrow
    FROM budget_reservations r WHERE r.agent_run_id = run.id AND r.closed_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO tightest FROM escrow_room(run.account_id, run.project_id, escrow.amount_usd);
    added := greatest(0, least(p_wanted_usd, tightest.room_usd));
    UPDATE budget_reservations r SET amount_usd = r.amount_usd + added, granted_usd = r.granted_usd + added
    WHERE r.agent_run_id = run.id;
    RETURN QUERY SELECT added, tightest.period, tightest.limit_usd;
END
$$;

-- name: escrow_reopen
-- Gives money again to a run whose escrow was closed while it waited: what is left of its own limit and of what was
-- granted to it beyond, with `p_more_usd` now, as far as its budgets allow. Gives what it may spend from now on and,
-- when that is 0, what is out (`period` is NULL: the run's own limit). An escrow that is open stays as it is.
CREATE FUNCTION escrow_reopen(p_run_id bigint, p_limit_usd numeric, p_more_usd numeric, p_expires_at timestamptz)
RETURNS TABLE (amount_usd numeric, period text, limit_usd numeric)
LANGUAGE plpgsql
AS $$
DECLARE
    run record;
    escrow record;
    tightest record;
    wanted numeric;
    granted numeric;
BEGIN
    SELECT a.id, a.account_id, a.project_id INTO STRICT run FROM agent_runs a WHERE a.id = p_run_id;
    PERFORM 1 FROM cost_budgets b
    WHERE b.account_id = run.account_id AND (b.project_id IS NULL OR b.project_id = run.project_id)
    ORDER BY b.id FOR UPDATE;
    SELECT r.* INTO STRICT escrow FROM budget_reservations r WHERE r.agent_run_id = run.id FOR UPDATE;
    IF escrow.closed_at IS NULL THEN
        RETURN QUERY SELECT escrow.amount_usd - escrow.drawn_usd, NULL::text, NULL::numeric;
        RETURN;
    END IF;
    wanted := p_limit_usd + escrow.granted_usd + p_more_usd - escrow.drawn_usd;
    IF wanted <= 0 THEN
        RETURN QUERY SELECT 0::numeric, NULL::text, p_limit_usd + escrow.granted_usd;
        RETURN;
    END IF;
    SELECT * INTO tightest FROM escrow_room(run.account_id, run.project_id, escrow.drawn_usd);
    granted := least(wanted, tightest.room_usd);
    IF granted <= 0 THEN
        RETURN QUERY SELECT 0::numeric, tightest.period, tightest.limit_usd;
        RETURN;
    END IF;
    UPDATE budget_reservations r
    SET amount_usd = r.drawn_usd + granted, granted_usd = r.granted_usd + p_more_usd, closed_at = NULL,
        expires_at = p_expires_at
    WHERE r.agent_run_id = run.id;
    RETURN QUERY SELECT granted, tightest.period, tightest.limit_usd;
END
$$;

-- name: escrow_close
-- Ends a run's escrow and gives what goes back to the budgets; 0 when it was closed before. What its calls came to is in
-- the run's sums then. Locks the run before its escrow, as all do who lock both.
CREATE FUNCTION escrow_close(p_run_id bigint) RETURNS numeric
LANGUAGE plpgsql
AS $$
DECLARE
    rest numeric;
BEGIN
    PERFORM spend_post(p_run_id);
    UPDATE budget_reservations r SET closed_at = now()
    WHERE r.agent_run_id = p_run_id AND r.closed_at IS NULL
    RETURNING r.amount_usd - r.drawn_usd INTO rest;
    RETURN coalesce(rest, 0);
END
$$;

-- name: escrow_sweep
-- Closes escrows that nobody closed, of runs that have ended or whose time is over; gives how many. What they have
-- unposted is posted behind (posting.sql). An escrow in other hands is left to the next sweep: nobody waits for one here
-- while others wait for those that it has.
CREATE FUNCTION escrow_sweep() RETURNS bigint
LANGUAGE sql
AS $$
    WITH over AS MATERIALIZED (
        SELECT r.id
        FROM budget_reservations r JOIN agent_runs a ON a.id = r.agent_run_id
        WHERE r.closed_at IS NULL AND (a.finished_at IS NOT NULL OR r.expires_at < now())
        FOR UPDATE OF r SKIP LOCKED
    ), closed AS (
        UPDATE budget_reservations r SET closed_at = now(), is_late = r.unposted_calls > 0
        FROM over WHERE r.id = over.id
        RETURNING 1
    )
    SELECT count(*) FROM closed
$$;

-- name: escrow_privileges
-- Money is the platform's business: no tenant and nobody else calls these.
REVOKE ALL ON FUNCTION
    budget_left(bigint, bigint),
    escrow_room(bigint, bigint, numeric),
    escrow_open(bigint, numeric, timestamptz),
    escrow_extend(bigint, numeric),
    escrow_reopen(bigint, numeric, numeric, timestamptz),
    escrow_close(bigint),
    escrow_sweep()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    budget_left(bigint, bigint),
    escrow_room(bigint, bigint, numeric),
    escrow_open(bigint, numeric, timestamptz),
    escrow_extend(bigint, numeric),
    escrow_reopen(bigint, numeric, numeric, timestamptz),
    escrow_close(bigint),
    escrow_sweep()
TO paid_platform;

-- reverse: escrow
-- Drops what this file made, the callers first.
DROP FUNCTION
    escrow_sweep(),
    escrow_close(bigint),
    escrow_reopen(bigint, numeric, numeric, timestamptz),
    escrow_extend(bigint, numeric),
    escrow_open(bigint, numeric, timestamptz),
    escrow_room(bigint, bigint, numeric),
    budget_left(bigint, bigint);
