"""Whether a prompt is weak, and which of its runs show why."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet

from agent_runs.models import AgentRun
from agent_runs.models.runs import TERMINAL_STATUSES
from metrics.models import QualityMetric
from prompts.context import FailureContext, Untrusted
from prompts.models import PromptVersion

# Older runs may have had another repository, model or reviewer.
RUNS_LOOKED_AT = 200
RUNS_SHOWN = 8
ISSUE_CHARACTERS = 3_000
ENDING_CHARACTERS = 1_500


@dataclass(frozen=True)
class Sample:
    """The newest scored runs of one version: their number and mean, and the worst of them, the worst first."""

    runs: int
    mean_score: Decimal
    worst_run_ids: tuple[int, ...]


def sample_of(version: PromptVersion, account_id: int) -> Sample | None:
    """None while no run of the version has a score."""
    scored = QualityMetric.objects.filter(
        account_id=account_id, agent_run__prompt_version_id=version.pk, quality_score__isnull=False
    )
    newest = list(scored.order_by("-agent_run_id").values_list("agent_run_id", "quality_score")[:RUNS_LOOKED_AT])
    if not newest:
        return None
    mean = sum((score for _, score in newest if score is not None), Decimal(0)) / len(newest)
    worst = sorted(newest, key=lambda row: (row[1], -row[0]))[:RUNS_SHOWN]
    return Sample(len(newest), mean.quantize(Decimal("0.00001")), tuple(run_id for run_id, _ in worst))


def shown_runs(run_ids: list[int], account_id: int) -> list[AgentRun]:
    """The sampled runs that are still there, in the order of the sample."""
    rows: QuerySet[AgentRun] = AgentRun.objects.filter(
        account_id=account_id, pk__in=run_ids, status__in=TERMINAL_STATUSES
    ).select_related("issue", "quality_metric")
    found = {row.pk: row for row in rows}
    return [found[run_id] for run_id in run_ids if run_id in found]


def failures_of(runs: list[AgentRun]) -> tuple[FailureContext, ...]:
    return tuple(
        FailureContext(
            score=f"{run.quality_metric.quality_score or 0:.2f}",
            issue=Untrusted(f"{run.issue.title}\n\n{run.issue.body}".strip(), "issue", ISSUE_CHARACTERS),
            ending=Untrusted(run.error or run.summary, "run", ENDING_CHARACTERS),
        )
        for run in runs
    )


def texts_of(runs: list[AgentRun]) -> tuple[str, ...]:
    """What of these runs a proposal may not repeat."""
    return tuple(text for run in runs for text in (run.issue.title, run.issue.body, run.error, run.summary) if text)
