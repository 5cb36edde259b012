-- name: ledger_correct
-- Books the difference to a call's true cost as a row of its own, in the run's and the day's sums too.
-- The same correction twice changes nothing; another content under its id is error PA409.
CREATE FUNCTION ledger_correct(p_request_id uuid, p_cost_usd numeric, p_correction_id uuid) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    booked record;
    known bytea;
    content bytea := sha256(convert_to(p_request_id || ' ' || trim_scale(p_cost_usd), 'UTF8'));
BEGIN
    SELECT u.* INTO booked FROM token_usages u WHERE u.request_id = p_request_id AND u.kind = 'call';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the ledger has no call %', p_request_id USING ERRCODE = 'PA404';
    END IF;
    PERFORM 1 FROM agent_runs a WHERE a.id = booked.agent_run_id FOR NO KEY UPDATE;
    SELECT u.payload_hash INTO known
    FROM token_usages u WHERE u.run_created_at = booked.run_created_at AND u.request_id = p_correction_id;
    IF FOUND THEN
        IF known <> content THEN
            RAISE EXCEPTION 'correction % was booked with another content', p_correction_id USING ERRCODE = 'PA409';
        END IF;
        RETURN;
    END IF;
    INSERT INTO token_usages (
        account_id, project_id, run_created_at, agent_run_id, request_id, kind, corrects_request_id,
        language_model_id, model_name, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
        cost_usd, is_priced, payload_hash
    )
    SELECT booked.account_id, booked.project_id, booked.run_created_at, booked.agent_run_id, p_correction_id,
           'correction', p_request_id, booked.language_model_id, booked.model_name, 0, 0, 0, 0,
           p_cost_usd - sum(u.cost_usd), true, content
    FROM token_usages u
    WHERE u.run_created_at = booked.run_created_at AND p_request_id IN (u.request_id, u.corrects_request_id);
    UPDATE agent_runs a
    SET cost_usd = (SELECT sum(u.cost_usd) FROM token_usages u
                    WHERE u.run_created_at = booked.run_created_at AND u.agent_run_id = booked.agent_run_id)
    WHERE a.id = booked.agent_run_id;
END
$$;

-- name: corrections_privileges
-- Money is the platform's business: no tenant and nobody else calls this.
REVOKE ALL ON FUNCTION ledger_correct(uuid, numeric, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_correct(uuid, numeric, uuid) TO paid_platform;

-- reverse: corrections
-- Drops what this file made.
DROP FUNCTION ledger_correct(uuid, numeric, uuid);
