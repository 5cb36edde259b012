"""Writes about who."""

from collections.abc import Mapping

from django.db import transaction

from accounts.models import Account, AuditEvent, Membership, Role, User
from paid.lib.tenancy import platform


def open_first_account(*, name: str, slug: str, email: str, password: str) -> User | None:
    """Make the installation's first user, staff of the host and owner of a first account; None when one exists."""
    with transaction.atomic(), platform():
        # Two installers at once: the unique e-mail address lets only one of them through.
        if User.objects.exists():
            return None
        user = User.objects.create_superuser(email, password)
        account = Account.objects.create(name=name, slug=slug)
        Membership.objects.create(account=account, user=user, role=Role.OWNER)
        return user


@transaction.atomic
def record_audit_event(
    *,
    account_id: int,
    actor: User | None,
    action: str,
    object_type: str,
    object_id: object,
    data: Mapping[str, object] | None = None,
    actor_name: str = "",
) -> None:
    """Write down who did what. `data` holds ids and choices, never secrets; no actor is Paid itself."""
    # bulk_create asks for nothing back: a tenant may insert events without being able to read them.
    AuditEvent.objects.bulk_create(
        [
            AuditEvent(
                account_id=account_id,
                actor_user_id=actor.pk if actor else None,
                actor=actor_name or (str(actor) if actor else "Paid"),
                action=action,
                object_type=object_type,
                object_id=str(object_id),
                data=dict(data or {}),
            )
        ]
    )
