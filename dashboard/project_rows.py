"""What a row of the lists of projects and of issues shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from agent_runs.models import AgentRun, RunStatus
from metrics.analytics.runs import ProjectTotals
from projects.models import Issue, Project


@dataclass(frozen=True)
class ProjectRow:
    project: Project
    open_issues: int
    totals: ProjectTotals
    live_runs: int


class RunOfIssue(NamedTuple):
    issue_id: int
    id: int
    status: str
    cost_usd: Decimal
    created_at: datetime

    @property
    def is_live(self) -> bool:
        return RunStatus(self.status).is_live


@dataclass(frozen=True)
class IssueRow:
    """An issue with its runs, the newest first."""

    issue: Issue
    runs: list[RunOfIssue]

    @property
    def newest(self) -> RunOfIssue | None:
        return self.runs[0] if self.runs else None

    @property
    def cost_usd(self) -> Decimal:
        return sum((run.cost_usd for run in self.runs), Decimal(0))


def with_runs(issues: Iterable[Issue]) -> list[IssueRow]:
    """One query for the runs of all issues; tuples, because objects took longer than to read them."""
    listed = list(issues)
    runs: dict[int, list[RunOfIssue]] = {}
    found = AgentRun.objects.filter(issue__in=listed).order_by("-created_at", "-id")
    for row in found.values_list(*RunOfIssue._fields):
        runs.setdefault(row[0], []).append(RunOfIssue(*row))
    return [IssueRow(issue, runs.get(issue.pk, [])) for issue in listed]
