-- Accounts: who sees which row, who may do what, and the owner who must stay.

-- name: accounts_policies
-- An account is its own tenant: it sees itself, its members see it, and the global account shows to all who act.
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON accounts TO paid_tenant USING (id = (SELECT current_account()));
CREATE POLICY mine ON accounts FOR SELECT TO paid_tenant
  USING (id IN (SELECT account_id FROM memberships WHERE user_id = (SELECT current_user_id())));
CREATE POLICY global_read ON accounts FOR SELECT TO paid_tenant
  USING (id = 0 AND (SELECT current_account()) IS NOT NULL);

-- name: memberships_policies
-- Beside the account's rows, the signed-in user's own memberships: this is how the middleware finds the account.
CREATE POLICY mine ON memberships FOR SELECT TO paid_tenant USING (user_id = (SELECT current_user_id()));

-- name: users_policies
-- A person sees themself and the fellow members of the account they act for, and changes only themself.
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY self ON users TO paid_tenant USING (id = (SELECT current_user_id()));
CREATE POLICY fellow ON users FOR SELECT TO paid_tenant
  USING (id IN (SELECT user_id FROM memberships WHERE account_id = (SELECT current_account())));

-- name: grants
-- What a tenant may do at all, and the platform. Tokens and keys are revoked, not deleted; plans are the platform's.
GRANT SELECT ON accounts TO paid_tenant;
GRANT UPDATE (name, settings, billing_email) ON accounts TO paid_tenant;
GRANT SELECT, INSERT, UPDATE ON accounts TO paid_platform;
GRANT SELECT ON users TO paid_tenant;
GRANT UPDATE (name, email, password, last_login) ON users TO paid_tenant;
GRANT SELECT, INSERT, UPDATE ON users TO paid_platform;
GRANT SELECT, INSERT, UPDATE, DELETE ON memberships TO paid_tenant, paid_platform;
GRANT SELECT, INSERT, UPDATE ON github_tokens, provider_keys TO paid_tenant, paid_platform;
GRANT SELECT, INSERT ON audit_events TO paid_tenant, paid_platform;

-- name: last_owner_stays
-- An account that has owners never loses the last one. Checked at the commit, under the account's row lock: two
-- owners who leave at the same time would otherwise each count on the other.
CREATE FUNCTION last_owner_stays() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM accounts WHERE id = OLD.account_id FOR NO KEY UPDATE;
  IF FOUND AND NOT EXISTS (SELECT FROM memberships WHERE account_id = OLD.account_id AND role = 'owner') THEN
    RAISE EXCEPTION 'the last owner of account % cannot leave', OLD.account_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'memberships_last_owner_stays', TABLE = 'memberships',
            HINT = 'Make somebody else an owner first.';
  END IF;
  RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION last_owner_stays() FROM PUBLIC;
CREATE CONSTRAINT TRIGGER last_owner_stays AFTER UPDATE OR DELETE ON memberships
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION last_owner_stays();

-- name: global_account
-- Account 0 owns what every tenant may read.
INSERT INTO accounts (id, name, slug, plan) VALUES (0, 'Global', 'global', 'enterprise');

-- reverse: functions
-- Policies, grants and triggers go away with the tables; a function that a trigger uses goes with the trigger.
DROP FUNCTION last_owner_stays() CASCADE;
