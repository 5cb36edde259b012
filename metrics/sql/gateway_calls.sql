-- name: gateway_admit
-- Who holds a run token and what it may do: one row, or none when no live run has this token.
CREATE FUNCTION gateway_admit(p_token_hash bytea, p_model text)
RETURNS TABLE (
    run_id bigint, account_id bigint, run_created_at timestamptz, is_stopping boolean,
    language_model_id bigint, provider text, key_account_id bigint, sealed_key bytea, base_url text
)
LANGUAGE sql STABLE
AS $$
    SELECT a.id, a.account_id, a.created_at, a.stop_requested_at IS NOT NULL,
           m.id, m.provider, k.account_id, k.key, k.base_url
    FROM agent_runs a
    LEFT JOIN LATERAL (
        -- The run's own model, or one that its frozen limits name for side calls; an account's row before the global.
        SELECT m.id, m.provider
        FROM language_models m
        WHERE m.account_id IN (0, a.account_id) AND m.model_id = p_model
          AND (m.id = a.language_model_id OR coalesce(a.limits -> 'side_models', '[]'::jsonb) ? p_model)
        ORDER BY m.id = a.language_model_id DESC, m.account_id DESC
        LIMIT 1
    ) m ON true
    LEFT JOIN LATERAL (
        -- The account's newest key of the provider, else the one that the host offers to everybody.
        SELECT k.account_id, k.key, k.base_url
        FROM provider_keys k
        WHERE k.account_id IN (0, a.account_id) AND k.provider = m.provider AND k.revoked_at IS NULL
        ORDER BY k.account_id DESC, k.id DESC
        LIMIT 1
    ) k ON true
    WHERE a.run_token_hash = p_token_hash AND a.status IN ('preparing', 'running', 'publishing')
$$;

-- name: gateway_open_call
-- Holds the worst case of one call in the run's escrow, or says why not in `refusal`
-- (`no_escrow`, `unpriced`, `money`). Calls of one run queue on its escrow's row, so that holds never overlap.
CREATE FUNCTION gateway_open_call(
    p_request_id uuid, p_run_id bigint, p_language_model_id bigint, p_model text, p_gateway_id text,
    p_input_limit bigint, p_input_estimate bigint, p_output_limit bigint, p_is_kept_an_hour boolean
)
RETURNS TABLE (refusal text, hold_usd numeric, left_usd numeric)
LANGUAGE plpgsql
AS $$
DECLARE
    escrow record;
    worst numeric;
    is_whole boolean;
    available numeric;
BEGIN
    SELECT w.usd, w.is_whole INTO worst, is_whole
    FROM ledger_worst_case(p_language_model_id, now(), p_input_limit, p_output_limit, p_is_kept_an_hour) w;
    SELECT r.id, r.account_id, r.project_id, r.amount_usd - r.drawn_usd AS rest INTO escrow
    FROM budget_reservations r
    WHERE r.agent_run_id = p_run_id AND r.closed_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'no_escrow', 0::numeric, 0::numeric;
        RETURN;
    END IF;
    IF NOT is_whole AND EXISTS (
        SELECT 1 FROM cost_budgets b
        WHERE b.account_id = escrow.account_id AND b.is_hard
          AND (b.project_id IS NULL OR b.project_id = escrow.project_id)
    ) THEN
        RETURN QUERY SELECT 'unpriced', 0::numeric, escrow.rest;
        RETURN;
    END IF;
    worst := coalesce(worst, 0);
    SELECT escrow.rest - coalesce(sum(c.hold_usd), 0) INTO available
    FROM gateway_calls c WHERE c.agent_run_id = p_run_id;
    IF worst > available OR available <= 0 THEN
        RETURN QUERY SELECT 'money', worst, available;
        RETURN;
    END IF;
    INSERT INTO gateway_calls (
        request_id, account_id, agent_run_id, run_created_at, language_model_id, model_name, hold_usd,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, gateway_id, opened_at
    )
    SELECT p_request_id, a.account_id, a.id, a.created_at, p_language_model_id, p_model, worst,
           p_input_estimate, 0, 0, 0, p_gateway_id, now()
    FROM agent_runs a WHERE a.id = p_run_id;
    RETURN QUERY SELECT NULL::text, worst, available - worst;
