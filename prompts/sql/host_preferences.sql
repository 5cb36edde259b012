-- name: host_preferences
-- The host's model preferences (account 0) hold for everybody, so everybody may read them.
CREATE POLICY global_read ON model_preferences FOR SELECT TO paid_tenant
  USING (account_id = 0 AND (SELECT current_account()) IS NOT NULL);

-- reverse: host_preferences
-- The tenants' own policy stays.
DROP POLICY global_read ON model_preferences;
