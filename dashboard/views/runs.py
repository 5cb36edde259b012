"""Runs: the list with its filters in the URL, and one run with everything known about it."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from accounts.models import Role, User
from agent_runs.models import (
    LIVE_STATUSES,
    AgentRun,
    ModelQuestion,
    ModelSelection,
    RunDiff,
    RunStep,
    RunTrigger,
    StepName,
)
from agent_runs.querysets import Position, run_page
from dashboard import diffs
from dashboard.failures import failure_of
from dashboard.forms.runs import RunFilterForm
from dashboard.side_by_side import Row, compare
from dashboard.views.access import AccountRequest, account_page, get_run, may_work
from dashboard.views.run_log import first_rows
from metrics.models import BudgetReservation, QualityMetric, RunVote, TokenUsage
from metrics.quality.operations import signals_of, weights_for
from metrics.quality.score import Part, parts
from prompts.models import PromptVersion

PAGE_SIZE = 50


@account_page()
def runs(request: AccountRequest) -> HttpResponse:
    form = RunFilterForm(request.account, request.GET)
    page = run_page(
        request.account.pk,
        form.run_filter(),
        after=Position.parse(request.GET.get("after", "")),
        size=PAGE_SIZE,
    )
    context = {"form": form, "page": page, "is_filtered": form.is_filtered}
    # A boosted or restored page asks for the whole of it.
    is_fragment = request.htmx and not request.htmx.history_restore_request
    return render(request, "dashboard/runs/rows.html" if is_fragment else "dashboard/runs/list.html", context)


@dataclass(frozen=True)
class RunFacts:
    """What the page shows beside the run's own row."""

    steps: list[RunStep]
    selection: ModelSelection | None
    question: ModelQuestion | None  # to the meta-agent, about this run's model
    asked_for: ModelQuestion | None  # where this run is such a question
    diff: RunDiff | None
    files: list[diffs.DiffFile]
    usages: list[TokenUsage]
    reservation: BudgetReservation | None
    retries: list[int]
    quality: QualityMetric | None
    quality_parts: list[Part]
    own_vote: int
    template_rows: list[Row]

    @property
    def usable_models(self) -> list[dict[str, Any]]:
        """As they were kept with the selection, the best by the rules first."""
        return [entry for entry in self._candidates if entry.get("is_usable")]

    @property
    def refused_models(self) -> dict[str, list[str]]:
        """The others by the reason why: it is often one for all of a provider."""
        found: dict[str, list[str]] = {}
        for entry in self._candidates:
            if not entry.get("is_usable"):
                found.setdefault(entry.get("reason", ""), []).append(entry.get("model_id", ""))
        return found

    @property
    def _candidates(self) -> list[dict[str, Any]]:
        return self.selection.candidates if self.selection else []

    @property
    def has_changed_prompt(self) -> bool:
        """Whether the prompt's version says something else than the version that it was made from."""
        return any(row.kind != "same" for row in self.template_rows)


def read_facts(run: AgentRun, reader: User) -> RunFacts:
    diff = RunDiff.objects.filter(agent_run=run).first()
    quality = QualityMetric.objects.filter(agent_run=run).first()
    if quality:
        quality.agent_run = run
    usages = TokenUsage.objects.filter(run_created_at=run.created_at, agent_run_id=run.pk)
    return RunFacts(
        steps=list(RunStep.objects.filter(agent_run=run).order_by("started_at", "id")),
        selection=ModelSelection.objects.filter(agent_run=run).first(),
        # Most runs have none, and to join a run's forty columns takes longer than to look.
        question=ModelQuestion.objects.filter(agent_run=run).first(),
        asked_for=_asked_for(run),
        diff=diff,
        files=diffs.parse(diff.patch) if diff else [],
        usages=list(usages.order_by("created_at")[:200]),
        reservation=BudgetReservation.objects.filter(agent_run=run).first(),
        retries=list(AgentRun.objects.filter(retry_of=run).order_by("id").values_list("pk", flat=True)),
        quality=quality,
        quality_parts=parts(signals_of(quality), weights_for(run.project)) if quality else [],
        own_vote=RunVote.objects.filter(agent_run=run, user=reader).values_list("value", flat=True).first() or 0,
        template_rows=_beside_parent(run.prompt_version),
    )


def _asked_for(run: AgentRun) -> ModelQuestion | None:
    if run.trigger != RunTrigger.MODEL_CHOICE:
        return None
    return ModelQuestion.objects.filter(consultation=run).first()


def _beside_parent(version: PromptVersion) -> list[Row]:
    parent = version.parent_version
    return compare(parent.template, version.template) if parent else []


def _why_no_log(run: AgentRun, steps: list[RunStep]) -> str:
    """For a run that has ended without a line that is still kept."""
    if any(step.name == StepName.AGENT for step in steps):
        return "There is no log: the agent printed nothing, or its lines are older than Paid keeps them."
    return f"No agent was started, so there is no log. {run.error}".strip()


@account_page()
def run(request: AccountRequest, run_id: int) -> HttpResponse:
    agent_run = get_run(request, run_id)
    facts, log = read_facts(agent_run, request.user), first_rows(agent_run)
    slug = request.account.slug
    context = {
        "run": agent_run,
        "facts": facts,
        "log": log,
        "why_no_log": _why_no_log(agent_run, facts.steps),
        "failure": failure_of(agent_run, facts.steps, slug, has_diff=facts.diff is not None, has_log=bool(log.lines)),
        "is_live": agent_run.status in LIVE_STATUSES,
        "may_start": may_work(request.membership),
        "may_grant": request.membership.may(Role.ADMIN),
        "steps": facts.steps,
    }
    return render(request, "dashboard/runs/run.html", context)
