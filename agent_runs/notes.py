"""Paid's own words in a run's log, between the agent's lines and without taking a number from them."""

from django.db import transaction
from django.db.models import Max

from agent_runs.live import wake
from agent_runs.logs import PARTS_PER_LINE, last_seq, storable
from agent_runs.models import AgentRun, AgentRunLog, LogKind
from paid.lib.tenancy import platform

# The longest line that is spooled (16 MiB) has about 2,100 parts: the rest of a line's numbers is free for what Paid
# says behind it. So a spool that is read further afterwards still finds its own numbers.
FIRST_NOTE_PART = 3_000


def is_note(seq: int) -> bool:
    """Whether the row of that number is Paid's own."""
    return seq % PARTS_PER_LINE >= FIRST_NOTE_PART


def note(*, run: AgentRun, text: str) -> None:
    """Say something behind the last line of the log. The same words twice in a row are said once.

    Two attempts that speak at the same moment may take the same number: then the first one's words stand.
    """
    line = last_seq(run)
    first = line * PARTS_PER_LINE + FIRST_NOTE_PART
    with platform(), transaction.atomic():
        rows = AgentRunLog.objects.filter(run_created_at=run.created_at, agent_run_id=run.pk)
        said = rows.filter(seq__gte=first, seq__lt=(line + 1) * PARTS_PER_LINE)
        last = said.aggregate(last=Max("seq"))["last"]
        words = storable(text)
        if last is not None and (last + 1 == (line + 1) * PARTS_PER_LINE or said.get(seq=last).content == words):
            return
        row = AgentRunLog(
            account_id=run.account_id,
            run_created_at=run.created_at,
            agent_run_id=run.pk,
            seq=first if last is None else last + 1,
            kind=LogKind.SYSTEM,
            content=words,
            metadata={"event": "system"},
        )
        AgentRunLog.objects.bulk_create([row], ignore_conflicts=True)
        transaction.on_commit(lambda: wake(run.pk))
