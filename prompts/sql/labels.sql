-- Labels on versions, and resolution for whoever holds a token of the HTTP API.

-- name: grants
-- Labels are moved, and taken away.
GRANT SELECT, INSERT, UPDATE, DELETE ON prompt_labels TO paid_tenant, paid_platform;

-- name: resolve_label
-- The version that a label stands on: of the nearest prompt with this slug that has the label. No experiment applies,
-- who asks for a label wants this version and no other. The columns are those of resolve_prompt.
CREATE FUNCTION resolve_label(wanted_account bigint, wanted_project bigint, wanted_slug text, wanted_label text)
RETURNS TABLE (
  prompt_id bigint,
  prompt_version_id bigint,
  version_account_id bigint,
  version integer,
  template text,
  system_prompt text,
  ab_variant_id bigint,
  scope text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY INVOKER ROWS 1 SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT found.id, v.id, v.account_id, v.version, v.template, v.system_prompt, NULL::bigint, found.scope::text
  FROM (
    SELECT 1 AS distance, p.id, p.scope FROM prompts p
    WHERE p.account_id = wanted_account AND p.project_id = wanted_project AND p.slug = wanted_slug
    UNION ALL
    SELECT 2, p.id, p.scope FROM prompts p
    WHERE p.account_id = wanted_account AND p.project_id IS NULL AND p.slug = wanted_slug
    UNION ALL
    SELECT 3, p.id, p.scope FROM prompts p
    WHERE p.account_id = 0 AND p.project_id IS NULL AND p.slug = wanted_slug
  ) found
  JOIN prompt_labels l ON l.prompt_id = found.id AND l.name = wanted_label
  JOIN prompt_versions v ON v.id = l.prompt_version_id AND v.prompt_id = found.id
  ORDER BY found.distance
  LIMIT 1;
END $$;
GRANT EXECUTE ON FUNCTION resolve_label(bigint, bigint, text, text) TO paid_tenant, paid_platform;

-- name: resolve_prompt_by_token
-- One round trip for the HTTP API: who asks, whether they may, and which version they get. Without a row the prompt is
-- not there; `refusal` says what else is wrong, and then the rest is NULL.
-- The owner runs it, because the caller has no account before the token told it. Every look-up below names the token's
-- account, which stays the only one whose rows (beside the global ones) can come out.
CREATE FUNCTION resolve_prompt_by_token(
  token_digest bytea, wanted_project bigint, wanted_slug text, subject text, wanted_label text)
RETURNS TABLE (
  refusal text,
  prompt_id bigint,
  prompt_version_id bigint,
  version_account_id bigint,
  version integer,
  template text,
  system_prompt text,
  ab_variant_id bigint,
  scope text
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  holder record;
  refused text;
BEGIN
  SELECT t.of_account, t.scopes INTO holder FROM use_api_token(token_digest) t;
  IF NOT FOUND THEN
    refused := 'unknown_token';
  ELSIF NOT 'prompts:read' = ANY (holder.scopes) THEN
    refused := 'missing_scope';
  ELSIF wanted_project IS NOT NULL
    AND NOT EXISTS (SELECT FROM projects p WHERE p.id = wanted_project AND p.account_id = holder.of_account)
  THEN
    refused := 'unknown_project';
  END IF;
  IF refused IS NOT NULL THEN
    RETURN QUERY SELECT refused, NULL::bigint, NULL::bigint, NULL::bigint, NULL::integer, NULL::text, NULL::text,
      NULL::bigint, NULL::text;
  ELSIF wanted_label IS NOT NULL THEN
    RETURN QUERY
    SELECT NULL::text, r.* FROM resolve_label(holder.of_account, wanted_project, wanted_slug, wanted_label) r;
  ELSE
    RETURN QUERY
    SELECT NULL::text, r.* FROM resolve_prompt(holder.of_account, wanted_project, wanted_slug, subject) r;
  END IF;
END $$;
REVOKE EXECUTE ON FUNCTION resolve_prompt_by_token(bytea, bigint, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resolve_prompt_by_token(bytea, bigint, text, text, text) TO paid_tenant;

-- reverse: labels
-- Grants go away with the table.
DROP FUNCTION resolve_prompt_by_token(bytea, bigint, text, text, text), resolve_label(bigint, bigint, text, text);
