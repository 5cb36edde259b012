"""How long an answer a run can pay for. The gateway holds a call's worst case before it is made, so that an agent
that asks for more than is left is refused although a shorter answer would have done."""

from decimal import Decimal

from django.db import connection

from agent_runs.models import AgentRun
from paid.lib.tenancy import platform

# What Claude Code asks for by itself: nothing is gained by telling it more.
USUAL_OUTPUT_TOKENS = 32_000
# Below this an agent cannot write a file in one answer; further below it can do nothing at all.
WORKING_OUTPUT_TOKENS = 4_096
LEAST_OUTPUT_TOKENS = 1_024
_MILLION = 1_000_000


def affordable_output_tokens(*, run: AgentRun) -> int | None:
    """The longest answer that leaves money for the next one: at most a quarter of what the run has left.

    None where nothing need be said: the usual length is affordable, or the model has no price. Never less than
    LEAST_OUTPUT_TOKENS; what is too little even for that, the gateway refuses.
    """
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT amount_usd - drawn_usd, (ledger_worst_case(%s, now(), 0, %s, false)).usd FROM budget_reservations"
            " WHERE agent_run_id = %s AND closed_at IS NULL",
            [run.language_model_id, _MILLION, run.pk],
        )
        row: tuple[Decimal, Decimal | None] | None = cursor.fetchone()
    if row is None or not row[1]:
        return None
    tokens = int(row[0] / row[1] * _MILLION)
    limit = max(tokens // 4, min(tokens // 2, WORKING_OUTPUT_TOKENS), LEAST_OUTPUT_TOKENS)
    return None if limit >= USUAL_OUTPUT_TOKENS else limit
