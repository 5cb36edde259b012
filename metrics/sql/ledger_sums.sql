-- What follows the ledger's rows in their own transaction: they are held against their run, and added to the sums of
-- their day by project and model (usage_daily), by prompt version and by person (spend_daily).
-- A call's settlement (gateway_calls.sql) does so itself, from what it holds in its hands already; the trigger does it
-- for all other rows.
-- Sums have one slot of 16 per run, so that concurrent writers of one project do not queue on one row lock: calls of
-- one run wait for each other on the run's escrow anyway, and runs of one hour have numbers that follow each other.

-- name: ledger_refuse_rows
-- In place of a foreign key, which partitions that are dropped cannot have.
CREATE FUNCTION ledger_refuse_rows() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'rows for token_usages that do not match account and time of their run'
        USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'token_usages_belong_to_run', TABLE = 'token_usages';
END
$$;

-- name: ledger_broken_rule
-- The rule that a ledger row breaks, or NULL. Here and not as CHECKs, each of which PostgreSQL parses anew for every
-- INSERT: rows are only ever added, and all of them come through the trigger below. In SQL, which becomes a part of the
-- expression that calls it.
CREATE FUNCTION ledger_broken_rule(usage token_usages) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE
        WHEN usage.kind NOT IN ('call', 'correction', 'pricing') THEN 'token_usages_kind_known'
        WHEN (usage.kind = 'call') <> (usage.corrects_request_id IS NULL) THEN 'token_usages_corrections_name_a_call'
        WHEN usage.kind = 'call' AND (
            usage.input_tokens < 0 OR usage.output_tokens < 0 OR usage.cache_read_tokens < 0
            OR usage.cache_write_1h_tokens < 0 OR usage.cache_write_tokens < usage.cache_write_1h_tokens
            OR usage.cost_usd < 0
        ) THEN 'token_usages_calls_are_not_negative'
        -- Which is larger than any number.
        WHEN usage.cost_usd = 'NaN' THEN 'token_usages_cost_is_a_number'
        WHEN NOT usage.is_priced AND usage.cost_usd <> 0 THEN 'token_usages_unpriced_is_zero'
    END
$$;

-- name: ledger_refuse_row
-- Told as a CHECK would tell it.
CREATE FUNCTION ledger_refuse_row(p_rule text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'new row for relation "token_usages" breaks the rule "%"', p_rule
        USING ERRCODE = 'check_violation', CONSTRAINT = p_rule, TABLE = 'token_usages';
END
$$;

-- name: ledger_rows_added
-- Trigger, one for all that follows.
CREATE FUNCTION ledger_rows_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    broken_rule text;
BEGIN
    SELECT ledger_broken_rule(row_of) INTO broken_rule
    FROM inserted row_of WHERE ledger_broken_rule(row_of) IS NOT NULL LIMIT 1;
    IF FOUND THEN
        PERFORM ledger_refuse_row(broken_rule);
    END IF;
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT agent_run_id, account_id, run_created_at FROM inserted) AS row_of
        WHERE NOT EXISTS (
            SELECT FROM agent_runs run
            WHERE run.id = row_of.agent_run_id AND run.account_id = row_of.account_id
              AND run.created_at = row_of.run_created_at
        )
    ) THEN
        PERFORM ledger_refuse_rows();
    END IF;
    INSERT INTO usage_daily AS kept (
        account_id, project_id, language_model_id, day, slot, calls, unpriced_calls,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd
    )
    SELECT account_id, project_id, coalesce(language_model_id, 0), (created_at AT TIME ZONE 'UTC')::date,
           agent_run_id % 16,
           count(*) FILTER (WHERE kind = 'call'),
           -- A call that was unpriced is none any more once a `pricing` row has priced it.
           count(*) FILTER (WHERE kind = 'call' AND NOT is_priced) - count(*) FILTER (WHERE kind = 'pricing'),
           sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(cost_usd)
    FROM inserted
    GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (account_id, project_id, day, language_model_id, slot) DO UPDATE SET
        calls = kept.calls + excluded.calls,
        unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
        input_tokens = kept.input_tokens + excluded.input_tokens,
        output_tokens = kept.output_tokens + excluded.output_tokens,
        cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
        cost_usd = kept.cost_usd + excluded.cost_usd;
    -- By dimension first, as a settlement has it: two that add to the same days cannot deadlock.
    INSERT INTO spend_daily AS kept (
        account_id, dimension, dimension_id, day, slot, calls, unpriced_calls, cost_usd
    )
    SELECT usage.account_id, by.dimension, by.dimension_id, (usage.created_at AT TIME ZONE 'UTC')::date,
           usage.agent_run_id % 16,
           count(*) FILTER (WHERE usage.kind = 'call'),
           count(*) FILTER (WHERE usage.kind = 'call' AND NOT usage.is_priced)
               - count(*) FILTER (WHERE usage.kind = 'pricing'),
           sum(usage.cost_usd)
    FROM inserted usage
    JOIN agent_runs run ON run.id = usage.agent_run_id
    CROSS JOIN LATERAL (VALUES
        ('prompt_version', run.prompt_version_id), ('person', coalesce(run.requested_by_id, 0))
    ) by (dimension, dimension_id)
    GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, 2, 4, 3, 5
    ON CONFLICT (account_id, dimension, day, dimension_id, slot) DO UPDATE SET
        calls = kept.calls + excluded.calls,
        unpriced_calls = kept.unpriced_calls + excluded.unpriced_calls,
        cost_usd = kept.cost_usd + excluded.cost_usd;
    RETURN NULL;
END
$$;

-- name: token_usages_added
-- Once per statement on the partitioned parent, however many rows and partitions it touched. Not for the statement that
-- adds them itself: gateway_settle_call sets `paid.sums` for that one statement.
DROP TRIGGER rows_belong_to_their_run ON token_usages;
CREATE TRIGGER token_usages_added AFTER INSERT ON token_usages REFERENCING NEW TABLE AS inserted
FOR EACH STATEMENT WHEN (current_setting('paid.sums', true) IS DISTINCT FROM 'settled')
EXECUTE FUNCTION ledger_rows_added();
REVOKE ALL ON FUNCTION ledger_rows_added(), ledger_refuse_rows(), ledger_refuse_row(text), ledger_broken_rule(token_usages)
FROM PUBLIC;

-- reverse: ledger_sums
-- The trigger first: its table outlives this file. The one that it took over comes back.
DROP TRIGGER token_usages_added ON token_usages;
DROP FUNCTION ledger_rows_added(), ledger_refuse_rows(), ledger_refuse_row(text), ledger_broken_rule(token_usages);
CREATE TRIGGER rows_belong_to_their_run AFTER INSERT ON token_usages REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION rows_belong_to_their_run();
