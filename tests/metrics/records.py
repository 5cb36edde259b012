"""A tenant with one project, one priced model and as many runs as a test wants."""

import hashlib
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from accounts.models import Account
from agent_runs.models import AgentRun, RunStatus, RunTrigger
from metrics.models import BudgetPeriod, CostBudget
from paid.lib.tenancy import platform
from projects.models import ForgeKind, Issue, Project
from prompts.models import LanguageModel, ModelPrice, Prompt, PromptVersion

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PRICES = {
    "input": Decimal("3"),
    "output": Decimal("15"),
    "cache_read": Decimal("0.3"),
    "cache_write": Decimal("3.75"),
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Tenant:
    account: Account
    project: Project
    model: LanguageModel
    prompt_version: PromptVersion


def make_tenant(model: str = "scripted-demo", *, is_priced: bool = True) -> Tenant:
    number = next(_numbers)
    with platform():
        account = Account.objects.create(name=f"Team {number}", slug=f"team-{number}")
        prompt = Prompt.objects.create(
            account=account, scope="account", slug=f"coding.task_{number}", name="Task", category="coding"
        )
        version = PromptVersion.objects.create(account=account, prompt=prompt, version=1, template="Do it.")
        return Tenant(account, make_project(account), make_model(account, model, is_priced=is_priced), version)


def make_project(account: Account) -> Project:
    with platform():
        return Project.objects.create(
            account=account, name="Sample", forge=ForgeKind.LOCAL, owner="local", repo=f"sample-{next(_numbers)}"
        )


def make_model(account: Account, model: str, *, is_priced: bool = True) -> LanguageModel:
    with platform():
        row = LanguageModel.objects.create(account=account, provider="scripted", model_id=model, name=model)
        if is_priced:
            for token_class, usd_per_million in PRICES.items():
                add_price(row, token_class, usd_per_million)
    return row


def add_price(
    model: LanguageModel,
    token_class: str,
    usd_per_million: Decimal,
    *,
    starts_at: datetime = LONG_AGO,
    threshold_tokens: int = 0,
) -> None:
    with platform():
        ModelPrice.objects.create(
            account=model.account,
            language_model=model,
            token_class=token_class,
            usd_per_million=usd_per_million,
            threshold_tokens=threshold_tokens,
            starts_at=starts_at,
        )


def make_run(tenant: Tenant, *, token: str = "", project: Project | None = None) -> AgentRun:
    """A running run; with a token it may call the gateway."""
    number = next(_numbers)
    with platform():
        issue = Issue.objects.create(
            account=tenant.account, project=project or tenant.project, number=number, title="Mend it"
        )
        return AgentRun.objects.create(
            account=tenant.account,
            project=project or tenant.project,
            issue=issue,
            version_account_id=tenant.account.pk,
            prompt_version=tenant.prompt_version,
            model_account_id=tenant.account.pk,
            language_model=tenant.model,
            trigger=RunTrigger.DEMO,
            agent="claude_code",
            status=RunStatus.RUNNING,
            run_token_hash=hashlib.sha256(token.encode()).digest() if token else None,
        )


def make_budget(
    tenant: Tenant,
    limit_usd: str,
    *,
    period: BudgetPeriod = BudgetPeriod.DAY,
    project: Project | None = None,
    is_hard: bool = True,
    days_ago: int = 0,
) -> CostBudget:
    """A budget that was made, and never changed since, so many days ago."""
    then = datetime.now(UTC) - timedelta(days=days_ago)
    with platform():
        return CostBudget.objects.create(
            account=tenant.account,
            project=project,
            period=period,
            limit_usd=Decimal(limit_usd),
            is_hard=is_hard,
            created_at=then,
            updated_at=then,
        )
