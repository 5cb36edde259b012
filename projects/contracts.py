"""What `projects` commands of Temporal: names and payloads. Standard library only.

The workflows themselves stand in `workflows`, above; a test there holds these names against theirs.
"""

from dataclasses import dataclass

CONTROL_QUEUE = "control"

INBOX_WORKFLOW = "WebhookInboxWorkflow"
DELIVERED_SIGNAL = "delivered"


def inbox_workflow_id(project_id: int) -> str:
    return f"webhooks-{project_id}"


@dataclass(frozen=True)
class ProjectRef:
    account_id: int
    project_id: int


@dataclass(frozen=True)
class DeliveryRef:
    account_id: int
    delivery_id: int  # of the row, not GitHub's
