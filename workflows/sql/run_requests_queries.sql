-- name: lock_key
-- Two who ask under one key of one account at the same time do so one after the other, until the first has committed.
SELECT pg_advisory_xact_lock(hashtextextended('run_requests ' || %(account)s || ' ' || %(key)s, 0));
