"""Pull requests: of the local forge the thing itself, of GitHub a cached copy."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account
from paid.lib.columns import Changed
from paid.lib.constraints import TenantForeignKey, one_of
from projects.models.issues import Issue
from projects.models.projects import Project


class PullRequestState(models.TextChoices):
    OPEN = "open", "Open"
    MERGED = "merged", "Merged"
    CLOSED = "closed", "Closed"

    @property
    def colour(self) -> str:
        """Tabler's colour name."""
        return _COLOURS[self]


_COLOURS = {PullRequestState.OPEN: "green", PullRequestState.MERGED: "purple", PullRequestState.CLOSED: "red"}


class ReviewState(models.TextChoices):
    NONE = "", "Not reviewed"
    APPROVED = "approved", "Approved"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"


class ChecksState(models.TextChoices):
    NONE = "", "No checks"
    PENDING = "pending", "Running"
    SUCCESS = "success", "Passed"
    FAILURE = "failure", "Failed"


class PullRequest(Changed):
    """Found or created once: the hidden marker names the run that asked for it."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_constraint=False, related_name="pull_requests")
    issue = models.ForeignKey(
        Issue,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="pull_requests",
    )
    number = models.PositiveIntegerField()
    marker = models.CharField(max_length=100)
    title = models.CharField(max_length=1000)
    body = models.TextField(blank=True, default="", db_default="")
    head_branch = models.CharField(max_length=250)
    base_branch = models.CharField(max_length=250)
    head_sha = models.CharField(max_length=64)
    base_sha = models.CharField(max_length=64)
    state = models.CharField(
        max_length=20,
        choices=PullRequestState.choices,
        default=PullRequestState.OPEN,
        db_default=PullRequestState.OPEN,
    )
    review_state = models.CharField(
        max_length=20, choices=ReviewState.choices, default=ReviewState.NONE, db_default="", blank=True
    )
    checks_state = models.CharField(
        max_length=20, choices=ChecksState.choices, default=ChecksState.NONE, db_default="", blank=True
    )
    labels = models.JSONField(default=list, db_default=[], blank=True)
    url = models.CharField(max_length=2000, blank=True, default="", db_default="")
    merged_at = models.DateTimeField(null=True, blank=True)
    merged_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "pull_requests"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="pull_requests_tenant_key"),
            models.UniqueConstraint(fields=["project", "number"], name="pull_requests_number_unique"),
            models.UniqueConstraint(fields=["project", "marker"], name="pull_requests_marker_unique"),
            one_of("state", PullRequestState, "pull_requests_state_known"),
            one_of("review_state", ReviewState, "pull_requests_review_state_known"),
            one_of("checks_state", ChecksState, "pull_requests_checks_state_known"),
            models.CheckConstraint(
                condition=Q(merged_at__isnull=False) | ~Q(state="merged"),
                name="pull_requests_merged_has_time",
            ),
            TenantForeignKey(column="project_id", to="projects", name="pull_requests_project_fk", on_delete="CASCADE"),
            TenantForeignKey(column="issue_id", to="issues", name="pull_requests_issue_fk", on_delete="SET NULL"),
        ]
        indexes: ClassVar = [
            # The look for late signals of quality starts from what changed lately.
            models.Index(fields=["updated_at"], name="pull_requests_changed"),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.title}"
