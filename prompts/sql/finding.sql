-- The search of prompts as it is now, over what search.sql keeps: in the place of the functions of that name there. A
-- tenant calls find_prompts, which calls the rest as the owner.

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

-- name: query_by_parts
-- The words wanted, each also as a part of a longer word that somebody's prompts use; empty when there is none such.
-- Words that begin so come first, because a beginning is what somebody has typed so far, and a B-tree gives them in a few
-- pages. Parts within words cost many times that: they are looked up where beginnings leave room. One plan serves all
-- terms, so none is made anew for each.
CREATE FUNCTION query_by_parts(terms text[], acting bigint) RETURNS tsquery
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  most CONSTANT integer := 20;
  term text;
  longer text[];
  has_longer boolean := false;
  whole tsquery := '';
BEGIN
  FOREACH term IN ARRAY terms LOOP
    longer := '{}';
    IF length(term) >= 3 THEN
      -- Three letters may begin very many words: the shortest of the many that came first will do.
      longer := ARRAY(
        SELECT word FROM (
          SELECT word FROM (
            SELECT word FROM prompt_words
            WHERE account_id = ANY (ARRAY[acting, 0]) AND word ~>~ term AND word ~<~ (term || U&'\+10FFFF')
            LIMIT 2000) AS first_known
          ORDER BY length(word), word LIMIT 2 * most) AS shortest
        GROUP BY word ORDER BY length(word), word LIMIT most);
      IF cardinality(longer) < most THEN
        longer := longer || ARRAY(
          SELECT word FROM (
            SELECT word FROM prompt_words
            WHERE account_id = ANY (ARRAY[acting, 0]) AND word LIKE '%_' || term || '%' LIMIT 300) AS first_known
          GROUP BY word ORDER BY length(word), word LIMIT most - cardinality(longer));
      END IF;
      has_longer := has_longer OR longer <> '{}';
    END IF;
    whole := whole && any_of_words(term || longer);
  END LOOP;
  RETURN CASE WHEN has_longer THEN whole ELSE '' END;
END $$;

-- name: query_by_likeness
-- The words wanted, each in the spellings that somebody's prompts use, and the nearest of these spelt out; empty when
-- one of them is like none. What is one letter away is looked up by key; only where nothing is, trigrams are compared,
-- of which two words must share so many that an index need not read those that stand in every other word.
-- The accounts are one condition: of two joined by OR the planner takes the smaller's by account alone, and calls
-- near_spellings for each word of it.
CREATE FUNCTION query_by_likeness(terms text[], acting bigint, OUT query tsquery, OUT spelt text)
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET pg_trgm.similarity_threshold = 0.3
-- The planner takes `%` for cheap: left to itself it compares every word of the account.
SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off AS $$
DECLARE
  term text;
  near text[];
  like_it text[];
BEGIN
  query := '';
  spelt := '';
  FOREACH term IN ARRAY terms LOOP
    near := near_spellings(term);
    like_it := ARRAY(
      SELECT word FROM prompt_words
      WHERE account_id = ANY (ARRAY[acting, 0]) AND near_spellings(word) && near
      GROUP BY word ORDER BY word <-> term, word LIMIT 3);
    IF like_it = '{}' THEN
      like_it := ARRAY(
        SELECT word FROM prompt_words
        WHERE account_id = ANY (ARRAY[acting, 0]) AND word % term
        GROUP BY word ORDER BY word <-> term, word LIMIT 3);
    END IF;
    IF like_it = '{}' THEN
      query := '';
      RETURN;
    END IF;
    query := query && any_of_words(like_it);
    spelt := concat_ws(' ', nullif(spelt, ''), like_it[1]);
  END LOOP;
END $$;

-- name: matching_names
-- A hundred of an account's versions whose name matches, by index whatever is asked for: titles have too few common words
-- for a guess, and for twenty rare ones the planner would walk through every version.
CREATE FUNCTION matching_names(of_account bigint, query tsquery, every_version boolean)
RETURNS TABLE (prompt_version_id bigint, prompt_id bigint, is_current boolean, rank real)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_indexscan = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT t.prompt_version_id, t.prompt_id, t.is_current, ts_rank(t.document, query, 1) FROM prompt_documents t
  WHERE t.account_id = of_account AND (every_version OR t.is_current) AND t.title @@ query LIMIT 100;
END $$;

-- name: matching_documents
-- One account's versions that match, some of them twice. Ranking reads each, so there is a bound: the three hundred
-- newest, and sixty for a query of many words, where a rank says little and each text is compared with every word. Their
-- order lets the planner walk back from the newest where a word is in every text.
-- Where there may be more than that, a name must not get lost behind them, so names are asked for apart. Not where twenty
-- of as many newest versions are named so: these were found already, and an index would collect thousands.
CREATE OR REPLACE FUNCTION matching_documents(of_account bigint, query tsquery, every_version boolean)
RETURNS TABLE (prompt_version_id bigint, prompt_id bigint, is_current boolean, rank real)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  most integer := CASE WHEN numnode(query) > 12 THEN 60 ELSE 300 END;
  found bigint;
