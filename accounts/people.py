"""Writes of a person on themself."""

from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.operations import record_audit_event


class EmailTaken(Exception):
    """Somebody uses this e-mail address already. Take another one."""

    def __str__(self) -> str:
        return self.__doc__ or ""


def save_profile(*, user: User, name: str, email: str) -> None:
    """Change the name and the address that signs in. Raises EmailTaken, and then nothing has changed."""
    changed = User(pk=user.pk, name=name, email=email)
    try:
        with transaction.atomic():
            # Only these columns: a tenant may write no others of `users`.
            changed.save(update_fields=["name", "email"])
    except IntegrityError as error:
        if "users_email_unique" in str(error):
            raise EmailTaken from error
        raise
    user.name, user.email = name, email


@transaction.atomic
def change_password(*, user: User, account_id: int, password: str) -> None:
    """Set a new password; sessions that carry the hash of the old one end."""
    user.set_password(password)
    user.save(update_fields=["password"])
    record_audit_event(
        account_id=account_id, actor=user, action="user.password_changed", object_type="user", object_id=user.pk
    )
