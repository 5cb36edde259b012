"""An experiment as it looks after some weeks: many issues, each with its run and what that was worth."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils import timezone

from agent_runs.models import AgentRun, RunStatus
from metrics.models import QualityMetric
from paid.lib.tenancy import platform, tenant
from projects.models import Issue
from prompts.experiments.operations import Arm, create_experiment, start_experiment
from prompts.experiments.rule import DecisionRule, Guardrail
from prompts.models import AbTest, AbVariant, PromptVersion
from tests.dashboard.world import World
from tests.factories.prompts import PromptVersionFactory

RULE = DecisionRule(
    minimum_subjects=10,
    maximum_subjects=1_000,
    guardrails=(Guardrail(metric="failure_rate", tolerance=0.05), Guardrail(metric="cost", cap_usd=Decimal(1))),
)


def running_experiment(world: World, *, metric: str = "quality_score", metric_cap: Decimal | None = None) -> AbTest:
    """Of the prompt's two versions and a third one."""
    with platform():
        first, second = PromptVersion.objects.filter(prompt=world.prompt).order_by("version")
    third = PromptVersionFactory(
        prompt=world.prompt, version=3, template="Write less.", change_notes="Half as long, one example less"
    )
    with tenant(world.account.pk):
        test = create_experiment(
            account_id=world.account.pk,
            prompt=world.prompt,
            name="A failing test first, or a shorter text",
            hypothesis="Agents that see a test fail know when they are done; a shorter text leaves room for the code.",
            control=Arm(first, "control"),
            treatments=[Arm(second, "test first"), Arm(third, "half as long")],
            metric=metric,
            metric_cap=metric_cap,
            rule=RULE,
            actor=world.bob,
        )
        start_experiment(test=test, actor=world.alice)
    return test


def populate(world: World, test: AbTest, count: int, effects: dict[str, float], *, seed: int = 7) -> None:
    """`count` issues in the order of their assignment, spread over 30 days that end a week ago.

    `effects` by the variant's name is how much better its score is than 0.55, with a deviation of 0.2.
    """
    draw = random.Random(seed)  # noqa: S311 - figures to look at, not a secret
    ended = timezone.now() - timedelta(days=8)
    with platform():
        variants = list(AbVariant.objects.filter(ab_test=test).select_related("prompt_version").order_by("pk"))
        chosen = [draw.choice(variants) for _ in range(count)]
        issues = Issue.objects.bulk_create(
            Issue(account=world.account, project=world.project, number=1_000 + n, title=f"Issue {n}")
            for n in range(count)
        )
        runs = AgentRun.objects.bulk_create(
            _run(world, issue, variant, ended - timedelta(hours=720 * (count - n) / count), draw)
            for n, (issue, variant) in enumerate(zip(issues, chosen, strict=True))
        )
        QualityMetric.objects.bulk_create(
            _quality(run, variant, draw.gauss(0.55 + effects.get(variant.name, 0), 0.2))
            for run, variant in zip(runs, chosen, strict=True)
        )


def _run(world: World, issue: Issue, variant: AbVariant, at: datetime, draw: random.Random) -> AgentRun:
    return AgentRun(
        account=world.account,
        project=world.project,
        issue=issue,
        prompt_version=variant.prompt_version,
        version_account_id=variant.version_account_id,
        ab_variant=variant,
        language_model=world.model,
        model_account_id=world.model.account_id,
        trigger="label",
        agent="claude_code",
        prompt_text="Solve it.",
        status=RunStatus.FAILED if draw.random() < 0.06 else RunStatus.COMPLETED,
        created_at=at,
        started_at=at,
        finished_at=at + timedelta(minutes=3),
        cost_usd=Decimal(f"{draw.uniform(0.2, 0.5):.6f}") * (Decimal("0.8") if variant.name == "half as long" else 1),
        iterations=draw.randint(3, 14),
    )


def _quality(run: AgentRun, variant: AbVariant, score: float) -> QualityMetric:
    has_completed = run.status == RunStatus.COMPLETED
    return QualityMetric(
        account_id=run.account_id,
        agent_run=run,
        project_id=run.project_id,
        prompt_version_id=run.prompt_version_id,
        ab_variant_id=variant.pk,
        language_model_id=run.language_model_id,
        iterations=run.iterations,
        is_merged=has_completed and score > 0.4,
        quality_score=Decimal(f"{min(max(score, 0), 1):.5f}") if has_completed else Decimal(0),
        created_at=run.created_at + timedelta(minutes=3),
    )
