"""A question to a model that a person stops while the model answers: real gateway, ledger and activity."""

import threading
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import connections
from temporalio.testing import ActivityEnvironment

from accounts.models import Account
from agent_runs.models import AgentRun, RunStatus
from metrics.models import BudgetReservation, Evolution, EvolutionStatus, GatewayCall, TokenUsage
from paid.lib.tenancy import platform, tenant
from prompts.models import Stance
from tests.factories.prompts import LanguageModelFactory, ModelPreferenceFactory, ModelPriceFactory
from tests.metrics.conftest import GatewayServer
from tests.workflows.evolving import Team, evolution_of, make_team
from workflows.activities.evolution import consult_model, open_evolution_activity
from workflows.evolution_contracts import EvolutionInput, EvolutionRef
from workflows.operations import stop_run

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 120


def ask_silent_models(account: Account) -> None:
    """From now on the account's questions go to a model that begins its answer and falls silent."""
    silent = LanguageModelFactory(account=account, model_id="scripted-stall", agents=["claude_code"])
    ModelPriceFactory(language_model=silent, token_class="output", usd_per_million=Decimal(15))
    ModelPriceFactory(language_model=silent, token_class="input", usd_per_million=Decimal(3))
    ModelPreferenceFactory(
        account=account,
        category="meta",
        stance=Stance.PREFER,
        provider="",
        language_model=silent,
        model_account_id=account.pk,
    )


def in_thread(function: Callable[..., object], *arguments: object) -> threading.Thread:
    def call() -> None:
        try:
            ActivityEnvironment().run(function, *arguments)
        finally:
            connections.close_all()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def begun_call() -> GatewayCall | None:
    """The call whose answer has begun, as the gateway notes it."""
    with platform():
        return GatewayCall.objects.filter(output_tokens__gt=0).first()


def is_posted(run: AgentRun) -> bool:
    """What was settled of a run is in its own sums, too: half a second behind the call."""
    with platform():
        return BudgetReservation.objects.filter(agent_run_id=run.pk, drawn_usd__gt=0, unposted_calls=0).exists()


def test_a_person_stops_a_question_under_way_and_what_came_is_paid(
    gateway: GatewayServer, settings: object, eventually: Callable[[Callable[[], bool]], None]
):
    settings.GATEWAY_SOCKET = gateway.socket  # type: ignore[attr-defined]
    team: Team = make_team()
    ask_silent_models(team.account)
    opened = ActivityEnvironment().run(open_evolution_activity, EvolutionInput(team.account.pk, team.prompt.pk))
    asking = in_thread(consult_model, EvolutionRef(team.account.pk, opened.evolution_id))
    eventually(lambda: begun_call() is not None)

    with tenant(team.account.pk):
        run = AgentRun.objects.get(agent="consultation")
        stop_run(run=run, actor=team.owner)
    asking.join(SECONDS)

    assert not asking.is_alive()
    evolution: Evolution | None = evolution_of(team)
    assert evolution is not None
    assert (evolution.status, evolution.outcome) == (
        EvolutionStatus.FAILED,
        "Somebody stopped the question before it was answered.",
    )
    eventually(lambda: begun_call() is None and is_posted(run))
    with platform():
        run = AgentRun.objects.get(pk=run.pk)
        usage = TokenUsage.objects.get(agent_run_id=run.pk)
        escrow = BudgetReservation.objects.get(agent_run_id=run.pk)
    assert (run.status, run.error, run.stop_requested_by_id) == (RunStatus.STOPPED, "", team.owner.pk)
    assert (usage.is_estimated, run.cost_usd, escrow.drawn_usd) == (True, usage.cost_usd, usage.cost_usd)
    assert usage.cost_usd > 0
    assert escrow.closed_at is not None
