"""What the workflows that listen to a forge share with their activities. Standard library only."""

from dataclasses import dataclass

from projects.contracts import DeliveryRef

POLL_WORKFLOW = "PollProjectWorkflow"

DIGEST_DELIVERY = "digest_delivery"
GIVE_UP_DELIVERY = "give_up_delivery"
POLL_PROJECT = "poll_project"


def poll_schedule_id(project_id: int) -> str:
    return f"poll-{project_id}"


@dataclass(frozen=True)
class InboxInput:
    """What a project's inbox carries over when it continues as new. Empty for a first start."""

    pending: tuple[DeliveryRef, ...] = ()


@dataclass(frozen=True)
class InboxSummary:
    deliveries: int = 0


@dataclass(frozen=True)
class PollOutcome:
    """`error` says to a person what keeps the poll from working; it is on the project's page too."""

    started_runs: int = 0
    error: str = ""
