"""Budgets, the ledger and quality."""

import hashlib
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import factory
from django.utils import timezone

from metrics.models import (
    AlertWebhook,
    BudgetAlert,
    BudgetPeriod,
    BudgetReservation,
    CostBudget,
    Dimension,
    Evolution,
    EvolutionPolicy,
    ExperimentReading,
    GatewayCall,
    Proposal,
    QualityDaily,
    QualityMetric,
    RunHistogram,
    RunsDaily,
    RunVote,
    SpendDaily,
    TokenUsage,
    UsageDaily,
)
from paid.lib.tenancy import platform
from tests.factories.accounts import AccountFactory, UserFactory
from tests.factories.agent_runs import AgentRunFactory, OfRun, finished_run
from tests.factories.base import PlatformFactory
from tests.factories.prompts import AbTestFactory, PromptFactory, PromptVersionFactory


class CostBudgetFactory(PlatformFactory):
    class Meta:
        model = CostBudget

    account = factory.SubFactory(AccountFactory)
    period = BudgetPeriod.DAY
    limit_usd = Decimal("10.000000000000")


class BudgetAlertFactory(PlatformFactory):
    class Meta:
        model = BudgetAlert

    cost_budget = factory.SubFactory(CostBudgetFactory)
    account_id = factory.SelfAttribute("cost_budget.account_id")
    period_starts_on = factory.LazyFunction(lambda: timezone.now().date())
    threshold = Decimal("0.8")
    limit_usd = factory.SelfAttribute("cost_budget.limit_usd")
    spent_usd = Decimal("8.5")


class AlertWebhookFactory(PlatformFactory):
    class Meta:
        model = AlertWebhook

    account = factory.SubFactory(AccountFactory)
    url = "https://hooks.example.com/paid"
    secret = "a-secret-of-the-receiver"


class BudgetReservationFactory(OfRun):
    class Meta:
        model = BudgetReservation

    project_id = factory.SelfAttribute("agent_run.project_id")
    amount_usd = Decimal("1.000000000000")
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(hours=1))


class GatewayCallFactory(PlatformFactory):
    """Give it `run`; without one it makes a new run."""

    class Meta:
        model = GatewayCall

    class Params:
        run = factory.SubFactory(AgentRunFactory)

    request_id = factory.LazyFunction(uuid.uuid4)
    account_id = factory.SelfAttribute("run.account_id")
    agent_run_id = factory.SelfAttribute("run.pk")
    run_created_at = factory.SelfAttribute("run.created_at")
    language_model_id = factory.SelfAttribute("run.language_model_id")
    model_name = "scripted-demo"
    gateway_id = "gateway-1"
    opened_at = factory.LazyFunction(timezone.now)


class TokenUsageFactory(PlatformFactory):
    """Give it `run`; without one it makes a new run."""

    class Meta:
        model = TokenUsage

    class Params:
        run = factory.SubFactory(AgentRunFactory)

    account_id = factory.SelfAttribute("run.account_id")
    project_id = factory.SelfAttribute("run.project_id")
    agent_run_id = factory.SelfAttribute("run.pk")
    run_created_at = factory.SelfAttribute("run.created_at")
    language_model_id = factory.SelfAttribute("run.language_model_id")
    request_id = factory.LazyFunction(uuid.uuid4)
    model_name = "scripted-demo"
    input_tokens = 1_000
    output_tokens = 200
    cost_usd = Decimal("0.006000000000")
    is_priced = True
    payload_hash = factory.LazyAttribute(lambda usage: hashlib.sha256(usage.request_id.bytes).digest())


class UsageDailyFactory(PlatformFactory):
    class Meta:
        model = UsageDaily

    account = factory.SubFactory(AccountFactory)
    project_id = 1
    language_model_id = 0
    day = factory.LazyFunction(lambda: timezone.now().date())
    slot = 0


class QualityMetricFactory(OfRun):
    class Meta:
        model = QualityMetric

    project_id = factory.SelfAttribute("agent_run.project_id")
    prompt_version_id = factory.SelfAttribute("agent_run.prompt_version_id")
    language_model_id = factory.SelfAttribute("agent_run.language_model_id")


class ExperimentReadingFactory(PlatformFactory):
    class Meta:
        model = ExperimentReading

    ab_test = factory.SubFactory(AbTestFactory)
    account_id = factory.SelfAttribute("ab_test.account_id")
    computed_at = factory.LazyFunction(timezone.now)
    subjects_assigned = 0
    subjects_settled = 0
    content = factory.LazyFunction(dict)
    proposal = Proposal.WAIT
    reason = "Neither better nor worse is shown yet."


class RunVoteFactory(OfRun):
    class Meta:
        model = RunVote

    user = factory.SubFactory(UserFactory)
    value = 1


class SumFactory(PlatformFactory):
    """Nobody may write a sum: these make the row that a trigger sums up, and give its sum."""

    class Meta:
        abstract = True

    @classmethod
    def _create(cls, model_class: Any, *_args: Any, **kwargs: Any) -> Any:
        account_id = cls.make_row().account_id
        with platform():
            return model_class.objects.filter(account_id=account_id, **kwargs).first()

    @classmethod
    def make_row(cls) -> Any:
        return finished_run()


class RunsDailyFactory(SumFactory):
    class Meta:
        model = RunsDaily

    dimension = Dimension.ALL


class RunHistogramFactory(SumFactory):
    class Meta:
        model = RunHistogram

    measure = "seconds"


class QualityDailyFactory(SumFactory):
    class Meta:
        model = QualityDaily

    dimension = Dimension.ALL

    @classmethod
    def make_row(cls) -> Any:
        return QualityMetricFactory()


class SpendDailyFactory(SumFactory):
    class Meta:
        model = SpendDaily

    dimension = Dimension.PERSON

    @classmethod
    def make_row(cls) -> Any:
        return TokenUsageFactory()


class EvolutionPolicyFactory(PlatformFactory):
    class Meta:
        model = EvolutionPolicy

    prompt = factory.SubFactory(PromptFactory)
    account_id = factory.SelfAttribute("prompt.account_id")


class EvolutionFactory(PlatformFactory):
    """A cycle of which the model is being asked."""

    class Meta:
        model = Evolution

    parent_version = factory.SubFactory(PromptVersionFactory)
    prompt = factory.SelfAttribute("parent_version.prompt")
    account_id = factory.SelfAttribute("parent_version.account_id")
    workflow_id = factory.LazyAttribute(lambda made: f"evolve-{made.prompt.pk}")
    needs_approval = True
    spending_cap_usd = Decimal(20)
    proposals = 3
    mean_score = Decimal("0.31000")
    runs_looked_at = 20
    sampled_run_ids = factory.LazyFunction(list)
