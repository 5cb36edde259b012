"""Model calls that a program reports, because they did not pass the gateway."""

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256

from django.db import connection, transaction

from accounts.operations import record_audit_event
from agent_runs.models import AgentRun
from metrics.errors import CallWasMetered, NoTimeOfRun, ReportedOtherwise, ReportRefused, RunTakesNoReports, RunTooDear
from paid.lib.tenancy import platform

# Clocks differ.
AHEAD = timedelta(minutes=1)
# The ledger's key for a report, which none of the gateway's own can meet.
_REPORTS = uuid.UUID("0d0a3a52-3a0e-5d0f-8f0e-5d6c1a6f2f4b")


@dataclass(frozen=True)
class ReportedCall:
    """What a program counted. `request_id` is the provider's or its own, one of a kind within the run."""

    request_id: str
    model: str
    called_at: datetime
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int

    @property
    def digest(self) -> bytes:
        content = asdict(self) | {"called_at": self.called_at.astimezone(UTC).isoformat()}
        return sha256(json.dumps(content, sort_keys=True).encode()).digest()


@dataclass(frozen=True)
class Booked:
    """What a report came to; not new when it was booked before."""

    cost_usd: Decimal
    is_priced: bool
    is_new: bool


@transaction.atomic
def report_usage(*, run: AgentRun, call: ReportedCall, actor_name: str) -> Booked:
    """Book the call in the ledger, marked as reported. The same report twice is one.

    Raises NoTimeOfRun, RunTakesNoReports, RunTooDear, CallWasMetered, and ReportedOtherwise; nothing is booked then.
    """
    if not run.created_at <= call.called_at <= datetime.now(UTC) + AHEAD:
        raise NoTimeOfRun
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT outcome, cost_usd, is_priced FROM ledger_report_usage(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                run.pk,
                uuid.uuid5(_REPORTS, f"{run.pk} {call.request_id}"),
                call.request_id,
                call.model,
                call.called_at,
                call.input_tokens,
                call.output_tokens,
                call.cache_read_tokens,
                call.cache_write_tokens,
                call.cache_write_1h_tokens,
                call.digest,
            ],
        )
        outcome, cost_usd, is_priced = cursor.fetchone()
    if outcome in _REFUSALS:
        raise _REFUSALS[outcome]
    if outcome == "booked":
        record_audit_event(
            account_id=run.account_id,
            actor=None,
            actor_name=actor_name,
            action="usage.reported",
            object_type="agent_run",
            object_id=run.pk,
            data={"request_id": call.request_id, "model": call.model, "cost_usd": str(cost_usd)},
        )
    return Booked(cost_usd, is_priced, is_new=outcome == "booked")


_REFUSALS: dict[str, type[ReportRefused]] = {
    "conflict": ReportedOtherwise,
    "metered": CallWasMetered,
    "not_live": RunTakesNoReports,
    "too_dear": RunTooDear,
}
