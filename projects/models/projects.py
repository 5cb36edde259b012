"""Projects: a repository on a forge, and who may do what with it."""

from collections.abc import Mapping
from typing import ClassVar, Self

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, IntegerField, JSONField, Value

from accounts.models import Account, GithubToken, Role, User
from paid.lib.columns import Changed, Created
from paid.lib.constraints import TenantForeignKey, one_of
from paid.lib.encryption import EncryptedField
from paid.lib.found_ids import IsFound
from paid.lib.json_shapes import ShapedJSONField
from projects.labels import ProjectLabels
from projects.settings_shape import ProjectSettings


class ForgeKind(models.TextChoices):
    GITHUB = "github", "GitHub"
    LOCAL = "local", "This machine"


class ProjectQuerySet(models.QuerySet["Project"]):
    """Searches of the running tenant's projects; they find nothing outside of `tenant(...)`."""

    def labelled(self, newest: int | None = None, /, **labels: str) -> Self:
        """Projects with all of these labels, e.g. `labelled(plan="paid-plan")`.

        Many cost as many rows as there are: `labelled(50, plan="free")` looks only for that many, the last ones of the
        account, before anything else narrows them. Those of one label are read from project_labels, which triggers make
        of `labels`.
        """
        return self.filter(_is_found("projects_labelled", labels, newest))

    def with_setting(self, newest: int | None = None, /, **settings: object) -> Self:
        """Projects with all of these settings; a dictionary is looked for within the one that is set.

        `newest` as in `labelled`.
        """
        return self.filter(_is_found("projects_with_settings", settings, newest))

    def listed(self) -> Self:
        """With what lists of projects show, without secrets and states; any other column costs a query a row."""
        return self.only("account_id", "name", "forge", "owner", "repo", "labels", "is_active")


def _is_found(function: str, wanted: Mapping[str, object], newest: int | None) -> IsFound:
    return IsFound(function, Value(dict(wanted), JSONField()), Value(newest, IntegerField()))


class Project(Changed):
    """A repository that agents work on."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="projects")
    name = models.CharField(max_length=200)
    forge = models.CharField(max_length=20, choices=ForgeKind.choices)
    owner = models.CharField(max_length=200)
    repo = models.CharField(max_length=200)
    default_branch = models.CharField(max_length=250, default="main", db_default="main")
    github_token = models.ForeignKey(
        GithubToken,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="projects",
    )
    labels = ShapedJSONField(default=dict, db_default={}, blank=True, shape=ProjectLabels)
    settings = ShapedJSONField(default=dict, db_default={}, blank=True, shape=ProjectSettings)
    poll_interval_seconds = models.PositiveIntegerField(default=60, db_default=60)
    poll_state = models.JSONField(default=dict, db_default={}, blank=True)  # projects.polling.PollState
    # What GitHub signs its deliveries with; NULL for a forge that sends none.
    webhook_secret = EncryptedField(null=True, blank=True)
    is_active = models.BooleanField(default=True, db_default=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        db_table = "projects"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="projects_tenant_key"),
            models.UniqueConstraint(fields=["account", "forge", "owner", "repo"], name="projects_repository_unique"),
            one_of("forge", ForgeKind, "projects_forge_known"),
            TenantForeignKey(
                column="github_token_id",
                to="github_tokens",
                name="projects_github_token_fk",
                on_delete="SET NULL",
            ),
        ]
        indexes: ClassVar = [
            GinIndex(F("account"), OpClass("labels", name="jsonb_path_ops"), name="projects_labels", fastupdate=False),
            GinIndex(
                F("account"), OpClass("settings", name="jsonb_path_ops"), name="projects_settings", fastupdate=False
            ),
        ]

    def __str__(self) -> str:
        return f"{self.owner}/{self.repo}"


class ProjectMembership(Created):
    """A user's role in one project: it may only widen what the account's role gives."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_constraint=False, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="project_memberships")
    role = models.CharField(max_length=20, choices=Role.choices)

    class Meta:
        db_table = "project_memberships"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "user"], name="project_memberships_pair_unique"),
            one_of("role", Role, "project_memberships_role_known"),
            TenantForeignKey(
                column="project_id", to="projects", name="project_memberships_project_fk", on_delete="CASCADE"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in project {self.project_id}: {self.role}"
