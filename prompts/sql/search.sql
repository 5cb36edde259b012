-- The search of prompts: what is searched, how it is kept, and the search itself.

-- name: plain_words
-- Text as the search reads it: dots, underlines and slashes part words, so that `issue.title` is found by its parts,
-- and a tag is words like any others (the parser of full text would skip it).
CREATE FUNCTION plain_words(raw text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN translate(coalesce(raw, ''), './_<>&', '      ');

-- name: prompt_documents
-- One row a version: what of it is searched, by weight (A name and slug, B template, C system prompt and notes).
-- `title` is the A part alone: a hit in a name must not get lost behind many in the texts.
CREATE TABLE prompt_documents (
  prompt_version_id bigint PRIMARY KEY,
  account_id bigint NOT NULL,
  prompt_id bigint NOT NULL,
  is_current boolean NOT NULL,
  title tsvector NOT NULL,
  document tsvector NOT NULL,
  CONSTRAINT prompt_documents_version_fk FOREIGN KEY (account_id, prompt_version_id)
    REFERENCES prompt_versions (account_id, id) ON DELETE CASCADE
);
CREATE INDEX prompt_documents_search ON prompt_documents USING gin (account_id, is_current, title, document)
  WITH (fastupdate = off);
CREATE INDEX prompt_documents_of_prompt ON prompt_documents (prompt_id);
CREATE INDEX prompt_documents_newest ON prompt_documents (account_id, is_current, prompt_version_id);

-- name: near_spellings
-- A word, and what it is without any one of its letters. Two words share one of these when a letter is missing, too
-- many, another one, or has changed places with its neighbour.
CREATE FUNCTION near_spellings(word text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  found text[] := ARRAY[word];
BEGIN
  FOR place IN 1 .. length(word) LOOP
    found := found || overlay(word PLACING '' FROM place FOR 1);
  END LOOP;
  RETURN found;
END $$;

-- name: prompt_words
-- Every word of an account's prompts, for parts of words and for typing errors. Two writers at once may both write a
-- word that is new: a unique key would make one wait for the other, and in turn for ever; readers take it as one.
CREATE TABLE prompt_words (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id bigint NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  word text NOT NULL
);
CREATE INDEX prompt_words_known ON prompt_words (account_id, word);
CREATE INDEX prompt_words_similar ON prompt_words USING gin (account_id, word gin_trgm_ops) WITH (fastupdate = off);
CREATE INDEX prompt_words_near ON prompt_words USING gin (account_id, near_spellings(word)) WITH (fastupdate = off);
SELECT secure_tenant_table('prompt_documents'), secure_tenant_table('prompt_words');

-- name: document_prompt_versions
-- Writes, or writes anew, the documents of some versions, and the words that are new to their account.
CREATE FUNCTION document_prompt_versions(version_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO prompt_documents AS known (prompt_version_id, account_id, prompt_id, is_current, title, document)
  SELECT v.id, v.account_id, p.id, v.id IS NOT DISTINCT FROM p.current_version_id, title,
         title || setweight(to_tsvector('english', plain_words(v.template)), 'B')
               || setweight(to_tsvector('english', plain_words(v.system_prompt || ' ' || v.change_notes)), 'C')
  FROM prompt_versions v JOIN prompts p ON p.id = v.prompt_id
  CROSS JOIN LATERAL setweight(to_tsvector('english', plain_words(p.name || ' ' || p.slug)), 'A') AS title
  WHERE v.id = ANY (version_ids)
  ON CONFLICT (prompt_version_id) DO UPDATE
    SET is_current = excluded.is_current, title = excluded.title, document = excluded.document;
  INSERT INTO prompt_words (account_id, word)
  SELECT spoken.account_id, spoken.word
  FROM (
    SELECT DISTINCT v.account_id, lexeme AS word
    FROM prompt_versions v JOIN prompts p ON p.id = v.prompt_id
    CROSS JOIN LATERAL unnest(to_tsvector('simple', plain_words(concat_ws(' ', p.name, p.slug, v.template,
      v.system_prompt, v.change_notes))))
    WHERE v.id = ANY (version_ids) AND length(lexeme) BETWEEN 3 AND 40 AND lexeme ~ '^[[:alpha:]]'
  ) spoken
  WHERE NOT EXISTS (SELECT FROM prompt_words w WHERE w.account_id = spoken.account_id AND w.word = spoken.word);
END $$;

-- name: document_new_versions
-- Trigger: a version is found from its transaction on.
CREATE FUNCTION document_new_versions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM document_prompt_versions(array_agg(id)) FROM added;
  RETURN NULL;
END $$;
CREATE TRIGGER document_new_versions AFTER INSERT ON prompt_versions
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION document_new_versions();

-- name: document_changed_prompt
-- Trigger: another version became the current one, or the prompt got another name.
CREATE FUNCTION document_changed_prompt() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.name, NEW.slug) IS DISTINCT FROM (OLD.name, OLD.slug) THEN
    PERFORM document_prompt_versions(array_agg(id)) FROM prompt_versions WHERE prompt_id = NEW.id;
  ELSE
    UPDATE prompt_documents SET is_current = prompt_version_id IS NOT DISTINCT FROM NEW.current_version_id
    WHERE prompt_version_id IN (OLD.current_version_id, NEW.current_version_id);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER document_changed_prompt AFTER UPDATE OF name, slug, current_version_id ON prompts FOR EACH ROW
  WHEN ((NEW.name, NEW.slug, NEW.current_version_id) IS DISTINCT FROM (OLD.name, OLD.slug, OLD.current_version_id))
  EXECUTE FUNCTION document_changed_prompt();

-- name: document_what_exists
-- Versions from before this search.
SELECT document_prompt_versions(array_agg(id)) FROM prompt_versions;

-- name: matching_documents
-- One account's versions that match, some of them twice: a hundred whose name does, and the newest texts that do. Ranking
-- reads each, so there is a bound. The order lets the planner walk back from the newest where a word is in every text;
-- names have none, because they say too little to guess from: a walk for a word that no name has reads all of them.
-- A name that has company of more than a hundred is among the newest texts, of which it is a part, or nothing special.
CREATE FUNCTION matching_documents(of_account bigint, query tsquery, every_version boolean)
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

-- name: spoken_terms
-- The single words that somebody looks for. Nothing where they use quotes, minus or OR: who does knows what they mean.
CREATE FUNCTION spoken_terms(wanted text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = public, pg_temp
RETURN CASE WHEN wanted ~ '"|(^|\s)-\S|(^|\s)[Oo][Rr](\s|$)' THEN '{}'::text[] ELSE (
  SELECT coalesce(array_agg(term ORDER BY place), '{}')
  FROM (
    SELECT term, min(place) AS place
    FROM regexp_split_to_table(lower(plain_words(wanted)), '[^[:alnum:]]+') WITH ORDINALITY AS split (term, place)
    WHERE term <> '' AND to_tsvector('english', term) <> '' GROUP BY term
  ) spoken
) END;

-- name: any_of_words
-- A query that any one of these words answers.
CREATE FUNCTION any_of_words(words text[]) RETURNS tsquery
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

-- name: query_by_parts
-- The words wanted, each also as a part of a longer word that somebody's prompts use.
CREATE FUNCTION query_by_parts(wanted text, acting bigint) RETURNS tsquery
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  term text;
  longer text[];
  whole tsquery := '';
BEGIN
  FOREACH term IN ARRAY spoken_terms(wanted) LOOP
    longer := ARRAY[term];
    IF length(term) >= 3 THEN
      -- Three letters may stand in very many words: the shortest of the hundreds that came first will do.
      longer := longer || ARRAY(
        SELECT word FROM (
          SELECT word FROM prompt_words
          WHERE (account_id = acting AND word LIKE '%' || term || '%')
             OR (account_id = 0 AND word LIKE '%' || term || '%') LIMIT 300) AS first_known
        GROUP BY word ORDER BY length(word), word LIMIT 20);
    END IF;
    whole := whole && any_of_words(longer);
  END LOOP;
  RETURN whole;
END $$;

-- name: query_by_likeness
-- The words wanted, each in the spellings that somebody's prompts use, and the nearest of these spelt out; empty when
-- one of them is like none. What is one letter away is looked up by key; only where nothing is, trigrams are compared,
-- of which two words must share so many that an index need not read those that stand in every other word.
CREATE FUNCTION query_by_likeness(wanted text, acting bigint, OUT query tsquery, OUT spelt text)
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan SET pg_trgm.similarity_threshold = 0.3
-- The planner takes `%` for cheap: left to itself it compares every word of the account.
SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off AS $$
DECLARE
  term text;
  near text[];
  like_it text[];
BEGIN
  query := '';
  spelt := '';
  FOREACH term IN ARRAY spoken_terms(wanted) LOOP
    near := near_spellings(term);
    like_it := ARRAY(
      SELECT word FROM prompt_words
      WHERE (account_id = acting AND near_spellings(word) && near) OR (account_id = 0 AND near_spellings(word) && near)
      GROUP BY word ORDER BY word <-> term, word LIMIT 3);
    IF like_it = '{}' THEN
      like_it := ARRAY(
        SELECT word FROM prompt_words
        WHERE (account_id = acting AND word % term) OR (account_id = 0 AND word % term)
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

-- name: prompt_headline
-- The places of a version's texts where a query hits, each hit between two signs of private use; nothing is escaped.
-- What parts words for this search becomes such a sign too: it does so here as a space would, and can be told from one.
CREATE FUNCTION prompt_headline(version_id bigint, query tsquery) RETURNS text
LANGUAGE sql STABLE SET search_path = public, pg_temp
RETURN (
  SELECT ts_headline('english',
    translate(concat_ws(E'\n', v.template, v.system_prompt, v.change_notes),
              './_<>&' || U&'\E000\E001', U&'\E002\E003\E004\E005\E006\E007'),
    query,
    U&'StartSel="\E000", StopSel="\E001", MaxFragments=2, MaxWords=16, MinWords=6, ShortWord=0, FragmentDelimiter=" … "')
  FROM prompt_versions v WHERE v.id = version_id
);

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
      query := query_by_parts(wanted, acting);
    ELSE
      SELECT likeness.query, likeness.spelt INTO query, spelt FROM query_by_likeness(wanted, acting) AS likeness;
    END IF;
    CONTINUE WHEN numnode(query) = 0;
    FOR prompt_id, prompt_version_id, rank IN
      SELECT m.prompt_id, m.prompt_version_id, m.rank
      FROM (SELECT * FROM matching_documents(acting, query, every_version)
            UNION SELECT * FROM matching_documents(0, query, every_version)) m
      WHERE m.prompt_version_id <> ALL (seen)
      ORDER BY m.rank DESC, m.is_current DESC, m.prompt_version_id DESC
      LIMIT max_rows - cardinality(seen)
    LOOP
      seen := seen || prompt_version_id;
      headline := prompt_headline(prompt_version_id, query);
      RETURN NEXT;
    END LOOP;
  END LOOP;
END $$;

-- name: prompt_versions_using
-- The versions, of the running account and global, whose texts use all the wanted variables. Served by the index
-- prompt_versions_variables.
CREATE FUNCTION prompt_versions_using(wanted jsonb) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  acting bigint := current_account();
BEGIN
  IF acting IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY SELECT id FROM prompt_versions WHERE account_id = acting AND variables @> wanted;
  RETURN QUERY SELECT id FROM prompt_versions WHERE account_id = 0 AND acting <> 0 AND variables @> wanted;
END $$;

-- name: search_grants
-- Tenants search. The rest is the owner's own: triggers and the search call it as the owner.
REVOKE EXECUTE ON FUNCTION plain_words(text), near_spellings(text), document_prompt_versions(bigint[]),
  document_new_versions(), document_changed_prompt(), matching_documents(bigint, tsquery, boolean), spoken_terms(text), any_of_words(text[]),
  query_by_parts(text, bigint), query_by_likeness(text, bigint), prompt_headline(bigint, tsquery),
  find_prompts(text, integer, boolean), prompt_versions_using(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_prompts(text, integer, boolean), prompt_versions_using(jsonb) TO paid_tenant;

-- reverse: search
-- The search and all that it keeps.
DROP FUNCTION prompt_versions_using(jsonb), find_prompts(text, integer, boolean), prompt_headline(bigint, tsquery),
  query_by_likeness(text, bigint), query_by_parts(text, bigint), any_of_words(text[]), spoken_terms(text),
  matching_documents(bigint, tsquery, boolean);
DROP TRIGGER document_changed_prompt ON prompts;
DROP TRIGGER document_new_versions ON prompt_versions;
DROP FUNCTION document_changed_prompt(), document_new_versions(), document_prompt_versions(bigint[]);
DROP TABLE prompt_words, prompt_documents;
DROP FUNCTION near_spellings(text), plain_words(text);