END
$$;

-- name: gateway_note_call
-- What the provider's stream has told so far, for the case that this gateway dies.
CREATE FUNCTION gateway_note_call(
    p_request_id uuid, p_input bigint, p_output bigint, p_cache_read bigint, p_cache_write bigint,
    p_cache_write_1h bigint
)
RETURNS void
LANGUAGE sql
AS $$
    UPDATE gateway_calls
    SET input_tokens = p_input, output_tokens = p_output,
        cache_read_tokens = p_cache_read, cache_write_tokens = p_cache_write,
        cache_write_1h_tokens = p_cache_write_1h
    WHERE request_id = p_request_id
$$;

-- name: gateway_release_call
-- Ends a call for which the provider takes nothing; gives whether it was open.
CREATE FUNCTION gateway_release_call(p_request_id uuid) RETURNS boolean
LANGUAGE sql
AS $$
    WITH released AS (
        DELETE FROM gateway_calls WHERE request_id = p_request_id RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM released)
$$;

-- name: gateway_settle_call
-- A call's way into the ledger: ends the call, draws its run's escrow down and leaves there what it came to (posting.sql),
-- inserts the row and adds it to the days' sums. The same report twice changes nothing; another one under the same id is
-- error PA409. For a call that is over already, `p_run_created_at` says where its row is; without it, as gateways from
-- before ask, every partition is looked through.
-- Rows are locked in one order everywhere: call, run, escrow, and last the days' sums, which runs share. The run is only
-- read here.
-- Each statement changes what it locks: of two reports of one call the second waits for the first and finds it gone.
-- The sums are added here and not by the ledger's trigger (ledger_sums.sql), which would look all of it up again: each
-- statement costs more than the rows that it touches. As the owner, because nobody else may write them.
CREATE FUNCTION gateway_settle_call(
    p_request_id uuid, p_provider_request_id text,
    p_input bigint, p_output bigint, p_cache_read bigint, p_cache_write bigint, p_cache_write_1h bigint,
    p_is_estimated boolean, p_payload_hash bytea, p_run_created_at timestamptz DEFAULT NULL
)
RETURNS TABLE (cost_usd numeric, is_priced boolean, is_new boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    -- Words and numbers, not records: PL/pgSQL describes each record anew.
    of_account bigint;
    of_run bigint;
    run_began timestamptz;
    model_id bigint;
    model text;
    called timestamptz;
    of_project bigint;
    of_version bigint;
    of_person bigint;
    booked timestamptz;
    of_day date;
    of_slot smallint;
    unpriced_more integer;
    spent_usd numeric;
    summed_by text;
BEGIN
    DELETE FROM gateway_calls c WHERE c.request_id = p_request_id
    RETURNING c.account_id, c.agent_run_id, c.run_created_at, c.language_model_id, c.model_name, c.opened_at
    INTO of_account, of_run, run_began, model_id, model, called;
    IF NOT FOUND THEN
        RETURN QUERY SELECT s.cost_usd, s.is_priced, false
        FROM gateway_settled_before(p_request_id, p_payload_hash, p_run_created_at) s;
        RETURN;
    END IF;

    cost_usd := ledger_cost(model_id, called, p_input, p_output, p_cache_read, p_cache_write, p_cache_write_1h);
    is_priced := cost_usd IS NOT NULL;
    cost_usd := coalesce(cost_usd, 0);
    unpriced_more := (NOT is_priced)::integer;
    -- A provider that counted more than the worst case is still paid in full by the ledger; the escrow ends at zero.
    UPDATE budget_reservations r SET
        drawn_usd = least(r.amount_usd, r.drawn_usd + gateway_settle_call.cost_usd),
        unposted_calls = r.unposted_calls + 1,
        unposted_unpriced_calls = r.unposted_unpriced_calls + unpriced_more,
        unposted_usd = r.unposted_usd + gateway_settle_call.cost_usd,
        unposted_input_tokens = r.unposted_input_tokens + p_input,
        unposted_output_tokens = r.unposted_output_tokens + p_output,
        unposted_cache_read_tokens = r.unposted_cache_read_tokens + p_cache_read,
        unposted_cache_write_tokens = r.unposted_cache_write_tokens + p_cache_write,
        is_late = r.closed_at IS NOT NULL
    FROM agent_runs a
    WHERE r.agent_run_id = of_run AND a.id = of_run AND a.account_id = of_account AND a.created_at = run_began
    RETURNING a.project_id, a.prompt_version_id, coalesce(a.requested_by_id, 0), a.cost_usd + r.unposted_usd
    INTO of_project, of_version, of_person, spent_usd;
    IF NOT FOUND THEN
        PERFORM ledger_refuse_rows();
    END IF;
    -- Of ledger_broken_rule, what a call's row can break.
    IF p_input < 0 OR p_output < 0 OR p_cache_read < 0 OR p_cache_write_1h < 0 OR p_cache_write < p_cache_write_1h
       OR cost_usd < 0 THEN
        PERFORM ledger_refuse_row('token_usages_calls_are_not_negative');
    ELSIF cost_usd = 'NaN' THEN
        PERFORM ledger_refuse_row('token_usages_cost_is_a_number');
    ELSIF spent_usd >= 50000000 THEN
        -- Half of what the run's sums can hold, so that posting never fails: the run may be read as it was before the
        -- last posting.
        RAISE EXCEPTION 'run % would have cost % USD', of_run, spent_usd USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    summed_by := set_config('paid.sums', 'settled', true);
    INSERT INTO token_usages AS u (
        account_id, project_id, run_created_at, agent_run_id, request_id, kind, language_model_id, model_name,
        provider_request_id, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
        cache_write_1h_tokens, cost_usd, is_priced, is_estimated, payload_hash, called_at
    ) VALUES (
        of_account, of_project, run_began, of_run, p_request_id, 'call', model_id, model, p_provider_request_id,
        p_input, p_output, p_cache_read, p_cache_write, p_cache_write_1h, gateway_settle_call.cost_usd,
        gateway_settle_call.is_priced, p_is_estimated, p_payload_hash, called
    ) RETURNING u.created_at, u.cost_usd INTO booked, cost_usd;
    summed_by := set_config('paid.sums', '', true);
    of_day := (booked AT TIME ZONE 'UTC')::date;
    of_slot := of_run % 16;
    INSERT INTO usage_daily AS kept (
        account_id, project_id, language_model_id, day, slot, calls, unpriced_calls,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd
    ) VALUES (
        of_account, of_project, coalesce(model_id, 0), of_day, of_slot, 1, unpriced_more,
        p_input, p_output, p_cache_read, p_cache_write, gateway_settle_call.cost_usd
    )
    ON CONFLICT (account_id, project_id, day, language_model_id, slot) DO UPDATE SET
        calls = kept.calls + excluded.calls,
        unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
        input_tokens = kept.input_tokens + excluded.input_tokens,
        output_tokens = kept.output_tokens + excluded.output_tokens,
        cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
        cost_usd = kept.cost_usd + excluded.cost_usd;
    -- In the order that the trigger has, too.
    INSERT INTO spend_daily AS kept (
        account_id, dimension, dimension_id, day, slot, calls, unpriced_calls, cost_usd
    ) VALUES
        (of_account, 'person', of_person, of_day, of_slot, 1, unpriced_more, gateway_settle_call.cost_usd),
        (of_account, 'prompt_version', of_version, of_day, of_slot, 1, unpriced_more, gateway_settle_call.cost_usd)
    ON CONFLICT (account_id, dimension, day, dimension_id, slot) DO UPDATE SET
        calls = kept.calls + excluded.calls,
        unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
        cost_usd = kept.cost_usd + excluded.cost_usd;
    is_new := true;
    RETURN NEXT;
END
$$;

-- name: gateway_settled_before
-- What a call that is over was booked as; error PA404 when it never was, PA409 when it was booked otherwise.
CREATE FUNCTION gateway_settled_before(p_request_id uuid, p_payload_hash bytea, p_run_created_at timestamptz)
RETURNS TABLE (cost_usd numeric, is_priced boolean)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    booked record;
BEGIN
    IF p_run_created_at IS NULL THEN
        SELECT u.* INTO booked FROM token_usages u WHERE u.request_id = p_request_id;
    ELSE
        SELECT u.* INTO booked
        FROM token_usages u WHERE u.run_created_at = p_run_created_at AND u.request_id = p_request_id;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'gateway call % is not open and was never booked', p_request_id USING ERRCODE = 'PA404';
    ELSIF booked.payload_hash <> p_payload_hash THEN
        RAISE EXCEPTION 'gateway call % was booked with another content', p_request_id USING ERRCODE = 'PA409';
    END IF;
    RETURN QUERY SELECT booked.cost_usd, booked.is_priced;
END
$$;

-- name: gateway_left_calls
-- The calls that a gateway left open, its own of an earlier life and anybody's that are older than any call may be; NULL
-- for none.
CREATE FUNCTION gateway_left_calls(p_gateway_id text, p_started_at timestamptz, p_oldest timestamptz) RETURNS uuid[]
LANGUAGE sql STABLE
AS $$
    SELECT array_agg(c.request_id ORDER BY c.opened_at)
    FROM gateway_calls c
    WHERE (c.gateway_id = p_gateway_id AND c.opened_at < p_started_at) OR c.opened_at < p_oldest
$$;

-- name: gateway_sweep_call
-- Settles a call that was left open, as estimated, with what was known of it; gives whether it did. One that somebody is
-- settling is left to them, and one whose escrow is not to be had, to the next sweep. Each in a transaction of its own,
-- as calls are settled: what one of them waits for, no other one holds.
CREATE FUNCTION gateway_sweep_call(p_request_id uuid) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    call gateway_calls;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT c.* INTO call FROM gateway_calls c WHERE c.request_id = p_request_id FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM gateway_settle_call(
        call.request_id, '', call.input_tokens, call.output_tokens, call.cache_read_tokens,
        call.cache_write_tokens, call.cache_write_1h_tokens, true,
        sha256(convert_to('swept ' || call.request_id, 'UTF8')), call.run_created_at
    );
    RETURN true;
END
$$;

-- name: gateway_calls_privileges
-- Money is the platform's business: no tenant and nobody else calls these.
REVOKE ALL ON FUNCTION
    gateway_admit(bytea, text),
    gateway_open_call(uuid, bigint, bigint, text, text, bigint, bigint, bigint, boolean),
    gateway_note_call(uuid, bigint, bigint, bigint, bigint, bigint),
    gateway_release_call(uuid),
    gateway_settle_call(uuid, text, bigint, bigint, bigint, bigint, bigint, boolean, bytea, timestamptz),
    gateway_settled_before(uuid, bytea, timestamptz),
    gateway_left_calls(text, timestamptz, timestamptz),
    gateway_sweep_call(uuid)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    gateway_admit(bytea, text),
    gateway_open_call(uuid, bigint, bigint, text, text, bigint, bigint, bigint, boolean),
    gateway_note_call(uuid, bigint, bigint, bigint, bigint, bigint),
    gateway_release_call(uuid),
    gateway_settle_call(uuid, text, bigint, bigint, bigint, bigint, bigint, boolean, bytea, timestamptz),
    gateway_settled_before(uuid, bytea, timestamptz),
    gateway_left_calls(text, timestamptz, timestamptz),
    gateway_sweep_call(uuid)
TO paid_platform;

-- reverse: gateway_calls
-- Drops what this file made, the callers first.
DROP FUNCTION
    gateway_sweep_call(uuid),
    gateway_left_calls(text, timestamptz, timestamptz),
    gateway_settle_call(uuid, text, bigint, bigint, bigint, bigint, bigint, boolean, bytea, timestamptz),
    gateway_settled_before(uuid, bytea, timestamptz),
    gateway_release_call(uuid),
    gateway_note_call(uuid, bigint, bigint, bigint, bigint, bigint),
    gateway_open_call(uuid, bigint, bigint, text, text, bigint, bigint, bigint, boolean),
    gateway_admit(bytea, text);
