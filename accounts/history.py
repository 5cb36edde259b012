"""What the audit log says of one object."""

from collections.abc import Sequence
from datetime import datetime

from accounts.models import AuditEvent


def history_of(
    *, account_id: int, object_type: str, object_id: int, since: datetime, limit: int = 50
) -> Sequence[AuditEvent]:
    """The newest first. `since` (the object's creation) keeps the search to the months in which it can have events."""
    return list(
        AuditEvent.objects.filter(
            account_id=account_id, object_type=object_type, object_id=str(object_id), created_at__gte=since
        ).order_by("-created_at")[:limit]
    )
