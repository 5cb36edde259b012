"""Writes about who: accounts with their first owner, and the audit log."""

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
        create_account(name=name, slug=slug, owner=user)
        return user


def create_account(*, name: str, slug: str, owner: User) -> Account:
    """Make a tenant with its first owner. Raises IntegrityError for a slug that is taken or has a wrong shape."""
    with platform():
        account = Account.objects.create(name=name, slug=slug)
        Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    return account


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
