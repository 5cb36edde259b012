-- name: last_closed_calls
-- Those that were closed since most of them went. The migration has locked the table, so that none follow.
DELETE FROM gateway_calls WHERE state <> 'open';

-- name: no_more_states
-- Who read them are the functions that this transaction replaces.
ALTER TABLE gateway_calls
    -- squawk-ignore ban-drop-column
    DROP COLUMN state,
    -- squawk-ignore ban-drop-column
    DROP COLUMN closed_at;

-- reverse: states
-- What is under way is open.
ALTER TABLE gateway_calls
    ADD COLUMN state varchar(20) NOT NULL DEFAULT 'open', ADD COLUMN closed_at timestamptz,
    ADD CONSTRAINT gateway_calls_state_known CHECK (state IN ('open', 'settled', 'released'));
