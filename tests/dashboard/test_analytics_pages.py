"""Costs and quality as their members see them. The walker in test_access.py keeps outsiders away from each address."""

from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus

from django.test import Client

from dashboard.forms.analytics import SpanForm
from tests.dashboard.world import World
from tests.factories.accounts import MembershipFactory, UserFactory
from tests.factories.agent_runs import AgentRunFactory
from tests.factories.metrics import QualityMetricFactory, TokenUsageFactory


def test_costs_are_told_by_project_model_prompt_and_person(world: World, bob: Client):
    page = bob.get("/a/northwind/costs/").content.decode()

    # The world's ledger: 0.05 and 0.03312745 USD of one run that Alice asked for.
    assert page.count('title="0.08312745 USD"') >= 5
    assert "Implement an issue v2" in page
    assert "Alice Example" in page
    assert "A forecast needs a week; there are 0 days." in page
    assert "The whole account" in page


def test_a_breakdown_can_be_taken_away_as_csv_exact_to_the_last_digit(world: World, bob: Client):
    answer = bob.get("/a/northwind/costs/project.csv")

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.content.decode().splitlines() == [
        "project,cost_usd,calls,unpriced_calls",
        "slugify,0.08312745,2,0",
    ]


def test_a_name_cannot_become_a_formula_in_a_spreadsheet(world: World, bob: Client):
    mallory = UserFactory(name="=HYPERLINK(1)")
    MembershipFactory(account=world.account, user=mallory)
    common = {"project": world.project, "prompt_version": world.run.prompt_version, "language_model": world.model}
    TokenUsageFactory(run=AgentRunFactory(requested_by=mallory, **common))

    assert "'=HYPERLINK(1),0.006,1,0" in bob.get("/a/northwind/costs/person.csv").content.decode()


def test_days_without_a_call_are_designed_not_left_over(world: World, bob: Client):
    page = bob.get("/a/northwind/costs/?since=2020-01-01&until=2020-01-05").content.decode()

    assert page.count("No model was called in these days.") == 4


def test_a_day_that_cannot_be_read_is_told_and_the_last_month_shown(world: World, bob: Client):
    answer = bob.get("/a/northwind/costs/?since=yesterday")

    assert answer.status_code == HTTPStatus.OK
    assert "Enter a valid date." in answer.content.decode()
    assert 'title="0.08312745 USD"' in answer.content.decode()


def test_a_span_is_a_year_at_most_and_never_ends_tomorrow():
    today = datetime(2026, 3, 31, tzinfo=UTC).date()
    spans = [SpanForm({"since": since, "until": until}).span(today) for since, until in (
        ("", ""), ("2020-01-01", "2030-01-01"), ("2026-03-05", "2026-03-01"), ("", "0001-01-03"),
    )]  # fmt: skip

    assert [(str(since), str(until)) for since, until in spans] == [
        ("2026-03-02", "2026-03-31"),
        ("2025-03-31", "2026-03-31"),
        ("2026-03-01", "2026-03-01"),
        ("0001-01-01", "0001-01-03"),
    ]


def test_quality_shows_versions_models_and_the_worst_run_and_says_what_is_not_known(world: World, bob: Client):
    before = bob.get("/a/northwind/quality/").content.decode()
    QualityMetricFactory(agent_run=world.failed_run, quality_score=Decimal("0.12"))
    after = bob.get("/a/northwind/quality/").content.decode()

    assert "No score yet" in before
    assert "Implement an issue v2" in before
    assert "No score yet" not in after
    assert f"/a/northwind/runs/{world.failed_run.pk}/" in after
    assert "0.12" in after
