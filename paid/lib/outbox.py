"""The one function by which any floor commands Temporal: a row in the transaction that decided it.

The table belongs to `workflows`, whose sweep delivers it; a crash between commit and delivery loses nothing.
"""

import json
from collections.abc import Mapping

from django.db import connection

OUTBOX_CHANNEL = "paid_outbox"


def command(
    *,
    account_id: int,
    workflow_type: str,
    workflow_id: str,
    task_queue: str,
    signal: str,
    payload: Mapping[str, object],
    dedupe_key: str,
) -> None:
    """Ask for signal-with-start of `workflow_id`. The same `dedupe_key` twice is one command.

    Payloads carry ids, never prompts or logs. Raises RuntimeError outside a transaction: the command must
    commit or roll back with what decided it.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("outbox.command() needs the transaction that decided the command: open one first.")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO outbox (account_id, workflow_type, workflow_id, task_queue, signal, payload, dedupe_key)
            VALUES (%s, %s, %s, %s, %s, %s::jsonb, %s)
            ON CONFLICT (account_id, dedupe_key) DO NOTHING
            """,
            [account_id, workflow_type, workflow_id, task_queue, signal, json.dumps(dict(payload)), dedupe_key],
        )
        # PostgreSQL delivers the notification with the commit, so the sweep wakes exactly when there is work.
        cursor.execute(f"NOTIFY {OUTBOX_CHANNEL}")
