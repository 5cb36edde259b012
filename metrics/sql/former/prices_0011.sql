-- name: ledger_price
-- USD per million tokens of one class at one time; no row when the model has no such price.
-- A tier starts when the call's whole input passes its threshold; tier 0 is the base price.
-- A table, to be asked in FROM: the planner then makes it a part of its caller's plan, while a scalar function would
-- be started again for each class of tokens.
CREATE FUNCTION ledger_price(p_language_model_id bigint, p_token_class text, p_context_tokens bigint, p_at timestamptz)
RETURNS TABLE (usd numeric)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT usd_per_million
    FROM model_prices
    WHERE language_model_id = p_language_model_id
      AND token_class = p_token_class
      AND (threshold_tokens = 0 OR threshold_tokens < p_context_tokens)
      AND starts_at <= p_at
    ORDER BY threshold_tokens DESC, starts_at DESC
    LIMIT 1
$$;

-- name: ledger_cost
-- Exact USD of one call; NULL when a class that has tokens has no price.
-- `p_cache_write_1h` of the `p_cache_write` tokens are kept for an hour, which costs more than five minutes.
-- Multiplied by 0.000001 instead of divided by a million: numeric division rounds, multiplication never does.
-- In PL/pgSQL, which keeps the plan for a session; before PostgreSQL 18 a function in SQL is planned at each call.
CREATE FUNCTION ledger_cost(
    p_language_model_id bigint, p_at timestamptz,
    p_input bigint, p_output bigint, p_cache_read bigint, p_cache_write bigint, p_cache_write_1h bigint
)
RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN (
        SELECT CASE
            WHEN bool_and(class.tokens = 0 OR price.usd IS NOT NULL)
            THEN coalesce(sum(class.tokens * price.usd * 0.000001), 0)
        END
        FROM (
            VALUES ('input', p_input), ('output', p_output), ('cache_read', p_cache_read),
                   ('cache_write', p_cache_write - p_cache_write_1h), ('cache_write_1h', p_cache_write_1h)
        ) AS class (name, tokens)
        LEFT JOIN LATERAL ledger_price(
            p_language_model_id, class.name, p_input + p_cache_read + p_cache_write, p_at
        ) AS price ON true
    );
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
BEGIN
    RETURN (
        SELECT (
            p_input_limit * max(price.usd) FILTER (WHERE class.name <> 'output')
            + p_output_limit * max(price.usd) FILTER (WHERE class.name = 'output')
        ) * 0.000001
        FROM (
            VALUES ('input'), ('cache_write'), ('cache_read'), ('cache_write_1h'), ('output')
        ) AS class (name)
        CROSS JOIN LATERAL ledger_price(p_language_model_id, class.name, p_input_limit, p_at) AS price
        WHERE class.name <> 'cache_write_1h' OR p_is_kept_an_hour
    );
END
$$;

-- name: prices_privileges
-- Money is the platform's business: no tenant and nobody else calls these.
REVOKE ALL ON FUNCTION
    ledger_price(bigint, text, bigint, timestamptz),
    ledger_cost(bigint, timestamptz, bigint, bigint, bigint, bigint, bigint),
    ledger_worst_case(bigint, timestamptz, bigint, bigint, boolean)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    ledger_price(bigint, text, bigint, timestamptz),
    ledger_cost(bigint, timestamptz, bigint, bigint, bigint, bigint, bigint),
    ledger_worst_case(bigint, timestamptz, bigint, bigint, boolean)
TO paid_platform;

-- reverse: prices
-- Drops what this file made, the callers first.
DROP FUNCTION
    ledger_worst_case(bigint, timestamptz, bigint, bigint, boolean),
    ledger_cost(bigint, timestamptz, bigint, bigint, bigint, bigint, bigint),
    ledger_price(bigint, text, bigint, timestamptz);
