"""A whole cycle of evolution: the real workflow, gateway, ledger, validation, experiment and promotion.

The model that improves the prompt is the scripted one, and the runs of the experiment are rows.
"""

from dataclasses import replace
from decimal import Decimal

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from accounts.models import AuditEvent
from agent_runs.models import RunStatus
from metrics.evolution.operations import candidates_of, spent_usd
from metrics.experiments.operations import conclude_experiment, look_at_experiment
from metrics.models import BudgetReservation, Evolution, EvolutionStatus, Proposal, TokenUsage
from paid.lib.tenancy import platform, tenant
from prompts.models import AbTest, AbTestStatus, AbVariant, Prompt, PromptVersion
from tests.metrics.conftest import GatewayServer
from tests.workflows.evolving import TERMS, WEAK, Team, improving, in_database, make_team, reached, run_issues
from workflows.contracts import CONTROL_QUEUE
from workflows.evolution_contracts import EVOLUTION_WORKFLOW, EvolutionInput, EvolutionSummary
from workflows.operations.evolution import approve_proposals, refuse_proposals
from workflows.outbox import OutboxSweep

pytestmark = pytest.mark.django_db(transaction=True)


async def start(environment: WorkflowEnvironment, team: Team) -> WorkflowHandle[object, EvolutionSummary]:
    return await environment.client.start_workflow(
        EVOLUTION_WORKFLOW,
        EvolutionInput(team.account.pk, team.prompt.pk),
        id=f"evolve-{team.prompt.pk}-of-a-test",
        task_queue=CONTROL_QUEUE,
        result_type=EvolutionSummary,
    )


def approve(team: Team, evolution: Evolution, *chosen: int) -> AbTest:
    with tenant(team.account.pk):
        return approve_proposals(evolution=evolution, chosen=chosen, actor=team.owner)


def refuse(team: Team, evolution: Evolution) -> None:
    with tenant(team.account.pk):
        refuse_proposals(evolution=evolution, actor=team.owner)


def look(team: Team, test: AbTest) -> tuple[str, int | None]:
    with tenant(team.account.pk):
        reading = look_at_experiment(test=test)
        return reading.proposal, reading.proposed_variant_id


def conclude(team: Team, test: AbTest, winner_id: int) -> None:
    with tenant(team.account.pk):
        conclude_experiment(test=test, winner=AbVariant.objects.get(pk=winner_id), actor=team.owner)


def current_version(team: Team) -> PromptVersion:
    with tenant(team.account.pk):
        version = Prompt.objects.select_related("current_version__parent_version").get(pk=team.prompt.pk)
        assert version.current_version is not None
        return version.current_version


def audited(team: Team) -> list[str]:
    with platform():
        events = AuditEvent.objects.filter(account_id=team.account.pk, action__startswith="evolution.")
        return list(events.order_by("created_at", "pk").values_list("action", flat=True))


def money_of(evolution: Evolution) -> tuple[Decimal, Decimal, bool]:
    """Of the asking: what the ledger says, what the run says, and whether its escrow is closed."""
    run = evolution.consultation
    assert run is not None
    with platform():
        ledger = sum((row.cost_usd for row in TokenUsage.objects.filter(agent_run_id=run.pk)), Decimal(0))
        escrow = BudgetReservation.objects.get(agent_run_id=run.pk)
        assert escrow.amount_usd == evolution.spending_cap_usd
        return ledger, run.cost_usd, escrow.closed_at is not None


