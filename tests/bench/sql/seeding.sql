-- What the bench seeds, set by set. Ids are given, so that each set can be joined without asking for what another got.
-- Every draw is a hash of the row's number: two runs of the bench seed the same, but for the clock.

-- name: prepare
-- The dice, and a book of sentences whose words follow Zipf's law: the rarest of 50,000 stand in few lines.
CREATE SCHEMA bench;
CREATE FUNCTION bench.dice(row_number bigint, salt bigint, sides bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN mod(hashint8extended(row_number, salt) & 9223372036854775807, sides);
-- From 1 to `ranks`, the share of each being one over its rank.
CREATE FUNCTION bench.zipf(row_number bigint, salt bigint, ranks bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(power(ranks + 1, bench.dice(row_number, salt, 1000000000) / 1e9::float8))::bigint;
-- No word is a part of another, and no stemmer changes one.
CREATE FUNCTION bench.word(rank bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'z' || translate(rank::text, '0123456789', 'abcdefghij') || 'x';
CREATE UNLOGGED TABLE bench.sentences AS
SELECT line AS id, string_agg(bench.word(bench.zipf(line * 16 + place, 1, 50000)), ' ' ORDER BY place) AS words
FROM generate_series(0::bigint, %(sentences)s - 1) AS line, generate_series(0, 11) AS place
GROUP BY line;
ALTER TABLE bench.sentences ADD PRIMARY KEY (id);
ANALYZE bench.sentences;

-- name: people
-- 1,020 accounts with one owner each. The first has four fifths of all runs, the next 19 share the rest.
INSERT INTO accounts (id, name, slug, plan, settings)
SELECT 1000 + n, 'Bench ' || n, 'bench-' || n, (ARRAY['free', 'pro', 'enterprise'])[1 + bench.dice(n, 2, 3)],
       jsonb_build_object('theme', CASE WHEN bench.dice(n, 3, 10) = 0 THEN 'dark' ELSE 'light' END, 'seats', n)
FROM generate_series(1, 1020) AS n;
INSERT INTO users (id, email, name, password)
SELECT 1000 + n, 'person' || n || '@example.org', 'Person ' || n, '!' FROM generate_series(1, 1020) AS n;
INSERT INTO memberships (account_id, user_id, role) SELECT id, id, 'owner' FROM users WHERE id > 1000;

-- name: models
-- Five priced models, the first one used most.
CREATE TABLE bench.models AS
SELECT row_number() OVER (ORDER BY m.id) - 1 AS number, m.id, m.model_id AS name,
       price.input, coalesce(price.output, price.input) AS output, coalesce(price.cache_read, price.input) AS cache_read,
       coalesce(price.cache_write, price.input) AS cache_write
FROM language_models m
JOIN LATERAL (
    SELECT max(p.usd_per_million) FILTER (WHERE p.token_class = 'input') AS input,
           max(p.usd_per_million) FILTER (WHERE p.token_class = 'output') AS output,
           max(p.usd_per_million) FILTER (WHERE p.token_class = 'cache_read') AS cache_read,
           max(p.usd_per_million) FILTER (WHERE p.token_class = 'cache_write') AS cache_write
    FROM model_prices p WHERE p.language_model_id = m.id AND p.threshold_tokens = 0
) AS price ON price.input IS NOT NULL
WHERE m.account_id = 0
ORDER BY m.id
LIMIT 5;

-- name: projects
-- 40 projects of the large account, 5 of each of the next 19; what the large one's runs spread over is skewed.
INSERT INTO projects (id, account_id, name, forge, owner, repo, labels)
SELECT 10000 + n, 1001 + CASE WHEN n <= 40 THEN 0 ELSE 1 + (n - 41) / 5 END, 'Project ' || n, 'github', 'team', 'repo-' || n,
       '{"trigger": "paid"}'
FROM generate_series(1, 135) AS n;

-- name: prompts
-- A prompt has five versions; four fifths of them belong to the large account. The second sentence of each is rare words.
INSERT INTO prompts (id, account_id, scope, slug, name, category)
SELECT n, CASE WHEN bench.dice(n, 4, 5) < 4 OR n <= 1000010 THEN 1001 ELSE 1002 + bench.dice(n, 5, 19) END, 'account',
       'coding.task_' || n, 'Task ' || n, 'coding'
FROM generate_series(1000001::bigint, 1000000 + %(prompts)s) AS n;
INSERT INTO prompt_versions (id, account_id, prompt_id, version, template, variables, author, created_at)
SELECT 1000000 + (p.id - 1000001) * 5 + v, p.account_id, p.id, v,
       'Solve {{ issue.title }}. ' || one.words || '. ' || two.words || '. ' || three.words
       || '. Keep {{ style_guide }} and answer in ' || v || ' steps.',
       jsonb_build_array('issue', 'style_guide', 'area_' || bench.dice(p.id * 5 + v, 47, 200)), 'Person 1', %(now)s - interval '100 days' + (v || ' hours')::interval
FROM prompts p CROSS JOIN generate_series(1, 5) AS v
JOIN bench.sentences one ON one.id = bench.dice(p.id, 6, %(sentences)s)
JOIN bench.sentences two ON two.id = bench.dice(p.id * 5 + v, 7, %(sentences)s)
JOIN bench.sentences three ON three.id = bench.dice(p.id * 5 + v, 8, %(sentences)s)
WHERE p.id > 1000000;
UPDATE prompts SET current_version_id = 1000000 + (id - 1000001) * 5 + 5 WHERE id > 1000000;
INSERT INTO ab_tests (id, account_id, prompt_account_id, prompt_id, name, status, traffic_share, salt, started_at)
VALUES (1, 1001, 1001, 1000001, 'Shorter words', 'draft', 0.5, 'salt', NULL);
INSERT INTO ab_variants (id, account_id, ab_test_id, version_account_id, prompt_version_id, name, weight, is_control)
VALUES (1, 1001, 1, 1001, 1000005, 'control', 1, true), (2, 1001, 1, 1001, 1000004, 'challenger', 1, false);
UPDATE ab_tests SET status = 'running', started_at = %(now)s - interval '90 days' WHERE id = 1;

-- name: plan_runs
-- Whose run is which, when, and how it ended: read by the sets that follow. 90 days, evenly, ids in order of time.
CREATE UNLOGGED TABLE bench.runs AS
SELECT n AS id, at, account_id,
       CASE WHEN account_id = 1001 THEN 10001 + floor(40 * power(bench.dice(n, 11, 1000000) / 1e6, 2))::bigint
            ELSE 10041 + (account_id - 1002) * 5 + bench.dice(n, 12, 5) END AS project_id,
       CASE WHEN account_id = 1001 AND bench.dice(n, 13, 10) < 3 THEN 1000001
            ELSE 1000001 + bench.dice(n, 14, least(10, %(prompts)s)) END AS prompt_id,
       bench.zipf(n, 15, 5) - 1 AS model,
       CASE WHEN n > %(runs)s - 60 THEN 'running'
            WHEN bench.dice(n, 16, 100) < 84 THEN 'completed'
            WHEN bench.dice(n, 16, 100) < 95 THEN 'failed' ELSE 'stopped' END AS status,
       500 + bench.dice(n, 17, 20000) AS input, 100 + bench.dice(n, 18, 3000) AS output,
       bench.dice(n, 19, 100000) AS cache_read, bench.dice(n, 20, 5000) AS cache_write,
       bench.dice(n, 21, 10) < 7 AS has_pull_request, bench.dice(n, 22, 10) < 6 AS is_merged
FROM (SELECT n, %(now)s - interval '90 days' * ((%(runs)s - n)::float8 / %(runs)s) - interval '1 minute' AS at,
             CASE WHEN bench.dice(n, 10, 5) < 4 THEN 1001 ELSE 1002 + bench.dice(n, 9, 19) END AS account_id
      FROM generate_series(1::bigint, %(runs)s) AS n) AS drawn;
ALTER TABLE bench.runs ADD PRIMARY KEY (id);
CREATE INDEX ON bench.runs (at);
ANALYZE bench.runs;

-- name: issues
-- One issue per run; every hundredth is labelled as one that a plan is wanted for.
INSERT INTO issues (id, account_id, project_id, forge_id, number, title, body, author, state, labels, work_state, created_at)
SELECT r.id, r.account_id, r.project_id, r.id::text, r.id, s.words, 'It fails. ' || s.words, 'person' || mod(r.id, 50),
       CASE WHEN r.status = 'running' THEN 'open' ELSE 'closed' END,
       CASE WHEN mod(r.id, 100) = 0 THEN '["paid", "paid-plan"]'::jsonb
            ELSE jsonb_build_array('paid', 'area-' || bench.dice(r.id, 23, 200)) END,
       CASE WHEN r.status = 'running' THEN 'in_progress' ELSE 'done' END, r.at
FROM bench.runs r JOIN bench.sentences s ON s.id = bench.dice(r.id, 24, %(sentences)s);

-- name: pull_requests
-- Of seven in ten completed runs; six in ten of them were merged within two days.
INSERT INTO pull_requests (id, account_id, project_id, issue_id, number, marker, title, head_branch, base_branch, head_sha,
                           base_sha, state, merged_at, checks_state, created_at)
SELECT r.id, r.account_id, r.project_id, r.id, r.id, 'run-' || r.id, 'Mend it', 'paid/' || r.id, 'main',
       md5(r.id::text), md5('base'), CASE WHEN r.is_merged THEN 'merged' ELSE 'open' END,
       CASE WHEN r.is_merged THEN least(%(now)s, r.at + make_interval(mins => bench.dice(r.id, 25, 2880)::integer)) END,
       CASE WHEN r.is_merged THEN 'success' ELSE 'failure' END, r.at
FROM bench.runs r WHERE r.status = 'completed' AND r.has_pull_request;

-- name: runs
-- The runs themselves, with the sums that their ledger rows will come to. %(first)s to %(last)s.
INSERT INTO agent_runs (
    id, account_id, project_id, issue_id, version_account_id, prompt_version_id, ab_variant_id, model_account_id,
    language_model_id, pull_request_id, requested_by_id, trigger, agent, status, prompt_text, fingerprint, workflow_id,
    branch, base_sha, head_sha, error_code, error, summary, iterations, started_at, finished_at,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd, created_at, updated_at)
SELECT r.id, r.account_id, r.project_id, r.id,
       v.account_id, v.id, variant.id, 0, m.id,
       CASE WHEN r.status = 'completed' AND r.has_pull_request THEN r.id END, r.account_id,
       'label', 'claude_code', r.status, 'Solve it.', md5(r.prompt_id::text), 'run-' || r.id,
       'paid/' || r.id || '-' || rtrim(left(replace(s.words, ' ', '-'), 40), '-') || '-' || r.id, md5('base'), md5(r.id::text),
       CASE WHEN r.status = 'failed' THEN (ARRAY['agent_error', 'agent_stalled', 'timeout'])[1 + bench.dice(r.id, 26, 3)] ELSE '' END,
       CASE WHEN r.status = 'failed' THEN 'The agent ended with an error.' ELSE '' END, '',
       1 + bench.dice(r.id, 27, 12), r.at, CASE WHEN r.status <> 'running' THEN r.at + make_interval(secs => 60 + bench.dice(r.id, 28, 1800)::integer) END,
       c.calls * r.input, c.calls * r.output, c.calls * r.cache_read, c.calls * r.cache_write,
       c.calls * (r.input * m.input + r.output * m.output + r.cache_read * m.cache_read + r.cache_write * m.cache_write) * 0.000001,
       r.at, r.at
FROM bench.runs r
CROSS JOIN (VALUES (%(calls)s::bigint)) AS c (calls)
JOIN bench.models m ON m.number = r.model
JOIN bench.sentences s ON s.id = bench.dice(r.id, 24, %(sentences)s)
JOIN prompts p ON p.id = CASE WHEN r.account_id = 1001 THEN r.prompt_id ELSE %(global_prompt)s END
LEFT JOIN ab_variants variant
    ON r.account_id = 1001 AND r.prompt_id = 1000001 AND variant.id = bench.dice(r.id, 29, 4) + 1
JOIN prompt_versions v ON v.id = coalesce(variant.prompt_version_id, p.current_version_id)
WHERE r.id BETWEEN %(first)s AND %(last)s;

-- name: quality
-- One row per run that ended.
INSERT INTO quality_metrics (account_id, agent_run_id, project_id, prompt_version_id, ab_variant_id, language_model_id,
                             iterations, has_passing_ci, has_passing_tests, has_clean_lint, is_merged, lines_added,
                             lines_removed, quality_score, created_at)
SELECT a.account_id, a.id, a.project_id, a.prompt_version_id, a.ab_variant_id, a.language_model_id, a.iterations,
       r.is_merged, bench.dice(a.id, 30, 10) < 8, bench.dice(a.id, 31, 10) < 9,
       r.status = 'completed' AND r.has_pull_request AND r.is_merged, bench.dice(a.id, 32, 400), bench.dice(a.id, 33, 100),
       (bench.dice(a.id, 34, 60000) + CASE WHEN a.ab_variant_id = 2 THEN 25000 ELSE 20000 END) / 100000::numeric, a.finished_at
FROM agent_runs a JOIN bench.runs r ON r.id = a.id
WHERE a.finished_at IS NOT NULL AND a.id BETWEEN %(first)s AND %(last)s;

-- name: usages
-- The same number of calls for each run, a minute apart; costs are exact products.
INSERT INTO token_usages (account_id, project_id, run_created_at, agent_run_id, request_id, kind, language_model_id,
                          model_name, provider_request_id, input_tokens, output_tokens, cache_read_tokens,
                          cache_write_tokens, cost_usd, is_priced, payload_hash, created_at)
SELECT r.account_id, r.project_id, r.at, r.id, gen_random_uuid(), 'call', m.id, m.name, 'msg_' || r.id || '_' || n,
       r.input, r.output, r.cache_read, r.cache_write,
       (r.input * m.input + r.output * m.output + r.cache_read * m.cache_read + r.cache_write * m.cache_write) * 0.000001,
       true, sha256(int8send(r.id * 16 + n)), least(%(now)s, r.at + make_interval(secs => (n * 10)::integer))
FROM bench.runs r JOIN bench.models m ON m.number = r.model CROSS JOIN generate_series(1, %(calls)s) AS n
WHERE r.id BETWEEN %(first)s AND %(last)s;

-- name: logged_runs
-- The runs of the last seven days share the log rows evenly; the large account's newest run that has ended has the longest log.
CREATE TABLE bench.logged AS
SELECT r.id, r.account_id, r.at, date_trunc('day', r.at, 'UTC') AS day,
       greatest(1, %(log_rows)s * 0.99 / count(*) OVER ())::integer + CASE WHEN r.id = longest.id THEN %(log_rows)s / 100 ELSE 0 END AS log_rows
FROM bench.runs r,
     (SELECT max(id) AS id FROM bench.runs WHERE account_id = 1001 AND status <> 'running') AS longest
WHERE r.at >= %(now)s - interval '7 days';
CREATE INDEX ON bench.logged (day);
ANALYZE bench.logged;

-- name: logs
-- The lines of one day's runs: a place in the code, what happened in words, a number that no other line has.
INSERT INTO agent_run_logs (account_id, run_created_at, agent_run_id, seq, kind, content, metadata, created_at)
SELECT l.account_id, l.at, l.id, n * %(parts_per_line)s,
       CASE WHEN bench.dice(l.id * 100000 + n, 35, 20) = 0 THEN 'stderr' ELSE 'event' END,
       'src/module_' || bench.dice(n, 36, 300) || '.py:' || n || ' ' || one.words || ' (' || l.id || '/' || n || ')',
       '{"event": "text"}', l.at + make_interval(secs => (n * 0.5)::integer)
FROM bench.logged l CROSS JOIN LATERAL generate_series(1::bigint, l.log_rows) AS n
JOIN bench.sentences one ON one.id = bench.dice(l.id * 100000 + n, 37, %(sentences)s)
WHERE l.day = %(day)s;

-- name: details
-- What a page shows beside its rows: steps, diff and choice of model of the newest runs, comments on their issues; a
-- budget for the large account and each of its projects, with an alert a day.
INSERT INTO agent_run_steps (account_id, agent_run_id, name, status, started_at, finished_at)
SELECT r.account_id, r.id, step.name, 'done', r.at + make_interval(secs => step.place * 10),
       r.at + make_interval(secs => step.place * 10 + 9)
FROM bench.runs r CROSS JOIN unnest(ARRAY['queue', 'workspace', 'agent', 'publish', 'finish']) WITH ORDINALITY AS step (name, place)
WHERE r.id > %(runs)s - %(detailed)s;
INSERT INTO agent_run_diffs (account_id, agent_run_id, patch, files_changed, lines_added, lines_removed)
SELECT r.account_id, r.id,
       E'diff --git a/src/module.py b/src/module.py\n--- a/src/module.py\n+++ b/src/module.py\n@@ -1,30 +1,31 @@\n'
       || repeat(E' a line that stands as it did\n', 30) || E'+and one more\n', 1, 1, 0
FROM bench.runs r WHERE r.id > %(runs)s - %(detailed)s AND r.status = 'completed';
INSERT INTO model_selections (account_id, agent_run_id, model_account_id, language_model_id, selected_by, candidates, reason)
SELECT r.account_id, r.id, 0, m.id, 'rules',
       (SELECT jsonb_agg(jsonb_build_object('model_id', name, 'is_usable', number < 3, 'reason', 'no key')) FROM bench.models),
       'The cheapest.'
FROM bench.runs r JOIN bench.models m ON m.number = r.model WHERE r.id > %(runs)s - %(detailed)s;
INSERT INTO comments (account_id, project_id, number, author, body, created_at)
SELECT r.account_id, r.project_id, r.id, 'person' || n, 'It still fails.', r.at
FROM bench.runs r CROSS JOIN generate_series(1, 3) AS n WHERE r.id > %(runs)s - %(detailed)s;
INSERT INTO cost_budgets (id, account_id, project_id, period, limit_usd)
SELECT 1000 + n, 1001, CASE WHEN n > 0 THEN 10000 + n END, 'month', 1000000 FROM generate_series(0, 40) AS n;
INSERT INTO budget_alerts (account_id, cost_budget_id, period_starts_on, threshold, limit_usd, spent_usd, told_at, created_at)
SELECT 1001, 1000 + n, (%(now)s - make_interval(days => day))::date, 0.8, 1000000, 800000, %(now)s,
       %(now)s - make_interval(days => day)
FROM generate_series(0, 40) AS n, generate_series(0, 89) AS day;

-- name: tags
-- Tokens and projects of small accounts: rows for questions about arrays and JSONB. One account has a tenth of them.
INSERT INTO github_tokens (id, account_id, name, token, fingerprint, scopes)
SELECT 100000 + n, 1020 + CASE WHEN bench.dice(n, 39, 10) = 0 THEN 0 ELSE bench.dice(n, 40, 1001) END, 'Token ' || n, '\x00',
       sha256(int8send(n)),
       CASE bench.dice(n, 41, 1000) WHEN 0 THEN ARRAY['admin:org', 'repo', 'workflow'] WHEN 1 THEN ARRAY['repo', 'delete_repo']
           ELSE ARRAY['public_repo', 'read:user', 'scope-' || bench.dice(n, 42, 40)] END
FROM generate_series(1::bigint, %(tag_rows)s) AS n;
INSERT INTO projects (id, account_id, name, forge, owner, repo, labels, settings)
SELECT 100000 + n, 1020 + CASE WHEN bench.dice(n, 43, 10) = 0 THEN 0 ELSE bench.dice(n, 44, 1001) END, 'Tagged ' || n,
       'github', 'team', 'tagged-' || n,
       CASE WHEN bench.dice(n, 45, 1000) = 0 THEN '{"trigger": "paid", "plan": "paid-plan"}'::jsonb
            ELSE jsonb_build_object('trigger', 'paid', 'plan', 'plan-' || bench.dice(n, 46, 40)) END,
       jsonb_build_object('language',
                          CASE WHEN bench.dice(n, 48, 1000) = 0 THEN 'cobol' ELSE 'language-' || bench.dice(n, 49, 40) END)
FROM generate_series(1::bigint, %(tag_rows)s) AS n;

-- name: sequences
-- Every identity goes on behind what was given.
DO $$
DECLARE
    owned record;
    highest bigint;
BEGIN
    FOR owned IN
        SELECT c.oid::regclass AS relation, a.attname, pg_get_serial_sequence(c.oid::regclass::text, a.attname) AS sequence
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attidentity <> ''
    LOOP
        EXECUTE format('SELECT max(%%I) FROM %%s', owned.attname, owned.relation) INTO highest;
        IF highest > 0 THEN
            PERFORM setval(owned.sequence, highest);
        END IF;
    END LOOP;
END $$;

-- name: rare_word
-- A word of two sentences, as nearly as there is one.
SELECT word
FROM bench.sentences s CROSS JOIN LATERAL unnest(string_to_array(s.words, ' ')) AS word
GROUP BY word
ORDER BY abs(count(DISTINCT s.id) - 2), word
LIMIT 1;

-- name: forget
-- The plan is no part of what is measured.
DROP SCHEMA bench CASCADE;
