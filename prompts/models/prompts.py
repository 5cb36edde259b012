"""Prompts and their immutable versions."""

from typing import Annotated, ClassVar, Self

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, JSONField, Q, Value
from pydantic import StringConstraints

from accounts.models import Account, User
from paid.lib.columns import Changed, Created
from paid.lib.constraints import TenantForeignKey, one_of
from paid.lib.found_ids import IsFound
from paid.lib.json_shapes import ShapedJSONField
from projects.models import Project

SLUG_PATTERN = r"^[a-z0-9_]+(\.[a-z0-9_]+)*$"
LABEL_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,49}$"
# What a template fills in, e.g. `issue.title`.
VariableName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*$", max_length=200)]


class Scope(models.TextChoices):
    GLOBAL = "global", "Global"
    ACCOUNT = "account", "Account"
    PROJECT = "project", "Project"


class PromptCategory(models.TextChoices):
    CODING = "coding", "Coding"
    REVIEW = "review", "Review"
    PLANNING = "planning", "Planning"
    META = "meta", "Meta"


class Prompt(Changed):
    """A prompt by slug in one scope; the nearest scope (project, account, global) wins."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="prompts")
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, db_constraint=False, related_name="prompts"
    )
    scope = models.CharField(max_length=20, choices=Scope.choices)
    slug = models.CharField(max_length=100)
    name = models.CharField(max_length=200)
    category = models.CharField(max_length=20, choices=PromptCategory.choices)
    description = models.TextField(blank=True, default="", db_default="")
    current_version = models.ForeignKey(
        "PromptVersion",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )

    class Meta:
        db_table = "prompts"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="prompts_tenant_key"),
            models.UniqueConstraint(
                fields=["account", "project", "slug"], nulls_distinct=False, name="prompts_slug_unique"
            ),
            models.CheckConstraint(condition=Q(slug__regex=SLUG_PATTERN), name="prompts_slug_shape"),
            one_of("category", PromptCategory, "prompts_category_known"),
            models.CheckConstraint(
                condition=Q(scope="global", account_id=0, project__isnull=True)
                | (Q(scope="account", project__isnull=True) & ~Q(account_id=0))
                | (Q(scope="project", project__isnull=False) & ~Q(account_id=0)),
                name="prompts_scope_matches_owner",
            ),
            TenantForeignKey(column="project_id", to="projects", name="prompts_project_fk", on_delete="CASCADE"),
            TenantForeignKey(column="current_version_id", to="prompt_versions", name="prompts_current_version_fk"),
        ]
        # The list of them, in pages: NULL, which is the account's own, comes last in a slug.
        indexes: ClassVar = [models.Index(fields=["account", "slug", "project"], name="prompts_in_order")]

    def __str__(self) -> str:
        return self.slug


class PromptVersionQuerySet(models.QuerySet["PromptVersion"]):
    def using_variable(self, *names: str, newest: int | None = None) -> Self:
        """Versions, the running tenant's and the global ones, whose texts use all of these variables.

        It finds nothing outside of `tenant(...)`. Many cost as many rows as there are: `newest` looks only for that
        many, those that were made last, before anything else narrows them.
        """
        wanted = Value(list(names), JSONField())
        if newest is None:
            return self.filter(IsFound("prompt_versions_using", wanted))
        return self.filter(IsFound("newest_versions_using", wanted, Value(newest, models.IntegerField())))


class PromptVersion(Created):
    """One version of a prompt: immutable, a trigger refuses UPDATE. The number is taken under the prompt's row lock."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, db_constraint=False, related_name="versions")
    version = models.PositiveIntegerField()
    template = models.TextField()
    variables = ShapedJSONField(default=list, db_default=[], blank=True, shape=list[VariableName])
    system_prompt = models.TextField(blank=True, default="", db_default="")
    change_notes = models.TextField(blank=True, default="", db_default="")
    created_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    author = models.CharField(max_length=200, blank=True, default="", db_default="")
    parent_version = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="children",
    )

    objects = PromptVersionQuerySet.as_manager()

    class Meta:
        db_table = "prompt_versions"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="prompt_versions_tenant_key"),
            models.UniqueConstraint(fields=["prompt", "version"], name="prompt_versions_number_unique"),
            models.CheckConstraint(condition=Q(version__gt=0), name="prompt_versions_number_positive"),
            models.CheckConstraint(condition=~Q(template=""), name="prompt_versions_template_not_empty"),
            TenantForeignKey(column="prompt_id", to="prompts", name="prompt_versions_prompt_fk", on_delete="CASCADE"),
            TenantForeignKey(column="parent_version_id", to="prompt_versions", name="prompt_versions_parent_fk"),
        ]
        indexes: ClassVar = [
            GinIndex(
                F("account"),
                OpClass("variables", name="jsonb_path_ops"),
                name="prompt_versions_variables",
                fastupdate=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prompt_id} v{self.version}"


class PromptLabel(Changed):
    """A name such as `production` that stands on one version of a prompt, and can be moved to another."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, db_constraint=False, related_name="labels")
    name = models.CharField(max_length=50, validators=[RegexValidator(LABEL_PATTERN)])
    prompt_version = models.ForeignKey(
        PromptVersion, on_delete=models.DO_NOTHING, db_constraint=False, related_name="labels"
    )
    moved_by = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        db_table = "prompt_labels"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["prompt", "name"], name="prompt_labels_name_unique"),
            models.CheckConstraint(condition=Q(name__regex=LABEL_PATTERN), name="prompt_labels_name_shape"),
            TenantForeignKey(column="prompt_id", to="prompts", name="prompt_labels_prompt_fk", on_delete="CASCADE"),
            TenantForeignKey(
                column="prompt_version_id", to="prompt_versions", name="prompt_labels_version_fk", on_delete="CASCADE"
            ),
        ]

    def __str__(self) -> str:
        return self.name
