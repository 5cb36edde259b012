"""Writes about who."""

from django.db import transaction

from accounts.models import Account, Membership, Role, User
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
