-- name: ledger_report_usage
-- Books a model call that a program says a run has made past the gateway, and says what came of it: `booked`; `known`, the
-- same report before, with what it was booked as; `conflict`, another content under its id; `metered`, the gateway has
-- counted this call of the provider's; `not_live`, the run has not begun or has ended; `too_dear`, nobody's run costs so
-- much: the sums that it is added to, and that calls of the gateway are added to as well, would come to their ends.
-- It is priced with the prices of its moment, drawn from the run's escrow and added to the same sums as a call that passed
-- the gateway, and marked as reported. It adds only: no report takes anything back.
-- Rows are locked as everywhere: run, escrow, and last the days' sums. Two reports of one run wait for each other.
CREATE FUNCTION ledger_report_usage(
    p_run_id bigint, p_request_id uuid, p_provider_request_id text, p_model text, p_called_at timestamptz,
    p_input bigint, p_output bigint, p_cache_read bigint, p_cache_write bigint, p_cache_write_1h bigint,
    p_payload_hash bytea
)
RETURNS TABLE (outcome text, cost_usd numeric, is_priced boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    run record;
    known record;
    model_id bigint;
    cost numeric;
BEGIN
    PERFORM spend_post(p_run_id);
    SELECT a.id, a.account_id, a.project_id, a.created_at, a.status, a.language_model_id, a.cost_usd INTO STRICT run
    FROM agent_runs a WHERE a.id = p_run_id;
    SELECT u.cost_usd, u.is_priced, u.payload_hash INTO known
    FROM token_usages u WHERE u.run_created_at = run.created_at AND u.request_id = p_request_id;
    IF FOUND THEN
        RETURN QUERY SELECT
            CASE WHEN known.payload_hash = p_payload_hash THEN 'known' ELSE 'conflict' END,
            known.cost_usd, known.is_priced;
        RETURN;
    END IF;
    IF run.status NOT IN ('preparing', 'running', 'paused', 'publishing') THEN
        RETURN QUERY SELECT 'not_live', 0::numeric, false;
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM token_usages u
        WHERE u.run_created_at = run.created_at AND u.agent_run_id = run.id AND u.kind = 'call'
          AND NOT u.is_reported AND u.provider_request_id = p_provider_request_id
    ) THEN
        RETURN QUERY SELECT 'metered', 0::numeric, false;
        RETURN;
    END IF;

    -- The run's own model where it is meant, then the account's before the global one of the same name.
    SELECT m.id INTO model_id
    FROM language_models m
    WHERE m.account_id IN (0, run.account_id) AND m.model_id = p_model
    ORDER BY m.id = run.language_model_id DESC, m.account_id DESC, m.id LIMIT 1;
    cost := ledger_cost(
        model_id, p_called_at, p_input, p_output, p_cache_read, p_cache_write, p_cache_write_1h
    );
    IF run.cost_usd + cost > 1000000 THEN
        RETURN QUERY SELECT 'too_dear', 0::numeric, false;
        RETURN;
    END IF;
    outcome := 'booked';
    is_priced := cost IS NOT NULL;
    cost_usd := coalesce(cost, 0);
    UPDATE agent_runs a SET
        input_tokens = a.input_tokens + p_input,
        output_tokens = a.output_tokens + p_output,
        cache_read_tokens = a.cache_read_tokens + p_cache_read,
        cache_write_tokens = a.cache_write_tokens + p_cache_write,
        cost_usd = a.cost_usd + ledger_report_usage.cost_usd,
        unpriced_calls = a.unpriced_calls + (NOT ledger_report_usage.is_priced)::integer
    WHERE a.id = run.id;
    UPDATE budget_reservations r SET drawn_usd = least(r.amount_usd, r.drawn_usd + ledger_report_usage.cost_usd)
    WHERE r.agent_run_id = run.id;
    INSERT INTO token_usages (
        account_id, project_id, run_created_at, agent_run_id, request_id, kind, language_model_id, model_name,
        provider_request_id, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
        cache_write_1h_tokens, cost_usd, is_priced, is_reported, payload_hash, called_at
    ) VALUES (
        run.account_id, run.project_id, run.created_at, run.id, p_request_id, 'call', model_id, p_model,
        p_provider_request_id, p_input, p_output, p_cache_read, p_cache_write,
        p_cache_write_1h, ledger_report_usage.cost_usd, ledger_report_usage.is_priced, true, p_payload_hash,
        p_called_at
    );
    RETURN NEXT;
END
$$;

-- name: reported_usage_privileges
-- Money is the platform's business: no tenant and nobody else calls this.
REVOKE ALL ON FUNCTION
    ledger_report_usage(bigint, uuid, text, text, timestamptz, bigint, bigint, bigint, bigint, bigint, bytea)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    ledger_report_usage(bigint, uuid, text, text, timestamptz, bigint, bigint, bigint, bigint, bigint, bytea)
TO paid_platform;

-- reverse: reported_usage
-- Drops what this file made.
DROP FUNCTION ledger_report_usage(
    bigint, uuid, text, text, timestamptz, bigint, bigint, bigint, bigint, bigint, bytea
);
