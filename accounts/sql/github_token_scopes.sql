-- Which GitHub tokens have which scope: what the search for the newest of them reads. `scopes @>` under GIN finds all
-- that have a scope in no order, and reads where the account's tokens are to the last one.

-- name: github_token_scopes
-- Made by triggers from `github_tokens.scopes`, granted to nobody: the owner's functions write and read it. A token
-- that is given to another account takes them with it.
CREATE TABLE github_token_scopes (
  account_id bigint NOT NULL,
  token_id bigint NOT NULL,
  scope text COLLATE "C" NOT NULL,
  CONSTRAINT github_token_scopes_pkey PRIMARY KEY (account_id, token_id, scope),
  CONSTRAINT github_token_scopes_token_fk FOREIGN KEY (account_id, token_id) REFERENCES github_tokens (account_id, id)
    ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX github_token_scopes_newest ON github_token_scopes (account_id, scope, token_id);
SELECT secure_tenant_table('github_token_scopes');

-- name: scope_new_github_tokens
-- Trigger: a token is found by its scopes from its transaction on.
CREATE FUNCTION scope_new_github_tokens() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO github_token_scopes (account_id, token_id, scope)
  SELECT account_id, id, scope FROM added CROSS JOIN LATERAL unnest(scopes) AS scope
  WHERE scope IS NOT NULL
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER scope_new_github_tokens AFTER INSERT ON github_tokens
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION scope_new_github_tokens();

-- name: scope_changed_github_token
-- Trigger: only what went and came is written.
CREATE FUNCTION scope_changed_github_token() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  kept text[] := array_remove(NEW.scopes, NULL);
BEGIN
  DELETE FROM github_token_scopes WHERE account_id = NEW.account_id AND token_id = NEW.id AND scope <> ALL (kept);
  INSERT INTO github_token_scopes (account_id, token_id, scope)
  SELECT NEW.account_id, NEW.id, scope FROM unnest(kept) AS scope
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER scope_changed_github_token AFTER UPDATE OF scopes ON github_tokens FOR EACH ROW
  WHEN (NEW.scopes IS DISTINCT FROM OLD.scopes) EXECUTE FUNCTION scope_changed_github_token();

-- name: github_token_scope_grants
-- Nobody but the owner.
REVOKE EXECUTE ON FUNCTION scope_new_github_tokens(), scope_changed_github_token() FROM PUBLIC;

-- reverse: github_token_scopes
-- What is kept is all in github_tokens.scopes.
DROP TRIGGER scope_changed_github_token ON github_tokens;
DROP TRIGGER scope_new_github_tokens ON github_tokens;
DROP FUNCTION scope_changed_github_token(), scope_new_github_tokens();
DROP TABLE github_token_scopes;
