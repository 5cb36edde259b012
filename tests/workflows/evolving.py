"""A team with a weak prompt, and the real worker, gateway and model that improve it."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.core.management import call_command
from django.utils import timezone
from temporalio.client import Client

from accounts.models import Account, User
from agent_runs.models import AgentRun, RunStatus, RunTrigger
from metrics.evolution.operations import PolicyTerms, set_policy
from metrics.models import Evolution, EvolutionStatus, QualityMetric
from paid.lib.tenancy import platform, tenant
from projects.models import Issue, Project
from prompts.models import LanguageModel, Prompt
from prompts.resolution import ResolvedPrompt, resolve_prompt
from tests.factories import account_with_owner
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import prompt_with_version
from workflows.connections import released_connections
from workflows.contracts import AGENTS_QUEUE, CONTROL_QUEUE
from workflows.worker import make_worker

SLUG = "coding.implement_issue"
WEAK = "Work on this issue.\n\n{{ issue.title }}\n\n{{ issue.body }}\n"
VARIABLES = ("issue.body", "issue.title")
REACHED_SECONDS = 180
WEAK_SCORE, GOOD_SCORE = Decimal("0.31"), Decimal("0.86")
TERMS = PolicyTerms(
    is_on=True,
    needs_approval=True,
    spending_cap_usd=Decimal(20),
    minimum_runs=20,
    weak_below=Decimal("0.6"),
    proposals=3,
    every_hours=168,
)


@dataclass(frozen=True)
class Team:
    account: Account
    owner: User
    project: Project
    prompt: Prompt
    model: LanguageModel


def make_team(terms: PolicyTerms = TERMS, *, weak_runs: int = 24) -> Team:
    call_command("seed_prompts", verbosity=0)
    call_command("sync_models", verbosity=0)
    account, owner = account_with_owner()
    prompt = prompt_with_version(account=account, slug=SLUG, template=WEAK, variables=VARIABLES)
    with platform():
        model = LanguageModel.objects.get(model_id="scripted-demo")
    team = Team(account, owner, ProjectFactory(account=account), prompt, model)
    with tenant(account.pk):
        set_policy(prompt=prompt, terms=terms, actor=owner)
    run_issues(team, weak_runs)
    return team


def run_issues(team: Team, count: int, *, cost_usd: Decimal = Decimal("0.05")) -> None:
    """As many new issues, each with a merged run of the version that the real resolution gives it: runs of the first
    version are poor, those of every other one good.
    """
    noise = random.Random(7)  # noqa: S311 - a test's numbers
    with platform():
        issues = Issue.objects.bulk_create(_new_issues(team, count))
    with tenant(team.account.pk):
        resolved = [
            resolve_prompt(account_id=team.account.pk, project_id=team.project.pk, slug=SLUG, subject=str(issue.pk))
            for issue in issues
        ]
    with platform():
        runs = AgentRun.objects.bulk_create(
            _ended(team, issue, found, cost_usd) for issue, found in zip(issues, resolved, strict=True)
        )
        QualityMetric.objects.bulk_create(
            QualityMetric(
                account_id=team.account.pk,
                agent_run=run,
                project_id=team.project.pk,
                prompt_version_id=found.prompt_version_id,
                ab_variant_id=found.ab_variant_id,
                language_model_id=team.model.pk,
                is_merged=found.version > 1,
                quality_score=(GOOD_SCORE if found.version > 1 else WEAK_SCORE) + Decimal(noise.randint(-8, 8)) / 100,
            )
            for run, found in zip(runs, resolved, strict=True)
        )


def _new_issues(team: Team, count: int) -> list[Issue]:
    first = Issue.objects.filter(project=team.project).count() + 1
    return [
        Issue(
            account=team.account,
            project=team.project,
            number=number,
            title=f"Bug {number}",
            body=f"Something breaks in part {number}.",
        )
        for number in range(first, first + count)
    ]


def _ended(team: Team, issue: Issue, found: ResolvedPrompt, cost_usd: Decimal) -> AgentRun:
    return AgentRun(
        account=team.account,
        project=team.project,
        issue=issue,
        version_account_id=found.version_account_id,
        prompt_version_id=found.prompt_version_id,
        ab_variant_id=found.ab_variant_id,
        model_account_id=team.model.account_id,
        language_model=team.model,
        trigger=RunTrigger.LABEL,
        agent="claude_code",
        prompt_text="As resolved.",
        status=RunStatus.COMPLETED,
        started_at=timezone.now(),
        finished_at=timezone.now(),
        cost_usd=cost_usd,
    )


@asynccontextmanager
async def improving(client: Client) -> AsyncIterator[None]:
    """Both real workers in this process, with everything that they serve."""
    async with AsyncExitStack() as stack:
        for queue in (CONTROL_QUEUE, AGENTS_QUEUE):
            await stack.enter_async_context(make_worker(client, queue, threads=4))
        yield


async def in_database(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    def call() -> Any:
        with released_connections():
            return function(*arguments, **options)

    return await asyncio.to_thread(call)


def evolution_of(team: Team) -> Evolution | None:
    with tenant(team.account.pk):
        rows = Evolution.objects.select_related("consultation", "prompt", "parent_version", "ab_test")
        return rows.filter(prompt=team.prompt).order_by("-pk").first()


async def reached(team: Team, status: EvolutionStatus) -> Evolution:
    """The cycle once it stands there; fails with how it ended instead."""
    deadline = time.monotonic() + REACHED_SECONDS
    while time.monotonic() < deadline:
        found: Evolution | None = await in_database(evolution_of, team)
        if found is not None and (found.status == status or found.ended_at is not None):
            assert found.status == status, found.outcome
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"The cycle did not come to {status}")
