"""Accounts, people, and what they entrust to Paid."""

import hashlib
from functools import cache
from typing import Any

import factory
from django.contrib.auth.hashers import make_password

from accounts.api_tokens import digest_of
from accounts.models import Account, ApiToken, AuditEvent, GithubToken, Membership, ProviderKey, Role, User
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID, platform
from tests.factories.base import PlatformFactory

PASSWORD = "correct horse battery staple"


@cache
def hash_of(password: str) -> str:
    """Argon2 is slow on purpose: every user of the tests shares one hash."""
    return make_password(password)


class AccountFactory(PlatformFactory):
    class Meta:
        model = Account

    name = factory.Sequence(lambda n: f"Account {n}")
    slug = factory.Sequence(lambda n: f"account-{n}")


class UserFactory(PlatformFactory):
    """Signs in with PASSWORD."""

    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"Person {n}")
    email = factory.Sequence(lambda n: f"person-{n}@example.com")

    password = factory.LazyFunction(lambda: hash_of(PASSWORD))


class MembershipFactory(PlatformFactory):
    class Meta:
        model = Membership

    account = factory.SubFactory(AccountFactory)
    user = factory.SubFactory(UserFactory)
    role = Role.MEMBER


class GithubTokenFactory(PlatformFactory):
    class Meta:
        model = GithubToken

    account = factory.SubFactory(AccountFactory)
    name = "Token of the team"
    token = factory.Sequence(lambda n: f"ghp_not-a-real-token-{n}")
    fingerprint = factory.Sequence(lambda n: hashlib.sha256(b"token %d" % n).digest())
    scopes = factory.LazyFunction(lambda: ["repo"])


class ProviderKeyFactory(PlatformFactory):
    class Meta:
        model = ProviderKey

    account = factory.SubFactory(AccountFactory)
    provider = "anthropic"
    name = factory.Sequence(lambda n: f"Key {n}")
    key = factory.Sequence(lambda n: f"sk-not-a-real-key-{n}")


class ApiTokenFactory(PlatformFactory):
    """Its secret is `paid_secret-<n>`; `create_api_token` makes one as people do."""

    class Meta:
        model = ApiToken

    account = factory.SubFactory(AccountFactory)
    name = factory.Sequence(lambda n: f"API token {n}")
    digest = factory.Sequence(lambda n: digest_of(f"paid_secret-{n}"))
    hint = "paid_secr"
    scopes = factory.LazyFunction(lambda: ["prompts:read"])


class AuditEventFactory(PlatformFactory):
    class Meta:
        model = AuditEvent

    account = factory.SubFactory(AccountFactory)
    actor = "Alice"
    action = "prompt.promote"


def account_with_owner(**account: Any) -> tuple[Account, User]:
    """An account and the user who owns it."""
    membership = MembershipFactory(account=AccountFactory(**account), role=Role.OWNER)
    return membership.account, membership.user


def global_account() -> Account:
    """Account 0, which the migrations made."""
    with platform():
        return Account.objects.get(pk=GLOBAL_ACCOUNT_ID)