BEGIN
  RETURN QUERY
  SELECT t.prompt_version_id, t.prompt_id, t.is_current, ts_rank(t.document, query, 1) FROM prompt_documents t
  WHERE t.account_id = of_account AND (every_version OR t.is_current) AND t.document @@ query
  ORDER BY t.prompt_version_id DESC LIMIT most;
  GET DIAGNOSTICS found = ROW_COUNT;
  IF found = most AND 20 > (
    SELECT count(*)
    FROM (SELECT t.title FROM prompt_documents t WHERE t.account_id = of_account AND (every_version OR t.is_current)
          ORDER BY t.prompt_version_id DESC LIMIT most) newest
    WHERE newest.title @@ query)
  THEN
    RETURN QUERY SELECT * FROM matching_names(of_account, query, every_version);
  END IF;
END $$;

-- name: prompt_headline
-- The places of a version's texts where a query hits, each hit between two signs of private use; nothing is escaped.
-- What parts words for this search becomes such a sign too: it does so here as a space would, and can be told from one.
CREATE FUNCTION prompt_headline(texts text, query tsquery) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN ts_headline('english',
  -- One call of translate takes three times as long as these together.
  replace(replace(replace(replace(replace(replace(replace(replace(texts,
    U&'\E000', ''), U&'\E001', ''), '.', U&'\E002'), '/', U&'\E003'), '_', U&'\E004'), '<', U&'\E005'),
    '>', U&'\E006'), '&', U&'\E007'),
  query,
  U&'StartSel="\E000", StopSel="\E001", MaxFragments=2, MaxWords=16, MinWords=6, ShortWord=0, FragmentDelimiter=" … "');

-- name: find_prompts
-- The tenant's and the global prompts that match, best first, each with its headline. By whole words; where these leave
-- room, by parts of words; where nothing was found, by likeness, with the words as they were understood.
-- The operators of the indexes are not leakproof, so under row-level security none would be used: the owner searches,
-- and this function filters by the account itself.
CREATE FUNCTION find_prompts(wanted text, max_rows integer, every_version boolean)
RETURNS TABLE (prompt_id bigint, prompt_version_id bigint, rank real, matched_by text, spelt text, headline text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  acting bigint := current_account();
  terms text[];
  query tsquery;
  seen bigint[] := '{}';
BEGIN
  IF acting IS NULL THEN
    RETURN;
  END IF;
  FOREACH matched_by IN ARRAY ARRAY['words', 'parts', 'likeness'] LOOP
    EXIT WHEN cardinality(seen) >= max_rows OR (matched_by = 'likeness' AND seen <> '{}');
    IF matched_by = 'words' THEN
      query := websearch_to_tsquery('english', plain_words(wanted));
    ELSIF matched_by = 'parts' THEN
      terms := spoken_terms(wanted);
      query := query_by_parts(terms, acting);
    ELSE
      SELECT likeness.query, likeness.spelt INTO query, spelt FROM query_by_likeness(terms, acting) AS likeness;
    END IF;
    CONTINUE WHEN numnode(query) = 0;
    FOR prompt_id, prompt_version_id, rank, headline IN
      SELECT best.prompt_id, best.prompt_version_id, best.rank,
             prompt_headline(concat_ws(E'\n', v.template, v.system_prompt, v.change_notes), query)
      FROM (
        SELECT m.*
        FROM (SELECT * FROM matching_documents(acting, query, every_version)
              UNION SELECT * FROM matching_documents(0, query, every_version)) m
        WHERE m.prompt_version_id <> ALL (seen)
        ORDER BY m.rank DESC, m.is_current DESC, m.prompt_version_id DESC
        LIMIT max_rows - cardinality(seen)) best
      JOIN prompt_versions v ON v.id = best.prompt_version_id
      ORDER BY best.rank DESC, best.is_current DESC, best.prompt_version_id DESC
    LOOP
      seen := seen || prompt_version_id;
      RETURN NEXT;
    END LOOP;
  END LOOP;
END $$;

-- name: finding_grants
-- Tenants search. The rest is the owner's own.
REVOKE EXECUTE ON FUNCTION query_by_parts(text[], bigint), query_by_likeness(text[], bigint),
  matching_names(bigint, tsquery, boolean), prompt_headline(text, tsquery), find_prompts(text, integer, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_prompts(text, integer, boolean) TO paid_tenant;

-- reverse: finding
-- What has another signature than before, or none.
DROP FUNCTION find_prompts(text, integer, boolean), prompt_headline(text, tsquery),
  matching_names(bigint, tsquery, boolean), query_by_likeness(text[], bigint), query_by_parts(text[], bigint);
