-- name: ledger_cost
-- Exact USD of one call; NULL when a class that has tokens has no price.
-- `p_cache_write_1h` of the `p_cache_write` tokens are kept for an hour, which costs more than five minutes.
-- A tier starts when the call's whole input passes its threshold; tier 0 is the base price.
-- Multiplied by 0.000001 instead of divided by a million: numeric division rounds, multiplication never does.
-- In PL/pgSQL, which keeps the plan for a session; before PostgreSQL 18 a function in SQL is planned at each call.
CREATE FUNCTION ledger_cost(
    p_language_model_id bigint, p_at timestamptz,
    p_input bigint, p_output bigint, p_cache_read bigint, p_cache_write bigint, p_cache_write_1h bigint
)
RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    sheet price_sheets;
BEGIN
    SELECT s.* INTO sheet
    FROM price_sheets s
    WHERE s.language_model_id = p_language_model_id AND s.starts_at <= p_at
      AND (s.threshold_tokens = 0 OR s.threshold_tokens < p_input + p_cache_read + p_cache_write)
    ORDER BY s.threshold_tokens DESC, s.starts_at DESC LIMIT 1;
    -- A class without tokens costs nothing, whether it has a price or not; one with tokens and no price makes it NULL.
    RETURN (
        CASE WHEN p_input = 0 THEN 0 ELSE p_input * sheet.input_usd END
        + CASE WHEN p_output = 0 THEN 0 ELSE p_output * sheet.output_usd END
        + CASE WHEN p_cache_read = 0 THEN 0 ELSE p_cache_read * sheet.cache_read_usd END
        + CASE WHEN p_cache_write = p_cache_write_1h THEN 0
          ELSE (p_cache_write - p_cache_write_1h) * sheet.cache_write_usd END
        + CASE WHEN p_cache_write_1h = 0 THEN 0 ELSE p_cache_write_1h * sheet.cache_write_1h_usd END
    ) * 0.000001;
END
$$;

-- name: ledger_worst_case
-- The most that a call can cost before it is made; NULL when the model has no price.
-- Which part of the input the provider's cache will serve is not known yet: all of it at the dearest class that
-- the request can meet. `p_is_kept_an_hour`: it asks for a cache of an hour somewhere.
CREATE FUNCTION ledger_worst_case(
    p_language_model_id bigint, p_at timestamptz, p_input_limit bigint, p_output_limit bigint,
    p_is_kept_an_hour boolean
)
RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    sheet price_sheets;
BEGIN
    SELECT s.* INTO sheet
    FROM price_sheets s
    WHERE s.language_model_id = p_language_model_id AND s.starts_at <= p_at
      AND (s.threshold_tokens = 0 OR s.threshold_tokens < p_input_limit)
    ORDER BY s.threshold_tokens DESC, s.starts_at DESC LIMIT 1;
    RETURN (
        p_input_limit * greatest(
            sheet.input_usd, sheet.cache_read_usd, sheet.cache_write_usd,
            CASE WHEN p_is_kept_an_hour THEN sheet.cache_write_1h_usd END
        )
        + p_output_limit * sheet.output_usd
    ) * 0.000001;
END
$$;

-- name: prices_privileges
-- Money is the platform's business: no tenant and nobody else calls these.
REVOKE ALL ON FUNCTION
    ledger_cost(bigint, timestamptz, bigint, bigint, bigint, bigint, bigint),
    ledger_worst_case(bigint, timestamptz, bigint, bigint, boolean)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    ledger_cost(bigint, timestamptz, bigint, bigint, bigint, bigint, bigint),
    ledger_worst_case(bigint, timestamptz, bigint, bigint, boolean)
TO paid_platform;

-- reverse: prices
-- Drops what this file made.
DROP FUNCTION
    ledger_worst_case(bigint, timestamptz, bigint, bigint, boolean),
    ledger_cost(bigint, timestamptz, bigint, bigint, bigint, bigint, bigint);
