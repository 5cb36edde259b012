"""What other weights would make of the runs of late, before anybody sets them."""

from dataclasses import dataclass
from decimal import Decimal

from agent_runs.models import AgentRun
from metrics.models import QualityMetric
from metrics.quality.operations import has_own_weights, signals_of, weights_for
from metrics.quality.score import QualityWeights, score

RUNS_LOOKED_AT = 500
_SHOWN = 8


@dataclass(frozen=True)
class Change:
    """A run whose score would be another one."""

    run: AgentRun
    before: Decimal
    after: Decimal

    @property
    def moves(self) -> Decimal:
        return self.after - self.before


@dataclass(frozen=True)
class Preview:
    """Of the newest scored runs, at most RUNS_LOOKED_AT. Means are None when there is none."""

    scored: int
    changed: int
    mean_before: Decimal | None
    mean_after: Decimal | None
    largest: list[Change]


def preview_weights(*, account_id: int, weights: QualityWeights) -> Preview:
    """`before` is the score that stands. Projects with weights of their own keep those."""
    # The newest runs come from an index of runs; quality has none by time alone.
    newest = AgentRun.objects.filter(account_id=account_id).order_by("-created_at", "-id")
    run_ids = list(newest.values_list("pk", flat=True)[:RUNS_LOOKED_AT])
    rows = (
        QualityMetric.objects.filter(account_id=account_id, agent_run_id__in=run_ids, quality_score__isnull=False)
        .select_related("agent_run__project", "agent_run__issue")
        .order_by("-agent_run_id")
    )
    by_project: dict[int, QualityWeights] = {}
    changes = []
    for row in rows:
        project = row.agent_run.project
        if project.pk not in by_project:
            by_project[project.pk] = weights_for(project) if has_own_weights(project) else weights
        after = score(signals_of(row), by_project[project.pk])
        if after is not None:
            changes.append(Change(row.agent_run, row.quality_score or Decimal(0), after))
    moved = [change for change in changes if change.moves]
    return Preview(
        scored=len(changes),
        changed=len(moved),
        mean_before=_mean([change.before for change in changes]),
        mean_after=_mean([change.after for change in changes]),
        largest=sorted(moved, key=lambda change: -abs(change.moves))[:_SHOWN],
    )


def _mean(values: list[Decimal]) -> Decimal | None:
    return sum(values, Decimal(0)) / len(values) if values else None