async def test_a_weak_prompt_ends_as_a_promoted_winner(
    skipping: WorkflowEnvironment, gateway: GatewayServer, settings: object
):
    settings.GATEWAY_SOCKET = gateway.socket  # type: ignore[attr-defined]
    team: Team = await in_database(make_team)
    async with improving(skipping.client):
        handle = await start(skipping, team)
        proposed = await reached(team, EvolutionStatus.PROPOSED)
        first, second, third = candidates_of(proposed)
        assert (first.refusals, second.refusals) == ((), ())
        assert third.refusals == ("It drops `issue.title`.",)
        assert first.template.startswith(WEAK)
        assert "Run the tests before you change anything" in first.template
        assert proposed.mean_score < Decimal("0.4")
        assert proposed.runs_looked_at == 24
        assert await in_database(current_version, team) == proposed.parent_version

        test: AbTest = await in_database(approve, team, proposed, 0, 1)
        await OutboxSweep(skipping.client).sweep()
        await reached(team, EvolutionStatus.TESTING)
        await in_database(run_issues, team, 160)
        proposal, winner_id = await in_database(look, team, test)
        assert proposal == Proposal.PROMOTE
        await in_database(conclude, team, test, winner_id)
        assert await handle.result() == EvolutionSummary(proposed.pk)

    ended = await reached(team, EvolutionStatus.PROMOTED)
    winner = await in_database(current_version, team)
    assert winner.pk in [candidate.version_id for candidate in candidates_of(ended)]
    assert (winner.parent_version_id, winner.version in (2, 3)) == (proposed.parent_version_id, True)
    assert ended.consultation is not None
    assert ended.consultation.status == RunStatus.COMPLETED
    ledger, cost, is_closed = await in_database(money_of, ended)
    assert (ledger, is_closed) == (cost, True)
    assert cost > 0
    assert len(gateway.upstream.counters()["calls"]) == 1
    assert await in_database(audited, team) == [
        "evolution.policy_set",
        "evolution.opened",
        "evolution.proposed",
        "evolution.tried",
        "evolution.promoted",
    ]


async def test_without_a_gate_it_goes_on_by_itself_until_the_cap(
    skipping: WorkflowEnvironment, gateway: GatewayServer, settings: object
):
    settings.GATEWAY_SOCKET = gateway.socket  # type: ignore[attr-defined]
    terms = replace(TERMS, needs_approval=False, spending_cap_usd=Decimal("1.00"))
    team: Team = await in_database(make_team, terms)
    async with improving(skipping.client):
        handle = await start(skipping, team)
        testing = await reached(team, EvolutionStatus.TESTING)
        await in_database(run_issues, team, 12, cost_usd=Decimal("0.50"))
        await handle.result()
    capped = await reached(team, EvolutionStatus.CAPPED)
    assert await in_database(spent, team, capped) >= Decimal("1.00")
    assert testing.ab_test is not None
    assert testing.ab_test.rule["promotes_automatically"] is True
    assert capped.ab_test is not None
    assert capped.ab_test.status == AbTestStatus.PAUSED
    assert capped.decided_by is None
    assert "cap of this cycle is 1.00 USD" in capped.outcome


def spent(team: Team, evolution: Evolution) -> Decimal:
    with tenant(team.account.pk):
        return spent_usd(evolution)


async def test_what_nobody_decides_expires(skipping: WorkflowEnvironment, gateway: GatewayServer, settings: object):
    settings.GATEWAY_SOCKET = gateway.socket  # type: ignore[attr-defined]
    team: Team = await in_database(make_team)
    async with improving(skipping.client):
        await (await start(skipping, team)).result()
    expired = await reached(team, EvolutionStatus.EXPIRED)
    assert expired.outcome == "Nobody decided about the proposals within 14 days."


async def test_what_is_rejected_is_not_tried(skipping: WorkflowEnvironment, gateway: GatewayServer, settings: object):
    settings.GATEWAY_SOCKET = gateway.socket  # type: ignore[attr-defined]
    team: Team = await in_database(make_team)
    async with improving(skipping.client):
        handle = await start(skipping, team)
        await in_database(refuse, team, await reached(team, EvolutionStatus.PROPOSED))
        await OutboxSweep(skipping.client).sweep()
        await handle.result()
    rejected = await reached(team, EvolutionStatus.REJECTED)
    assert (rejected.ab_test, rejected.decided_by_id) == (None, team.owner.pk)
    assert (await in_database(current_version, team)).version == 1
