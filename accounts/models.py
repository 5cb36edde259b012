"""Who: accounts, users, memberships, the secrets they entrust to Paid, and the audit log."""

from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Lower, Now

from accounts.settings_shape import AccountSettings
from paid.lib.columns import Changed, Created
from paid.lib.constraints import one_of
from paid.lib.encryption import EncryptedField
from paid.lib.found_ids import IsFound
from paid.lib.json_shapes import ShapedJSONField

_SCOPES = ArrayField(models.TextField())
SLUG_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"


class Plan(models.TextChoices):
    FREE = "free", "Free"
    PRO = "pro", "Pro"
    ENTERPRISE = "enterprise", "Enterprise"


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    MEMBER = "member", "Member"
    ADMIN = "admin", "Admin"
    OWNER = "owner", "Owner"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class AccountQuerySet(models.QuerySet["Account"]):
    def with_setting(self, **settings: object) -> Self:
        """Accounts with all of these settings.

        The platform reads them by the index accounts_settings; a tenant's few by their keys, as its policies say.
        """
        return self.filter(settings__contains=settings)


class Account(Changed):
    """A tenant. Account 0 (`global`) owns what every tenant may read: seeded prompts, models, prices."""

    name = models.CharField(max_length=200)
    slug = models.CharField(max_length=63, validators=[RegexValidator(SLUG_PATTERN)])
    settings = ShapedJSONField(default=dict, db_default={}, blank=True, shape=AccountSettings)
    plan = models.CharField(max_length=20, choices=Plan.choices, default=Plan.FREE, db_default=Plan.FREE)
    billing_email = models.EmailField(blank=True, default="", db_default="")

    objects = AccountQuerySet.as_manager()

    class Meta:
        db_table = "accounts"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["slug"], name="accounts_slug_unique"),
            models.CheckConstraint(condition=Q(slug__regex=SLUG_PATTERN), name="accounts_slug_shape"),
            one_of("plan", Plan, "accounts_plan_known"),
        ]
        indexes: ClassVar = [
            GinIndex(OpClass("settings", name="jsonb_path_ops"), name="accounts_settings", fastupdate=False)
        ]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Makes users; e-mail addresses are compared without case."""

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, **fields)


class User(AbstractBaseUser, Created):
    """A person. `is_staff` is the host's staff: they run this installation and may open the admin."""

    email = models.EmailField()
    name = models.CharField(max_length=200, blank=True, default="", db_default="")
    is_active = models.BooleanField(default=True, db_default=True)
    is_staff = models.BooleanField(default=False, db_default=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "users"
        constraints: ClassVar = [models.UniqueConstraint(Lower("email"), name="users_email_unique")]

    def __str__(self) -> str:
        return self.name or self.email

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_active and self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and self.is_staff


class Membership(Created):
    """A user's role in an account. A trigger keeps the last owner from leaving."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.MEMBER, db_default=Role.MEMBER)

    class Meta:
        db_table = "memberships"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "user"], name="memberships_pair_unique"),
            one_of("role", Role, "memberships_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.account_id}: {self.role}"

    def may(self, role: Role) -> bool:
        """Whether this membership's role is at least `role`."""
        return Role(self.role).rank >= role.rank


class GithubTokenQuerySet(models.QuerySet["GithubToken"]):
    def with_scope(self, *scopes: str, newest: int | None = None) -> Self:
        """The running tenant's tokens that have all of these scopes; none outside of `tenant(...)`.

        Many cost as many rows as there are: `newest` looks only for that many, the last ones of the account, before
        anything else narrows them. Of one scope it reads github_token_scopes, which triggers make of `scopes`.
        """
        wanted, limit = Value(list(scopes), _SCOPES), Value(newest, models.IntegerField())
        return self.filter(IsFound("github_tokens_with_scopes", wanted, limit))

    def listed(self) -> Self:
        """With what lists of tokens show, without the token itself; any other column costs a query a row."""
        return self.only("account_id", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")


class GithubToken(Changed):
    """A GitHub token, sealed. It is never shown again after it was saved."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="github_tokens")
    name = models.CharField(max_length=200)
    token = EncryptedField()
    fingerprint = models.BinaryField(max_length=32)
    scopes = ArrayField(
        models.CharField(max_length=100),
        default=list,
        db_default=models.Value([], output_field=ArrayField(models.CharField(max_length=100))),
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = GithubTokenQuerySet.as_manager()

    class Meta:
        db_table = "github_tokens"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="github_tokens_tenant_key"),
            models.UniqueConstraint(
                fields=["account", "fingerprint"],
                condition=Q(revoked_at__isnull=True),
                name="github_tokens_fingerprint_unique",
            ),
        ]
        indexes: ClassVar = [GinIndex(F("account"), F("scopes"), name="github_tokens_scopes", fastupdate=False)]

    def __str__(self) -> str:
        return self.name


class ProviderKey(Changed):
    """An LLM provider's key, sealed. Only the gateway opens it."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="provider_keys")
    provider = models.CharField(max_length=50)
    name = models.CharField(max_length=200)
    key = EncryptedField()
    base_url = models.URLField(blank=True, default="", db_default="")
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "provider_keys"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "provider", "name"],
                condition=Q(revoked_at__isnull=True),
                name="provider_keys_name_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.name}"


class ApiScope(models.TextChoices):
    """What a token of the HTTP API may do."""

    PROMPTS_READ = "prompts:read", "Read and resolve prompts"
    PROMPTS_WRITE = "prompts:write", "Move labels of prompts"
    RUNS_READ = "runs:read", "Read runs and their logs"
    RUNS_WRITE = "runs:write", "Start, stop and judge runs"
    COSTS_READ = "costs:read", "Read what was spent"
    USAGE_WRITE = "usage:write", "Report model calls that did not pass the gateway"


class ApiToken(Changed):
    """Lets a program use the HTTP API as the account. Only the SHA-256 of it is kept (accounts.api_tokens)."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=200)
    digest = models.BinaryField(max_length=32)
    # How it begins, so that people can tell which of their tokens this is.
    hint = models.CharField(max_length=20)
    scopes = ArrayField(models.CharField(max_length=50, choices=ApiScope.choices))
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "api_tokens"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["digest"], name="api_tokens_digest_unique"),
            models.CheckConstraint(
                condition=Q(scopes__contained_by=ApiScope.values, scopes__len__gt=0), name="api_tokens_scopes_known"
            ),
            models.CheckConstraint(condition=~Q(account_id=0), name="api_tokens_of_a_tenant"),
        ]

    def __str__(self) -> str:
        return self.name


class AuditEvent(models.Model):
    """Who did what to which object. Append-only; partitioned by month of `created_at`."""

    pk = models.CompositePrimaryKey("created_at", "id")
    id = models.UUIDField(db_default=models.Func(function="gen_random_uuid", output_field=models.UUIDField()))
    created_at = models.DateTimeField(db_default=Now())
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    actor_user_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=200, default="", db_default="")
    action = models.CharField(max_length=100)
    object_type = models.CharField(max_length=100, default="", db_default="")
    object_id = models.CharField(max_length=100, default="", db_default="")
    data = models.JSONField(default=dict, db_default={})
    address = models.GenericIPAddressField(null=True)

    class Meta:
        db_table = "audit_events"
        indexes: ClassVar = [
            models.Index(fields=["account", "-created_at"], name="audit_events_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"
