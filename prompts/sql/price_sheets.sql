-- Prices as a call looks them up: all classes of tokens in one row, so that neither holding nor settling a call has
-- to ask for each class. model_prices stays the truth, and is what people read.

-- name: price_sheets
-- USD per million tokens of each class for a model from `starts_at` on, once a call's input passes `threshold_tokens`;
-- NULL: no price. The sheet in force is the one of the highest threshold passed and, among these, the latest.
CREATE TABLE price_sheets (
  language_model_id bigint NOT NULL,
  threshold_tokens integer NOT NULL,
  starts_at timestamptz NOT NULL,
  account_id bigint NOT NULL,
  input_usd numeric(12, 6),
  output_usd numeric(12, 6),
  cache_read_usd numeric(12, 6),
  cache_write_usd numeric(12, 6),
  cache_write_1h_usd numeric(12, 6),
  PRIMARY KEY (language_model_id, threshold_tokens, starts_at),
  CONSTRAINT price_sheets_model_fk FOREIGN KEY (account_id, language_model_id)
    REFERENCES language_models (account_id, id) ON DELETE CASCADE
);
SELECT secure_tenant_table('price_sheets');
GRANT SELECT ON price_sheets TO paid_platform;

-- name: write_price_sheets
-- Writes the sheets of some models anew from their prices: one for each threshold and each time at which any of the
-- model's prices starts. A class has the price of the highest threshold that it has up to the sheet's, and the latest
-- of these. The models are locked first, in one order, so that of two prices that start at once the second sheet knows
-- both.
CREATE FUNCTION write_price_sheets(model_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM language_models WHERE id = ANY (model_ids) ORDER BY id FOR NO KEY UPDATE;
  INSERT INTO price_sheets AS sheet (
    language_model_id, threshold_tokens, starts_at, account_id,
    input_usd, output_usd, cache_read_usd, cache_write_usd, cache_write_1h_usd
  )
  SELECT place.language_model_id, place.threshold_tokens, place.starts_at, place.account_id,
         max(price.usd_per_million) FILTER (WHERE price.token_class = 'input'),
         max(price.usd_per_million) FILTER (WHERE price.token_class = 'output'),
         max(price.usd_per_million) FILTER (WHERE price.token_class = 'cache_read'),
         max(price.usd_per_million) FILTER (WHERE price.token_class = 'cache_write'),
         max(price.usd_per_million) FILTER (WHERE price.token_class = 'cache_write_1h')
  FROM (
    SELECT DISTINCT tier.language_model_id, tier.account_id, tier.threshold_tokens, start.starts_at
    FROM model_prices tier JOIN model_prices start USING (language_model_id)
    WHERE tier.language_model_id = ANY (model_ids) AND tier.starts_at <= start.starts_at
  ) place
  CROSS JOIN LATERAL (
    SELECT DISTINCT ON (p.token_class) p.token_class, p.usd_per_million
    FROM model_prices p
    WHERE p.language_model_id = place.language_model_id AND p.starts_at <= place.starts_at
      AND p.threshold_tokens <= place.threshold_tokens
    ORDER BY p.token_class, p.threshold_tokens DESC, p.starts_at DESC
  ) price
  GROUP BY 1, 2, 3, 4
  ON CONFLICT (language_model_id, threshold_tokens, starts_at) DO UPDATE SET
    input_usd = excluded.input_usd,
    output_usd = excluded.output_usd,
    cache_read_usd = excluded.cache_read_usd,
    cache_write_usd = excluded.cache_write_usd,
    cache_write_1h_usd = excluded.cache_write_1h_usd;
END $$;

-- name: follow_model_prices
-- Trigger: prices are only ever added, and go with their model as its sheets do.
CREATE FUNCTION follow_model_prices() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM write_price_sheets(ARRAY (SELECT DISTINCT language_model_id FROM added));
  RETURN NULL;
END $$;
CREATE TRIGGER follow_model_prices AFTER INSERT ON model_prices REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION follow_model_prices();
REVOKE ALL ON FUNCTION write_price_sheets(bigint[]), follow_model_prices() FROM PUBLIC;
SELECT write_price_sheets(ARRAY (SELECT DISTINCT language_model_id FROM model_prices));

-- reverse: price_sheets
-- The trigger first: its table outlives this file.
DROP TRIGGER follow_model_prices ON model_prices;
DROP FUNCTION follow_model_prices(), write_price_sheets(bigint[]);
DROP TABLE price_sheets;
