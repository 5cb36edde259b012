-- Two functions of search.sql as they are now: a query made of parts of words has some twenty words for each that was
-- typed, and each of them costs in every text that is compared.

-- name: any_of_words
-- A query that any one of these words answers. Several of them (`solve`, `solved`, `solving`) are one to full text.
CREATE OR REPLACE FUNCTION any_of_words(words text[]) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE SET search_path = public, pg_temp AS $$
DECLARE
  one text;
  next tsquery;
  whole tsquery := '';
  seen text[] := '{}';
BEGIN
  FOREACH one IN ARRAY words LOOP
    next := plainto_tsquery('english', one);
    CONTINUE WHEN next::text = ANY (seen);
    seen := seen || next::text;
    whole := whole || next;
  END LOOP;
  RETURN whole;
END $$;

-- name: matching_documents
-- One account's versions that match, some of them twice: a hundred whose name does, and the newest texts that do. Ranking
-- reads each, so there is a bound: three hundred, and one hundred for a query of many words, where a rank says little.
-- The order lets the planner walk back from the newest where a word is in every text; names have none, because they say
-- too little to guess from: a walk for a word that no name has reads all of them. A name that has company of more than a
-- hundred is among the newest texts, of which it is a part, or nothing special.
CREATE OR REPLACE FUNCTION matching_documents(of_account bigint, query tsquery, every_version boolean)
RETURNS TABLE (prompt_version_id bigint, prompt_id bigint, is_current boolean, rank real)
LANGUAGE plpgsql STABLE ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  most integer := CASE WHEN numnode(query) > 12 THEN 100 ELSE 300 END;
BEGIN
  RETURN QUERY
  SELECT d.prompt_version_id, d.prompt_id, d.is_current, ts_rank(d.document, query, 1)
  FROM (
    (SELECT t.prompt_version_id, t.prompt_id, t.is_current, t.document FROM prompt_documents t
     WHERE t.account_id = of_account AND (every_version OR t.is_current) AND t.title @@ query LIMIT 100)
    UNION ALL
    (SELECT t.prompt_version_id, t.prompt_id, t.is_current, t.document FROM prompt_documents t
     WHERE t.account_id = of_account AND (every_version OR t.is_current) AND t.document @@ query
     ORDER BY t.prompt_version_id DESC LIMIT most)) d;
END $$;

-- reverse: any_of_words
-- A query that any one of these words answers.
CREATE OR REPLACE FUNCTION any_of_words(words text[]) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE SET search_path = public, pg_temp AS $$
DECLARE
  one text;
  whole tsquery := '';
BEGIN
  FOREACH one IN ARRAY words LOOP
    whole := whole || plainto_tsquery('english', one);
  END LOOP;
  RETURN whole;
END $$;

-- reverse: matching_documents
-- One account's versions that match, some of them twice: a hundred whose name does, and the newest texts that do. Ranking
-- reads each, so there is a bound. The order lets the planner walk back from the newest where a word is in every text;
-- names have none, because they say too little to guess from: a walk for a word that no name has reads all of them.
-- A name that has company of more than a hundred is among the newest texts, of which it is a part, or nothing special.
CREATE OR REPLACE FUNCTION matching_documents(of_account bigint, query tsquery, every_version boolean)
RETURNS TABLE (prompt_version_id bigint, prompt_id bigint, is_current boolean, rank real)
LANGUAGE plpgsql STABLE ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT d.prompt_version_id, d.prompt_id, d.is_current, ts_rank(d.document, query, 1)
  FROM (
    (SELECT t.prompt_version_id, t.prompt_id, t.is_current, t.document FROM prompt_documents t
     WHERE t.account_id = of_account AND (every_version OR t.is_current) AND t.title @@ query LIMIT 100)
    UNION ALL
    (SELECT t.prompt_version_id, t.prompt_id, t.is_current, t.document FROM prompt_documents t
     WHERE t.account_id = of_account AND (every_version OR t.is_current) AND t.document @@ query
     ORDER BY t.prompt_version_id DESC LIMIT 300)) d;
END $$;
