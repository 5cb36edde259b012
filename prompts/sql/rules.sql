-- Prompts: who may do what, and the search.

-- name: grants
-- Versions and prices are only ever added.
GRANT SELECT, INSERT, UPDATE ON prompts, language_models TO paid_tenant, paid_platform;
GRANT SELECT, INSERT ON prompt_versions, model_prices TO paid_tenant, paid_platform;
GRANT SELECT, INSERT, UPDATE, DELETE ON style_guides, model_preferences, ab_tests, ab_variants TO paid_tenant, paid_platform;

-- name: search_prompts
-- The tenant's and the global prompts whose current version matches, best first: words by full text, then parts of
-- words by trigram. The operators of both indexes are not leakproof, so under row-level security neither would be
-- used: the owner searches, and this function filters by the account itself.
CREATE FUNCTION search_prompts(wanted text, max_rows integer DEFAULT 50)
RETURNS TABLE (prompt_id bigint, prompt_version_id bigint, rank real, matched_by text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  query tsquery := websearch_to_tsquery('english', wanted);
  part text := '%' || replace(replace(replace(wanted, '\', '\\'), '%', '\%'), '_', '\_') || '%';
BEGIN
  IF current_account() IS NULL OR btrim(wanted) = '' THEN
    RETURN;
  END IF;
  RETURN QUERY
  WITH by_words AS (
    SELECT p.id, v.id AS version_id,
           ts_rank(to_tsvector('english'::regconfig, coalesce(v.template, '')), query) AS score
    FROM prompt_versions v JOIN prompts p ON p.current_version_id = v.id
    WHERE v.account_id IN (0, current_account())
      AND to_tsvector('english'::regconfig, coalesce(v.template, '')) @@ query
  ), by_parts AS (
    SELECT p.id, v.id AS version_id, word_similarity(wanted, v.template) AS score
    FROM prompt_versions v JOIN prompts p ON p.current_version_id = v.id
    WHERE v.account_id IN (0, current_account()) AND v.template ILIKE part
    UNION
    SELECT p.id, p.current_version_id, greatest(similarity(wanted, p.name), similarity(wanted, p.slug))
    FROM prompts p
    WHERE p.account_id IN (0, current_account()) AND p.current_version_id IS NOT NULL
      AND (p.name ILIKE part OR p.slug ILIKE part)
  ), found AS (
    SELECT id, version_id, score, 'words' AS how, 0 AS class FROM by_words
    UNION ALL
    SELECT id, version_id, score, 'parts', 1 FROM by_parts
  ), best AS (
    SELECT DISTINCT ON (id) id, version_id, score, how, class FROM found ORDER BY id, class, score DESC
  )
  SELECT id, version_id, score, how FROM best ORDER BY class, score DESC, id LIMIT max_rows;
END $$;
REVOKE EXECUTE ON FUNCTION search_prompts(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION search_prompts(text, integer) TO paid_tenant, paid_platform;

-- reverse: functions
-- What the tables do not take with them.
DROP FUNCTION search_prompts(text, integer);
