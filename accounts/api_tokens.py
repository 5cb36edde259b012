"""Tokens of the HTTP API: made here, shown once, kept as a digest, looked up by it."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from hashlib import sha256

from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.models import Account, ApiScope, ApiToken, User
from accounts.operations import record_audit_event

PREFIX = "paid_"
HINT_CHARACTERS = 9
SHOWN_NAME_CHARACTERS = 188


@dataclass(frozen=True)
class NewApiToken:
    """`secret` is what its holder sends. It is nowhere else: who loses it makes another token."""

    token: ApiToken
    secret: str


@dataclass(frozen=True)
class TokenHolder:
    """Who asks by a token that is in force."""

    token_id: int
    account_id: int
    name: str
    scopes: frozenset[str]

    @property
    def actor_name(self) -> str:
        """Who did what a program did by it, in the audit log, whose column has room for as much as a whole name."""
        name = self.name if len(self.name) <= SHOWN_NAME_CHARACTERS else f"{self.name[: SHOWN_NAME_CHARACTERS - 1]}…"
        return f"API token “{name}”"

    def may(self, scope: ApiScope) -> bool:
        return scope.value in self.scopes


def digest_of(secret: str) -> bytes:
    """SHA-256, without a key and without rounds: 256 random bits cannot be guessed at, whoever has the digest.

    It is looked up by an index. How long that takes tells of digests at most, and no digest leads to its token.
    """
    return sha256(secret.encode()).digest()


@transaction.atomic
def create_api_token(
    *, account: Account, name: str, scopes: Collection[ApiScope | str], actor: User, expires_on: date | None = None
) -> NewApiToken:
    """A new token of the account; it ends at the beginning of `expires_on` (UTC)."""
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        account=account,
        name=name,
        digest=digest_of(secret),
        hint=secret[:HINT_CHARACTERS],
        scopes=sorted(str(scope) for scope in scopes),
        created_by=actor,
        expires_at=datetime.combine(expires_on, time.min, UTC) if expires_on else None,
    )
    token.save(force_insert=True)
    _audit(token, "api_token.created", actor)
    return NewApiToken(token, secret)


@transaction.atomic
def revoke_api_token(*, token: ApiToken, actor: User) -> None:
    """Whoever sends it is refused from now on. Twice is once."""
    if ApiToken.objects.filter(account_id=token.account_id, pk=token.pk, revoked_at=None).update(revoked_at=Now()):
        _audit(token, "api_token.revoked", actor)


def holder_of(digest: bytes) -> TokenHolder | None:
    """Who the token speaks for; None when it is unknown, revoked or expired. Needs no tenant's context."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT token_id, of_account, name, scopes FROM use_api_token(%s)", [digest])
        row = cursor.fetchone()
    return None if row is None else TokenHolder(row[0], row[1], row[2], frozenset(row[3]))


def _audit(token: ApiToken, action: str, actor: User) -> None:
    record_audit_event(
        account_id=token.account_id,
        actor=actor,
        action=action,
        object_type="api_token",
        object_id=token.pk,
        data={"name": token.name, "scopes": token.scopes},
    )
