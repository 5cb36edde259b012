"""Budgets are set, replaced and removed by admins, each with an event in the audit log."""

from decimal import Decimal
from http import HTTPStatus

import pytest
from django.test import Client

from accounts.models import AuditEvent
from metrics.models import CostBudget
from metrics.operations import remove_budget
from metrics.querysets import BudgetUse, budgets_of
from paid.lib.tenancy import platform, tenant
from tests.dashboard.world import World
from tests.factories.projects import ProjectFactory

BUDGETS = "/a/northwind/settings/budgets/"


def events() -> list[tuple[str, str, dict[str, object]]]:
    with platform():
        rows = AuditEvent.objects.filter(object_type="cost_budget").order_by("created_at")
        return list(rows.values_list("action", "actor", "data"))


def limits() -> list[tuple[int | None, str, Decimal, bool]]:
    with platform():
        rows = CostBudget.objects.order_by("pk")
        return [(row.project_id, row.period, row.limit_usd, row.is_hard) for row in rows]


def test_a_budget_is_set_and_the_next_one_for_the_same_replaces_it(world: World, alice: Client):
    project = world.project.pk
    alice.post(f"{BUDGETS}set", {"project": project, "period": "month", "limit_usd": "40", "is_hard": "hard"})
    answer = alice.post(
        f"{BUDGETS}set", {"project": project, "period": "month", "limit_usd": "25.5", "is_hard": "soft"}
    )

    assert (answer.status_code, answer["Location"]) == (HTTPStatus.FOUND, BUDGETS)
    assert limits() == [(None, "day", Decimal(5), True), (project, "month", Decimal("25.5"), False)]
    common = {"project_id": project, "period": "month", "alert_threshold": "0.800"}
    assert events() == [
        ("cost_budget.created", "Alice Example", {**common, "limit_usd": "40", "is_hard": True}),
        ("cost_budget.changed", "Alice Example", {**common, "limit_usd": "25.5", "is_hard": False}),
    ]


def test_the_accounts_own_budget_is_one_row_too(world: World, alice: Client):
    alice.post(f"{BUDGETS}set", {"project": "", "period": "day", "limit_usd": "8", "is_hard": "hard"})

    assert limits() == [(None, "day", Decimal(8), True)]
    assert "$8.00" in alice.get("/a/northwind/").content.decode()


@pytest.mark.parametrize(
    ("limit", "reason"), [("-1", "greater than or equal to 0"), ("nan", "number"), ("", "required")]
)
def test_a_limit_that_is_none_is_told_at_its_field(world: World, alice: Client, limit: str, reason: str):
    answer = alice.post(f"{BUDGETS}set", {"project": "", "period": "day", "limit_usd": limit, "is_hard": "hard"})

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert reason in answer.content.decode()
    assert limits() == [(None, "day", Decimal(5), True)]
    assert events() == []


def test_another_accounts_project_cannot_be_chosen(world: World, alice: Client):
    foreign = ProjectFactory(name="Not theirs")
    answer = alice.post(f"{BUDGETS}set", {"project": foreign.pk, "period": "day", "limit_usd": "8", "is_hard": "hard"})

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Not theirs" not in answer.content.decode()
    assert limits() == [(None, "day", Decimal(5), True)]


def test_a_budget_is_removed_once_and_only_after_the_question(world: World, alice: Client):
    address = f"{BUDGETS}{world.budget.pk}/remove"
    assert "Remove this budget?" in alice.get(address).content.decode()
    assert len(limits()) == 1

    assert alice.post(address)["Location"] == BUDGETS
    assert alice.post(address).status_code == HTTPStatus.NOT_FOUND
    with tenant(world.account.pk):
        remove_budget(budget=world.budget, actor=world.alice)
    assert limits() == []
    assert [action for action, _, _ in events()] == ["cost_budget.removed"]


def test_what_is_spent_stands_beside_each_limit(world: World):
    with platform():
        world.account.cost_budgets.create(project=world.project, period="month", limit_usd=Decimal(20))
        world.account.cost_budgets.create(project=None, period="run", limit_usd=Decimal(2))
    with tenant(world.account.pk):
        uses = budgets_of(world.account.pk)

    assert [(use.budget.project_id, use.budget.period) for use in uses] == [
        (None, "day"),
        (None, "run"),
        (world.project.pk, "month"),
    ]
    day, run, month = uses
    assert day.spent_usd == month.spent_usd
    assert day.spent_usd is not None
    assert day.spent_usd > 0
    assert run == BudgetUse(run.budget, None, None)
    # The live run holds 0.5 less the 0.017295 that it has drawn; so does the one whose escrow nobody closed.
    assert (day.held_usd, month.held_usd) == (Decimal("0.899577550000"), day.held_usd)
    assert day.held_usd is not None
    assert day.left_usd == 5 - day.spent_usd - day.held_usd
    assert month.share == day.spent_usd / 20


def test_settings_lead_to_their_first_tab(world: World, bob: Client):
    assert bob.get("/a/northwind/settings/")["Location"] == "/a/northwind/settings/profile/"


def test_a_webhook_that_cannot_be_called_is_refused_on_its_form(world: World, alice: Client):
    answer = alice.post(f"{BUDGETS}webhook", {"url": "https://☃.com/x", "secret": "a-secret-of-the-receiver"})
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "No such host can be called: check how its name is spelled." in answer.content.decode()
