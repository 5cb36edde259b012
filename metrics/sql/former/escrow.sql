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
        WHERE c.account_id = p_account_id AND c.state = 'open' AND r.closed_at IS NOT NULL
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

    SELECT l.period, l.limit_usd, l.left_usd INTO tightest
    FROM budget_left(run.account_id, run.project_id) l
    WHERE l.is_hard ORDER BY l.left_usd, l.budget_id LIMIT 1;
    granted := least(p_wanted_usd, tightest.left_usd);
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
-- Adds to a run's open escrow what its budgets allow; gives what was added.
CREATE FUNCTION escrow_extend(p_run_id bigint, p_wanted_usd numeric) RETURNS numeric
LANGUAGE plpgsql
AS $$
DECLARE
    run record;
    added numeric;
BEGIN
    SELECT a.id, a.account_id, a.project_id INTO STRICT run FROM agent_runs a WHERE a.id = p_run_id;
    PERFORM 1 FROM cost_budgets b
    WHERE b.account_id = run.account_id AND (b.project_id IS NULL OR b.project_id = run.project_id)
    ORDER BY b.id FOR UPDATE;
    -- A `run` budget limits the escrow as a whole; a day's and a month's limit what is added to it.
    SELECT greatest(0, least(p_wanted_usd, min(
        CASE l.period WHEN 'run' THEN l.left_usd - r.amount_usd ELSE l.left_usd END)))
    INTO added
    FROM budget_reservations r
    LEFT JOIN budget_left(run.account_id, run.project_id) l ON l.is_hard
    WHERE r.agent_run_id = run.id AND r.closed_at IS NULL
    GROUP BY r.id;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    UPDATE budget_reservations r SET amount_usd = r.amount_usd + added WHERE r.agent_run_id = run.id;
    RETURN added;
END
$$;

-- name: escrow_close
-- Ends a run's escrow and gives what goes back to the budgets; 0 when it was closed before.
-- Locks the run before its escrow, as settling a call does: a late call and the run's end cannot deadlock.
CREATE FUNCTION escrow_close(p_run_id bigint) RETURNS numeric
LANGUAGE plpgsql
AS $$
DECLARE
    rest numeric;
BEGIN
    PERFORM 1 FROM agent_runs a WHERE a.id = p_run_id FOR NO KEY UPDATE;
    UPDATE budget_reservations r SET closed_at = now()
    WHERE r.agent_run_id = p_run_id AND r.closed_at IS NULL
    RETURNING r.amount_usd - r.drawn_usd INTO rest;
    RETURN coalesce(rest, 0);
END
$$;

-- name: escrow_sweep
-- Closes escrows that nobody closed, of runs that have ended or whose time is over; gives how many.
CREATE FUNCTION escrow_sweep() RETURNS bigint
LANGUAGE sql
AS $$
    WITH closed AS (
        UPDATE budget_reservations r SET closed_at = now()
        FROM agent_runs a
        WHERE r.closed_at IS NULL AND a.id = r.agent_run_id
          AND (a.finished_at IS NOT NULL OR r.expires_at < now())
        RETURNING 1
    )
    SELECT count(*) FROM closed
$$;

-- name: escrow_privileges
-- Money is the platform's business: no tenant and nobody else calls these.
REVOKE ALL ON FUNCTION
    budget_left(bigint, bigint),
    escrow_open(bigint, numeric, timestamptz),
    escrow_extend(bigint, numeric),
    escrow_close(bigint),
    escrow_sweep()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    budget_left(bigint, bigint),
    escrow_open(bigint, numeric, timestamptz),
    escrow_extend(bigint, numeric),
    escrow_close(bigint),
    escrow_sweep()
TO paid_platform;

-- reverse: escrow
-- Drops what this file made, the callers first.
DROP FUNCTION
    escrow_sweep(),
    escrow_close(bigint),
    escrow_extend(bigint, numeric),
    escrow_open(bigint, numeric, timestamptz),
    budget_left(bigint, bigint);
