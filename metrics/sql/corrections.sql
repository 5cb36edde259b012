-- name: ledger_correct
-- `p_run_created_at` and `p_request_id` are the call's key in the ledger.
-- Books the difference to a call's true cost as a row of its own, in the run's and the day's sums and the escrow too.
-- The first one of an unpriced call is of kind `pricing`: from then on the call counts as priced.
-- The same correction twice changes nothing; another content under its id is error PA409. Gives whether it is new.
CREATE FUNCTION ledger_correct(
    p_run_created_at timestamptz, p_request_id uuid, p_cost_usd numeric, p_correction_id uuid
) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    booked record;
    known bytea;
    content bytea := sha256(convert_to(p_request_id || ' ' || trim_scale(p_cost_usd), 'UTF8'));
    before_usd numeric;
    is_pricing boolean;
BEGIN
    SELECT u.* INTO booked
    FROM token_usages u WHERE u.run_created_at = p_run_created_at AND u.request_id = p_request_id AND u.kind = 'call';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the ledger has no call %', p_request_id USING ERRCODE = 'PA404';
    END IF;
    -- The call itself may still be on its way into the run's sums.
    PERFORM spend_post(booked.agent_run_id);
    SELECT u.payload_hash INTO known
    FROM token_usages u WHERE u.run_created_at = p_run_created_at AND u.request_id = p_correction_id;
    IF FOUND THEN
        IF known <> content THEN
            RAISE EXCEPTION 'correction % was booked with another content', p_correction_id USING ERRCODE = 'PA409';
        END IF;
        RETURN false;
    END IF;
    SELECT sum(u.cost_usd), NOT booked.is_priced AND count(*) FILTER (WHERE u.kind = 'pricing') = 0
    INTO before_usd, is_pricing
    FROM token_usages u
    WHERE u.run_created_at = p_run_created_at AND u.agent_run_id = booked.agent_run_id
      AND p_request_id IN (u.request_id, u.corrects_request_id);
    -- Before the sums of the days on which calls were booked: a run that has ended is in those of its own day.
    UPDATE agent_runs a SET
        cost_usd = a.cost_usd + p_cost_usd - before_usd,
        unpriced_calls = a.unpriced_calls - is_pricing::integer
    WHERE a.id = booked.agent_run_id;
    INSERT INTO token_usages (
        account_id, project_id, run_created_at, agent_run_id, request_id, kind, corrects_request_id,
        language_model_id, model_name, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
        cost_usd, is_priced, payload_hash
    ) VALUES (
        booked.account_id, booked.project_id, booked.run_created_at, booked.agent_run_id, p_correction_id,
        CASE WHEN is_pricing THEN 'pricing' ELSE 'correction' END, p_request_id,
        booked.language_model_id, booked.model_name, 0, 0, 0, 0, p_cost_usd - before_usd, true, content
    );
    -- What a live run may still spend follows what it has spent.
    UPDATE budget_reservations r
    SET drawn_usd = least(r.amount_usd, greatest(0, r.drawn_usd + p_cost_usd - before_usd))
    WHERE r.agent_run_id = booked.agent_run_id AND r.closed_at IS NULL;
    RETURN true;
END
$$;

-- name: ledger_unpriced
-- Calls that nobody has priced yet, in pages by request id, with what the prices say now; `cost_usd` is NULL where
-- they still say nothing about the moment of the call. A model that was registered later is found by its name.
CREATE FUNCTION ledger_unpriced(p_after uuid, p_limit bigint)
RETURNS TABLE (
    run_created_at timestamptz, request_id uuid, account_id bigint, model_name text, called_at timestamptz,
    tokens bigint, cost_usd numeric
)
LANGUAGE sql STABLE
AS $$
    SELECT u.run_created_at, u.request_id, u.account_id, u.model_name, coalesce(u.called_at, u.created_at),
           u.input_tokens + u.output_tokens + u.cache_read_tokens + u.cache_write_tokens,
           ledger_cost(
               coalesce(u.language_model_id, m.id), coalesce(u.called_at, u.created_at), u.input_tokens,
               u.output_tokens, u.cache_read_tokens, u.cache_write_tokens, u.cache_write_1h_tokens
           )
    FROM token_usages u
    LEFT JOIN LATERAL (
        -- The account's own model before the global one of the same name.
        SELECT m.id FROM language_models m
        WHERE u.language_model_id IS NULL AND m.account_id IN (0, u.account_id) AND m.model_id = u.model_name
        ORDER BY m.account_id DESC, m.id LIMIT 1
    ) m ON true
    WHERE u.kind = 'call' AND NOT u.is_priced AND u.request_id > p_after
      AND NOT EXISTS (
          SELECT FROM token_usages p
          WHERE p.run_created_at = u.run_created_at AND p.agent_run_id = u.agent_run_id
            AND p.kind = 'pricing' AND p.corrects_request_id = u.request_id
      )
    ORDER BY u.request_id LIMIT p_limit
$$;

-- name: corrections_privileges
-- Money is the platform's business: no tenant and nobody else calls these.
REVOKE ALL ON FUNCTION ledger_correct(timestamptz, uuid, numeric, uuid), ledger_unpriced(uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_correct(timestamptz, uuid, numeric, uuid), ledger_unpriced(uuid, bigint) TO paid_platform;

-- reverse: corrections
-- Drops what this file made.
DROP FUNCTION ledger_unpriced(uuid, bigint), ledger_correct(timestamptz, uuid, numeric, uuid);
