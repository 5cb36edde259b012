"""Issues as the forge tells them, with what Paid makes of them."""

from typing import ClassVar, Self

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, IntegerField, JSONField, Q, Value

from accounts.models import Account
from paid.lib.columns import Changed, Created
from paid.lib.constraints import TenantForeignKey, one_of
from paid.lib.found_ids import IsFound
from paid.lib.json_shapes import ShapedJSONField
from projects.labels import IssueLabels
from projects.models.projects import Project


class IssueState(models.TextChoices):
    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"


class WorkState(models.TextChoices):
    """What Paid does about the issue."""

    NEW = "new", "Not started"
    QUEUED = "queued", "Queued"
    IN_PROGRESS = "in_progress", "In progress"
    IN_REVIEW = "in_review", "In review"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"

    @property
    def colour(self) -> str:
        """Tabler's colour name."""
        return _COLOURS[self]


_COLOURS = {
    WorkState.NEW: "secondary",
    WorkState.QUEUED: "secondary",
    WorkState.IN_PROGRESS: "blue",
    WorkState.IN_REVIEW: "purple",
    WorkState.DONE: "green",
    WorkState.FAILED: "red",
}


class IssueQuerySet(models.QuerySet["Issue"]):
    def labelled(self, *names: str, newest: int | None = None) -> Self:
        """The running tenant's issues with all of these labels; none outside of `tenant(...)`.

        A label that is common costs as many rows as carry it: `newest` looks only for that many, the last ones of the
        account, before anything else narrows them. It reads issue_labels, which triggers make of `labels`.
        """
        wanted, limit = Value(list(names), JSONField()), Value(newest, IntegerField())
        return self.filter(IsFound("issues_labelled", wanted, limit))

    def listed(self) -> Self:
        """With what a list of issues shows, without their long texts; any other column costs a query a row."""
        return self.only("account_id", "project_id", "number", "title", "state", "labels", "work_state")


class Issue(Changed):
    """A cached copy of the forge's issue."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_constraint=False, related_name="issues")
    forge_id = models.CharField(max_length=100, blank=True, default="", db_default="")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=1000)
    body = models.TextField(blank=True, default="", db_default="")
    author = models.CharField(max_length=200, blank=True, default="", db_default="")
    url = models.CharField(max_length=2000, blank=True, default="", db_default="")
    state = models.CharField(
        max_length=20, choices=IssueState.choices, default=IssueState.OPEN, db_default=IssueState.OPEN
    )
    labels = ShapedJSONField(default=list, db_default=[], blank=True, shape=IssueLabels)
    work_state = models.CharField(
        max_length=20, choices=WorkState.choices, default=WorkState.NEW, db_default=WorkState.NEW
    )
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="children",
    )
    # The last time that somebody allowed put the trigger label on it: one such moment asks for one run.
    requested_at = models.DateTimeField(null=True, blank=True)
    requested_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    etag = models.CharField(max_length=200, blank=True, default="", db_default="")
    forge_updated_at = models.DateTimeField(null=True, blank=True)

    objects = IssueQuerySet.as_manager()

    class Meta:
        db_table = "issues"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="issues_tenant_key"),
            models.UniqueConstraint(fields=["project", "number"], name="issues_number_unique"),
            models.CheckConstraint(condition=Q(number__gt=0), name="issues_number_positive"),
            one_of("state", IssueState, "issues_state_known"),
            one_of("work_state", WorkState, "issues_work_state_known"),
            TenantForeignKey(column="project_id", to="projects", name="issues_project_fk", on_delete="CASCADE"),
            TenantForeignKey(column="parent_id", to="issues", name="issues_parent_fk", on_delete="SET NULL"),
        ]
        indexes: ClassVar = [
            GinIndex(F("account"), OpClass("labels", name="jsonb_path_ops"), name="issues_labels", fastupdate=False),
            # A project's list of them, open ones first, and how many are open.
            models.Index(fields=["account", "project", "state", "number"], name="issues_in_order"),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.title}"


class Comment(Created):
    """A comment on an issue or pull request of the local forge. On GitHub the forge keeps them."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_constraint=False, related_name="comments")
    number = models.PositiveIntegerField()  # of the issue or pull request: they share one sequence, as on GitHub
    author = models.CharField(max_length=200)
    body = models.TextField()
    marker = models.CharField(max_length=100, blank=True, default="", db_default="")

    class Meta:
        db_table = "comments"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "marker"], condition=~Q(marker=""), name="comments_marker_unique"
            ),
            TenantForeignKey(column="project_id", to="projects", name="comments_project_fk", on_delete="CASCADE"),
        ]
        indexes: ClassVar = [models.Index(fields=["project", "number", "id"], name="comments_of_number")]

    def __str__(self) -> str:
        return f"{self.author} on #{self.number}"
