"""What a person decides about proposed prompts; the cycle's workflow is told in the same transaction."""

from collections.abc import Sequence

from django.db import transaction

from accounts.models import User
from metrics.evolution.operations import reject_proposals, try_proposals
from metrics.models import Evolution
from paid.lib import outbox
from prompts.models import AbTest
from workflows.contracts import CONTROL_QUEUE
from workflows.evolution_contracts import DECIDED_SIGNAL, EVOLUTION_WORKFLOW


@transaction.atomic
def approve_proposals(*, evolution: Evolution, chosen: Sequence[int], actor: User) -> AbTest:
    """Try these proposals (positions from 0). Raises what `try_proposals` raises."""
    test = try_proposals(evolution=evolution, chosen=chosen, actor=actor)
    _tell(evolution)
    return test


@transaction.atomic
def refuse_proposals(*, evolution: Evolution, actor: User) -> None:
    """Raises `EvolutionDecided`."""
    reject_proposals(evolution=evolution, actor=actor)
    _tell(evolution)


def _tell(evolution: Evolution) -> None:
    outbox.command(
        account_id=evolution.account_id,
        workflow_type=EVOLUTION_WORKFLOW,
        workflow_id=evolution.workflow_id,
        task_queue=CONTROL_QUEUE,
        signal=DECIDED_SIGNAL,
        payload={"account_id": evolution.account_id, "evolution_id": evolution.pk},
        dedupe_key=f"evolution-{evolution.pk}-{DECIDED_SIGNAL}",
    )
