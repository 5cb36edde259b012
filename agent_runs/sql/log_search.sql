-- Full text of the log: the writer notes what it added, an indexer makes chunks of words of it, a search reads both.

-- name: log_words
-- The words of a piece of log. Cut first where PostgreSQL's parser would keep a path, a host or a tag in one piece
-- (`src/slug.py` is found by `slug`); colours of a terminal stand for nothing.
CREATE FUNCTION log_words(content text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('simple'::regconfig, regexp_replace(
  CASE WHEN position(E'\x1b' IN content) > 0 THEN regexp_replace(content, E'\x1b\\[[0-9;]*[A-Za-z]', '', 'g')
       ELSE content END,
  '[/.@+<&_~%-]+', ' ', 'g'));

-- name: log_query
-- What somebody typed, as a question to log_words: `"a phrase"`, `or`, `-without`. A path or a number with dots,
-- which log_words cut, is asked for as a phrase, unless the text has quotation marks of its own.
CREATE FUNCTION log_query(wanted text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN websearch_to_tsquery('simple'::regconfig, regexp_replace(regexp_replace(
  CASE WHEN position('"' IN wanted) > 0 THEN wanted
       ELSE regexp_replace(wanted, '[[:alnum:]]+([/.@+<&_~%:=-]+[[:alnum:]]+)+', '"\&"', 'g') END,
  '[/.@+<&_~%]+', ' ', 'g'), '([[:alnum:]])-+', '\1 ', 'g'));

-- name: log_chunk_query
-- What a chunk must hold for one of its rows to be a hit: the query without what is excluded and without the order
-- of words, which chunks do not keep. Empty or `T` in `querytree` means that any chunk may hold one: NULL.
CREATE FUNCTION log_chunk_query(query tsquery) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN querytree(query) IN ('', 'T') THEN NULL
       ELSE regexp_replace(querytree(query), '<(-|[0-9]+)>', '&', 'g')::tsquery END;

-- name: agent_run_logs_added
-- Statement trigger in place of a foreign key, and the writer's note to the indexer: added rows name their run's
-- account and time, and what was added waits in agent_run_log_backlog. One pass per statement; the note is a new
-- row, so no writer ever waits for another or for the indexer.
CREATE FUNCTION agent_run_logs_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  span record;
BEGIN
  FOR span IN
    SELECT row_of.*, run.project_id
    FROM (SELECT agent_run_id, account_id, run_created_at, min(seq) AS first_seq, max(seq) AS last_seq
          FROM added GROUP BY agent_run_id, account_id, run_created_at) AS row_of
    LEFT JOIN agent_runs AS run ON run.id = row_of.agent_run_id AND run.account_id = row_of.account_id
                               AND run.created_at = row_of.run_created_at
  LOOP
    IF span.project_id IS NULL THEN
      RAISE EXCEPTION 'rows for % that do not match account and time of their run', TG_TABLE_NAME
        USING ERRCODE = 'foreign_key_violation', CONSTRAINT = TG_TABLE_NAME || '_belong_to_run', TABLE = TG_TABLE_NAME;
    END IF;
    INSERT INTO agent_run_log_backlog (account_id, project_id, run_created_at, agent_run_id, first_seq, last_seq)
    VALUES (span.account_id, span.project_id, span.run_created_at, span.agent_run_id, span.first_seq, span.last_seq);
  END LOOP;
  RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION agent_run_logs_added() FROM PUBLIC;
DROP TRIGGER rows_belong_to_their_run ON agent_run_logs;
CREATE TRIGGER agent_run_logs_added AFTER INSERT ON agent_run_logs REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION agent_run_logs_added();

-- name: index_log_backlog
-- Make chunks of the oldest noted spans and take the notes away, in one transaction; returns how many notes.
-- A chunk is at most 64 rows and about 100,000 characters, far below the megabyte that a tsvector may hold.
CREATE FUNCTION index_log_backlog(max_spans integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET client_min_messages = warning AS $$
DECLARE
  taken bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(7115202) THEN
    RETURN 0;
  END IF;
  WITH noted AS (
    DELETE FROM agent_run_log_backlog
    WHERE id IN (SELECT id FROM agent_run_log_backlog ORDER BY id LIMIT max_spans)
    RETURNING account_id, project_id, run_created_at, agent_run_id, first_seq, last_seq
  ), spans AS (
    -- What a run said since the last time is one span: ten notes of one row make one chunk.
    SELECT account_id, project_id, run_created_at, agent_run_id,
           min(first_seq) AS first_seq, max(last_seq) AS last_seq, count(*) AS notes
    FROM noted GROUP BY account_id, project_id, run_created_at, agent_run_id
  ), numbered AS (
    SELECT spans.account_id, spans.project_id, spans.run_created_at, spans.agent_run_id, lines.seq, lines.content,
           (row_number() OVER in_order - 1) / 64 AS by_rows, sum(length(lines.content)) OVER in_order / 100000 AS by_size
    FROM spans
    CROSS JOIN LATERAL (
      SELECT agent_run_logs.seq, left(agent_run_logs.content, 8000) AS content FROM agent_run_logs
      WHERE agent_run_logs.run_created_at = spans.run_created_at AND agent_run_logs.agent_run_id = spans.agent_run_id
        AND agent_run_logs.seq BETWEEN spans.first_seq AND spans.last_seq) AS lines
    WINDOW in_order AS (PARTITION BY spans.agent_run_id ORDER BY lines.seq)
  ), made AS (
    INSERT INTO agent_run_log_chunks AS chunk
      (account_id, project_id, run_created_at, agent_run_id, first_seq, last_seq, words)
    SELECT account_id, project_id, run_created_at, agent_run_id, min(seq), max(seq),
           strip(log_words(string_agg(content, ' ')))
    FROM numbered GROUP BY account_id, project_id, run_created_at, agent_run_id, by_rows, by_size
    ON CONFLICT (agent_run_id, first_seq, run_created_at) DO UPDATE
      SET words = chunk.words || excluded.words, last_seq = greatest(chunk.last_seq, excluded.last_seq)
  )
  SELECT coalesce(sum(notes), 0) FROM spans INTO taken;
  RETURN taken;
END $$;
REVOKE EXECUTE ON FUNCTION index_log_backlog(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION index_log_backlog(integer) TO paid_platform;

-- name: search_log
-- Rows of the account's log that match, of the runs started from `since` until before `until`: newest run first, each
-- run's last row first. Reads past row-level security (`@@` is not leakproof, the index would not be used), so it
-- keeps to current_account() by itself. It looks at no more than `max_rows` rows and then ends with an outcome
-- `more`, whose position is where to go on; `none` and `open` say that the words ask for nothing or for everything.
CREATE FUNCTION search_log(
  wanted text, since timestamptz, until timestamptz, of_project bigint, of_run bigint, of_kind text,
  before_run_created_at timestamptz, before_run_id bigint, before_seq bigint, page_rows integer, max_rows integer
) RETURNS TABLE (outcome text, run_created_at timestamptz, agent_run_id bigint, seq bigint, kind text, content text,
                 metadata jsonb, created_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' SET client_min_messages = warning AS $$
#variable_conflict use_column
DECLARE
  account bigint := current_account();
  query tsquery := log_query(wanted);
  of_chunk tsquery := log_chunk_query(query);
  -- Words hold letters and digits only, nothing that LIKE would read as a pattern.
  parts text[] := ARRAY(SELECT '%' || found[1] || '%' FROM regexp_matches(of_chunk::text, '''([^'']+)''', 'g') AS found);
  day timestamptz;
  day_end timestamptz;
  span record;
  line record;
  found_rows integer := 0;
  seen_rows integer := 0;
  is_full boolean;
BEGIN
  IF account IS NULL THEN
    RETURN;
  END IF;
  IF of_chunk IS NULL THEN
    outcome := CASE WHEN numnode(query) = 0 THEN 'none' ELSE 'open' END;
    RETURN NEXT;
    RETURN;
  END IF;
  until := least(until, before_run_created_at + interval '1 microsecond');
  -- Day by day from the newest: each is one partition of either table, and most pages are full before the last.
  FOR day IN
    SELECT generate_series(date_trunc('day', until - interval '1 microsecond'), date_trunc('day', since), interval '-1 day')
  LOOP
    day_end := least(until, day + interval '1 day');
    FOR span IN
      SELECT chunk.run_created_at, chunk.agent_run_id, chunk.first_seq, chunk.last_seq
      FROM agent_run_log_chunks AS chunk
      WHERE chunk.account_id = account AND chunk.words @@ of_chunk
        AND chunk.run_created_at >= greatest(day, since) AND chunk.run_created_at < day_end
        AND (of_project IS NULL OR chunk.project_id = of_project) AND (of_run IS NULL OR chunk.agent_run_id = of_run)
      UNION ALL
      SELECT note.run_created_at, note.agent_run_id, note.first_seq, note.last_seq
      FROM agent_run_log_backlog AS note
      WHERE note.account_id = account
        AND note.run_created_at >= greatest(day, since) AND note.run_created_at < day_end
        AND (of_project IS NULL OR note.project_id = of_project) AND (of_run IS NULL OR note.agent_run_id = of_run)
      ORDER BY 1 DESC, 2 DESC, 4 DESC
    LOOP
      CONTINUE WHEN (span.run_created_at, span.agent_run_id, span.first_seq)
                    >= (before_run_created_at, before_run_id, before_seq);
      seen_rows := seen_rows + 1;
      FOR line IN
        SELECT l.seq, l.kind, l.content, l.metadata, l.created_at,
               -- Cutting a row into words costs ten times as much as looking whether a part of it is one of them.
               (lower(l.content) LIKE ANY (parts) OR position(E'\x1b' IN l.content) > 0)
               AND log_words(left(l.content, 8000)) @@ query AS is_hit
        FROM agent_run_logs AS l
        WHERE l.run_created_at = span.run_created_at AND l.agent_run_id = span.agent_run_id AND l.account_id = account
          AND l.seq BETWEEN span.first_seq AND span.last_seq
          AND (before_run_id IS DISTINCT FROM span.agent_run_id OR l.seq < before_seq)
          AND (of_kind IS NULL OR l.kind = of_kind)
        ORDER BY l.seq DESC
      LOOP
        is_full := line.is_hit AND found_rows = page_rows;
        IF is_full OR seen_rows >= max_rows THEN
          outcome := 'more';
          run_created_at := before_run_created_at; agent_run_id := before_run_id; seq := before_seq;
          kind := NULL; content := NULL; metadata := NULL; created_at := NULL;
          RETURN NEXT;
          RETURN;
        END IF;
        IF line.is_hit THEN
          outcome := 'hit';
          run_created_at := span.run_created_at; agent_run_id := span.agent_run_id; seq := line.seq;
          kind := line.kind; content := line.content; metadata := line.metadata; created_at := line.created_at;
          RETURN NEXT;
          found_rows := found_rows + 1;
        END IF;
        seen_rows := seen_rows + 1;
        -- Where the search stands: the next page, and a chunk that overlaps this one, begin below.
        before_run_created_at := span.run_created_at;
        before_run_id := span.agent_run_id;
        before_seq := line.seq;
      END LOOP;
      before_run_created_at := span.run_created_at;
      before_run_id := span.agent_run_id;
      before_seq := span.first_seq;
    END LOOP;
  END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION
  search_log(text, timestamptz, timestamptz, bigint, bigint, text, timestamptz, bigint, bigint, integer, integer)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  search_log(text, timestamptz, timestamptz, bigint, bigint, text, timestamptz, bigint, bigint, integer, integer)
TO paid_tenant, paid_platform;

-- name: log_index_lag
-- What the indexer has not got to yet: notes, and how old the oldest is.
CREATE VIEW log_index_lag WITH (security_invoker = true) AS
SELECT count(*) AS spans, coalesce(extract(epoch FROM now() - min(created_at)), 0)::double precision AS seconds
FROM agent_run_log_backlog;
GRANT SELECT ON log_index_lag TO paid_platform;

-- name: grants
-- Tenants search through search_log; what they see of these tables is their own.
GRANT SELECT ON agent_run_log_backlog, agent_run_log_chunks TO paid_tenant;
GRANT SELECT, INSERT ON agent_run_log_backlog, agent_run_log_chunks TO paid_platform;

-- name: existing_rows
-- What the log holds already is noted, one note a run, so that the indexer finds it.
INSERT INTO agent_run_log_backlog (account_id, project_id, run_created_at, agent_run_id, first_seq, last_seq)
SELECT run.account_id, run.project_id, run.created_at, run.id, min(line.seq), max(line.seq)
FROM agent_run_logs AS line
JOIN agent_runs AS run ON run.id = line.agent_run_id AND run.created_at = line.run_created_at
GROUP BY run.account_id, run.project_id, run.created_at, run.id;

-- reverse: log_search
-- The trigger of before, and away with what reads the tables.
DROP VIEW log_index_lag;
DROP FUNCTION search_log(text, timestamptz, timestamptz, bigint, bigint, text, timestamptz, bigint, bigint, integer, integer);
DROP FUNCTION index_log_backlog(integer);
DROP TRIGGER agent_run_logs_added ON agent_run_logs;
DROP FUNCTION agent_run_logs_added(), log_chunk_query(tsquery), log_query(text), log_words(text);
CREATE TRIGGER rows_belong_to_their_run AFTER INSERT ON agent_run_logs REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION rows_belong_to_their_run();
