-- name: no_broken_index
-- What a first try left, if it broke off.
DROP INDEX CONCURRENTLY IF EXISTS agent_run_texts_parts;

-- name: agent_run_texts_parts
-- Parts of the texts within an hour, 4, 16, 64, 256, 1,024 or 4,096 hours of an account: GIN keeps no order, so the newest
-- are looked for in spans that grow. The text comes first: GIN asks the columns in turn for the next row, and what nearly
-- no text holds should say no before the account, which has millions, is followed. Nobody is kept from writing meanwhile.
CREATE INDEX CONCURRENTLY agent_run_texts_parts ON agent_run_texts USING gin
  (body gin_trgm_ops, account_id, hour, (hour / 4), (hour / 16), (hour / 64), (hour / 256), (hour / 1024), (hour / 4096))
  WITH (fastupdate = off);

-- reverse: parts_of_run_texts
-- Nothing but the search reads it.
DROP INDEX CONCURRENTLY IF EXISTS agent_run_texts_parts;
