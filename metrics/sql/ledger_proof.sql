-- What the last proof of the ledger's sums came to, for the page of operations: to look again takes a minute.

-- name: ledger_proof
-- One row at most.
CREATE TABLE ledger_proof (
    is_last boolean PRIMARY KEY DEFAULT true CHECK (is_last),
    proven_at timestamptz NOT NULL DEFAULT now(),
    drifted_days bigint NOT NULL,
    drifted_runs bigint NOT NULL
);

-- name: ledger_proof_privileges
-- It counts over all accounts: no tenant reads it.
GRANT SELECT, INSERT, UPDATE ON ledger_proof TO paid_platform;

-- reverse: ledger_proof
-- The next proof says it anew.
DROP TABLE ledger_proof;
