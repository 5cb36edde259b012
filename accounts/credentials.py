"""Writes on the secrets that an account entrusts to Paid. They are revoked, never deleted, never shown again."""

import hmac
from datetime import UTC, date, datetime, time
from hashlib import sha256

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts.models import Account, GithubToken, ProviderKey, User
from accounts.operations import record_audit_event
from paid.lib.addresses import refuse_inner_address


class DuplicateCredential(Exception):
    """This account has it already. Revoke the old one first."""

    def __str__(self) -> str:
        return self.__doc__ or ""


def fingerprint(secret: str) -> bytes:
    """Finds a secret again without opening any: HMAC-SHA256, keyed so that a stolen table cannot be guessed at."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"credential:" + secret.encode(), sha256)


@transaction.atomic
def add_github_token(
    *,
    account: Account,
    name: str,
    token: str,
    actor: User,
    expires_on: date | None = None,
    scopes: tuple[str, ...] = (),
) -> GithubToken:
    """Seal and keep a token. Raises DuplicateCredential."""
    row = GithubToken(
        account=account,
        name=name,
        token=token,
        fingerprint=fingerprint(token),
        scopes=list(scopes),
        expires_at=datetime.combine(expires_on, time.min, UTC) if expires_on else None,
    )
    _insert(row, "github_tokens_fingerprint_unique")
    _audit(row, "github_token.added", actor)
    return row


@transaction.atomic
def add_provider_key(
    *, account: Account, provider: str, name: str, key: str, actor: User, base_url: str = ""
) -> ProviderKey:
    """Seal and keep a key. Raises DuplicateCredential when the provider has a key of this name, AddressRefused."""
    if base_url:
        refuse_inner_address(base_url, unless_in="PROVIDER_HOSTS")
    row = ProviderKey(account=account, provider=provider, name=name, key=key, base_url=base_url)
    _insert(row, "provider_keys_name_unique")
    _audit(row, "provider_key.added", actor)
    return row


@transaction.atomic
def revoke(*, credential: GithubToken | ProviderKey, actor: User) -> None:
    """Nothing may use it from now on. Twice is once."""
    rows = type(credential).objects.filter(account_id=credential.account_id, pk=credential.pk, revoked_at=None)
    if rows.update(revoked_at=Now()):
        kind = "github_token" if isinstance(credential, GithubToken) else "provider_key"
        _audit(credential, f"{kind}.revoked", actor)


def _insert(row: GithubToken | ProviderKey, unique: str) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        if unique in str(error):
            raise DuplicateCredential from error
        raise


def _audit(row: GithubToken | ProviderKey, action: str, actor: User) -> None:
    record_audit_event(
        account_id=row.account_id,
        actor=actor,
        action=action,
        object_type=row._meta.db_table.removesuffix("s"),
        object_id=row.pk,
        data={"name": row.name},
    )
