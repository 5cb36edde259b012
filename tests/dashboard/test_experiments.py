"""Experiments' pages: made as a draft, led through their life, and read with figures that hold at every look."""

import re
from decimal import Decimal
from http import HTTPStatus

import pytest
from django.test import Client

from metrics.experiments.operations import look_at_experiment
from metrics.experiments.units import Unit
from metrics.models import ExperimentReading
from paid.lib.tenancy import platform, tenant
from prompts.experiments.operations import pause_experiment
from prompts.models import AbTest, AbTestStatus, AbVariant, ExperimentMetric, Prompt
from tests.dashboard.experimenting import populate, running_experiment
from tests.dashboard.world import World
from tests.factories.prompts import PromptVersionFactory, prompt_with_version

LIST = "/a/northwind/experiments/"


def address(test: AbTest, step: str = "") -> str:
    return f"{LIST}{test.pk}/{step}"


def again(test: AbTest) -> AbTest:
    with platform():
        return AbTest.objects.select_related("prompt", "winner").get(pk=test.pk)


def text_of(client: Client, path: str) -> str:
    """The words of a page, without tags, one space between them."""
    html = client.get(path, follow=True).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def filled(**fields: object) -> dict[str, object]:
    return {
        "name": "Less text",
        "hypothesis": "Shorter is better.",
        "control_version": "2",
        "control_weight": 1,
        "treatment_1_version": "1",
        "treatment_1_weight": 3,
        "treatment_1_name": "shorter",
        "treatment_2_version": "",
        "treatment_2_weight": 1,
        "treatment_3_version": "",
        "treatment_3_weight": 1,
        "metric": "cost",
        "metric_cap": "2.50",
        "traffic_percent": "50",
        "holdout_percent": "5",
        "alpha": "0.05",
        "smallest_effect": "2",
        "minimum_subjects": 40,
        "maximum_subjects": 900,
        "maturity_days": 3,
        "failure_tolerance": "5",
        "cost_cap_usd": "",
        "cost_tolerance": "10",
        "is_adjusted": "on",
        **fields,
    }


def test_a_draft_is_made_with_everything_that_the_form_asks(world: World, bob: Client):
    answer = bob.post(f"{LIST}new?prompt={world.prompt.pk}", filled())

    with platform():
        test = AbTest.objects.get(name="Less text")
        arms = list(
            AbVariant.objects.filter(ab_test=test)
            .order_by("-is_control")
            .values_list("name", "prompt_version__version", "weight")
        )
    assert answer.status_code == HTTPStatus.FOUND
    assert answer["Location"] == address(test)
    assert arms == [("control", 2, 1), ("shorter", 1, 3)]
    assert (test.status, test.created_by_id, test.metric, test.metric_cap) == (
        AbTestStatus.DRAFT,
        world.bob.pk,
        "cost",
        Decimal("2.5"),
    )
    assert (test.traffic_share, test.holdout_share) == (Decimal("0.5"), Decimal("0.05"))
    assert test.rule == {
        "alpha": 0.05,
        "smallest_worthwhile_effect": 0.02,
        "minimum_subjects": 40,
        "maximum_subjects": 900,
        "maturity_hours": 72,
        "is_adjusted": True,
        "promotes_automatically": False,
        "guardrails": [{"metric": "failure_rate", "tolerance": 0.05, "cap_usd": None}],
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric_cap": ""}, "say from where on they are the worst"),
        ({"treatment_1_version": "2"}, "Two variants have the same version"),
        ({"maximum_subjects": 50}, "Give at least twice the issues per variant"),
        ({"treatment_1_name": "control"}, "Two variants have the same name"),
        ({"control_weight": 0}, "greater than or equal to 1"),
        ({"treatment_1_version": "77"}, "77 is not one of the available choices"),
    ],
)
def test_a_mistake_comes_back_with_its_reason_and_makes_nothing(world: World, bob: Client, change, words):
    answer = bob.post(f"{LIST}new?prompt={world.prompt.pk}", filled(**change))

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert words in answer.content.decode()
    assert 'value="Less text"' in answer.content.decode()
    with platform():
        assert AbTest.objects.count() == 1


def test_the_prompts_that_can_be_chosen_have_two_versions_and_are_ones_own_or_global(world: World, bob: Client):
    prompt_with_version(account=world.account, name="Has one version", slug="coding.alone")
    foreign = prompt_with_version(name="Of a stranger", slug="coding.foreign")
    PromptVersionFactory(prompt=foreign, version=2)
    page = text_of(bob, f"{LIST}new")

    assert "Implement an issue (coding.implement_issue)" in page
    assert "Has one version" not in page
    assert "Of a stranger" not in page
    assert bob.get(f"{LIST}new?prompt={foreign.pk}").status_code == HTTPStatus.NOT_FOUND
    assert bob.get(f"{LIST}new?prompt=x").status_code == HTTPStatus.NOT_FOUND


def test_a_prompt_with_one_version_says_what_to_do_first(world: World, bob: Client):
    alone = prompt_with_version(account=world.account, slug="coding.alone")

    assert "this prompt has one. Write another first." in text_of(bob, f"{LIST}new?prompt={alone.pk}")


def test_an_admin_starts_pauses_resumes_and_ends_it(world: World, alice: Client):
    test = world.experiment
    seen = []
    for step in ("start", "pause", "resume"):
        question = alice.get(address(test, step)).content.decode()
        said = alice.post(address(test, step), follow=True).content.decode()
        seen.append((again(test).status, f"{step.capitalize()} this experiment?" in question, "notice-success" in said))
    alice.post(address(test, "conclude"), {"winner": "keep", "reason": "No difference that matters."})

    assert seen == [("running", True, True), ("paused", True, True), ("running", True, True)]
    ended = again(test)
    assert (ended.status, ended.outcome, ended.decided_by_id, ended.decision_reason) == (
        "completed",
        "control_kept",
        world.alice.pk,
        "No difference that matters.",
    )
    page = text_of(alice, address(test))
    assert "The control was kept No difference that matters. Decided by Alice Example" in page
    assert page.index("kept the control and ended it") < page.index("resumed it") < page.index("started it")


def test_a_member_may_pause_but_neither_start_nor_end(world: World, bob: Client):
    test = running_experiment(world)
    refused = {step: bob.post(address(test, step)).status_code for step in ("start", "resume", "conclude")}
    bob.post(address(test, "pause"))

    assert set(refused.values()) == {HTTPStatus.FORBIDDEN}
    assert again(test).status == AbTestStatus.PAUSED
    page = bob.get(address(test)).content.decode()
    assert "/resume" not in page
    assert "/conclude" not in page


def test_a_viewers_page_offers_nothing(world: World, vera: Client):
    test = running_experiment(world)
    pages = vera.get(address(test)).content.decode() + vera.get(LIST).content.decode()

    assert "A failing test first, or a shorter text" in pages
    for step in ("/look", "/pause", "/conclude", "/new"):
        assert step not in pages


def test_every_refusal_is_said_in_words(world: World, alice: Client):
    running = running_experiment(world)
    cases = {
        (world.experiment, "start"): "Another experiment runs on this prompt already.",
        (running, "start"): "The experiment has gone on in the meantime.",
        (running, "resume"): "The experiment has gone on in the meantime.",
        (running, "delete"): "It has begun, so it is history and stays.",
        (world.experiment, "pause"): "The experiment has gone on in the meantime.",
        (world.experiment, "look"): "It does not run, so there is nothing new to see.",
        (world.experiment, "conclude"): "The experiment has gone on in the meantime.",
    }
    said = {key: alice.post(address(*key), {"winner": "keep"}, follow=True).content.decode() for key in cases}

    assert {key: words in said[key] for key, words in cases.items()} == dict.fromkeys(cases, True)
    assert (again(running).status, again(world.experiment).status) == (AbTestStatus.RUNNING, AbTestStatus.DRAFT)


def test_a_draft_is_deleted_after_a_question(world: World, bob: Client):
    question = bob.get(address(world.experiment, "delete"), headers={"HX-Request": "true"}).content.decode()
    page = bob.post(address(world.experiment, "delete"), follow=True).content.decode()

    assert "Delete this draft?" in question
    assert "<html" not in question
    assert "The draft “A failing test first” is deleted." in page
    with platform():
        assert not AbTest.objects.exists()


def test_the_page_shows_variants_effects_guardrails_and_the_proposal(world: World, alice: Client):
    test = running_experiment(world)
    populate(world, test, 160, {"test first": 0.3})
    alice.post(address(test, "look"))
    page = text_of(alice, address(test))
    with platform():
        kept = ExperimentReading.objects.get(ab_test=test)
        comparison = next(one for one in kept.content["comparisons"] if one["name"] == "test first")
    unit = Unit()

    assert kept.proposal == "promote"
    assert "Promote “test first” “test first” is better than the control" in page
    assert unit.effect(comparison["effect"]) in page
    assert f"Better {unit.interval(comparison['lower'], comparison['upper'])}, at 95 %" in page
    assert "160 of 160 issues have an outcome that counts" in page
    assert "Valid for one look only" in page
    assert "Failed runs" in page
    assert "as set" in page
    assert "Mean of the last 30 scored runs" in page
    assert "Paid proposed to promote a variant" in page
    html = alice.get(address(test)).content.decode()
    assert html.count('data-variant="control"') + html.count('data-variant="test first"') > 60
    assert html.count("data-low=") == sum(len(one["path"]) for one in kept.content["comparisons"])


def test_the_winner_that_an_admin_promotes_is_in_use(world: World, alice: Client):
    test = running_experiment(world)
    with platform():
        winner = AbVariant.objects.get(ab_test=test, name="half as long")
    alice.post(address(test, "conclude"), {"winner": winner.pk, "reason": ""})

    ended = again(test)
    with platform():
        current = Prompt.objects.get(pk=world.prompt.pk).current_version_id
    assert (ended.outcome, ended.winner_id, current) == ("promoted", winner.pk, winner.prompt_version_id)
    assert "“half as long” was promoted" in text_of(alice, address(test))


def test_ending_without_a_winner_says_what_stays_in_use(world: World, alice: Client):
    test = running_experiment(world)

    asked = alice.get(address(test, "conclude")).content.decode()
    assert "Promote nothing (v2 stays in use)" in asked
    assert "Keep the control (v2)" in alice.get(address(world.experiment, "conclude")).content.decode()


def test_a_variant_of_another_experiment_wins_nothing(world: World, alice: Client):
    test = running_experiment(world)
    with platform():
        foreign = AbVariant.objects.filter(ab_test=world.experiment, is_control=False).get()
    answer = alice.post(address(test, "conclude"), {"winner": foreign.pk})

    assert "is not one of the available choices" in answer.content.decode()
    assert again(test).status == AbTestStatus.RUNNING


def test_the_list_is_narrowed_by_status_and_prompt_and_goes_on_after_a_page(world: World, vera: Client, monkeypatch):
    running = running_experiment(world)
    with tenant(world.account.pk):
        pause_experiment(test=running, actor=world.alice)
    monkeypatch.setattr("dashboard.views.experiments.PAGE_SIZE", 1)

    first = vera.get(LIST).content.decode()
    assert running.name in first
    assert f"?before={running.pk}" in first
    assert "A failing test first<" in vera.get(f"{LIST}?before={running.pk}").content.decode()
    assert running.name in vera.get(f"{LIST}?status=paused&prompt={world.prompt.pk}").content.decode()
    assert "No experiment matches." in vera.get(f"{LIST}?status=completed").content.decode()
    for before in ("-1", "9" * 5_000):
        assert vera.get(f"{LIST}?status=odd&before={before}&prompt=%00").status_code == HTTPStatus.OK


def test_who_has_none_is_told_what_an_experiment_is(world: World, charlie: Client):
    page = text_of(charlie, "/a/elsewhere/experiments/")

    assert "No experiments yet An experiment gives some issues one version of a prompt and some another" in page


def test_the_prompt_and_the_run_lead_to_their_experiment(world: World, bob: Client):
    test = running_experiment(world)
    populate(world, test, 1, {})
    with platform():
        run_id = AbVariant.objects.get(ab_test=test, agent_runs__isnull=False).agent_runs.get().pk

    prompt_page = text_of(bob, f"/a/northwind/prompts/{world.prompt.pk}/")
    assert "Start an experiment" in prompt_page
    assert f"Runs in experiment {test.name} : v1 against v2 against v3" in prompt_page
    run_page = bob.get(f"/a/northwind/runs/{run_id}/").content.decode()
    assert f'<a href="{address(test)}">{test.name}</a>' in run_page


def test_a_reading_in_an_old_shape_counts_as_none(world: World, vera: Client):
    test = running_experiment(world)
    with tenant(world.account.pk):
        look_at_experiment(test=test)
    with platform():
        ExperimentReading.objects.filter(ab_test=test).update(content={"arms": "many"})

    assert vera.get(address(test)).status_code == HTTPStatus.OK
    assert vera.get(LIST).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("unit", "level", "whole"),
    [
        (Unit(), "62.5 %", "+5.0 points (−1.0 to +11.0)"),
        (Unit(ExperimentMetric.COST, 2.0), "$0.750", "−$0.100 (−$0.220 to +$0.020)"),
        (Unit(ExperimentMetric.ITERATIONS, 20.0), "7.5", "−1.0 iterations (−2.2 to +0.2)"),
    ],
)
def test_effects_are_said_in_the_metrics_unit(unit: Unit, level: str, whole: str):
    assert (unit.level(0.625), unit.whole(0.05, -0.01, 0.11)) == (level, whole)
    assert (unit.level(None), unit.effect(None)) == ("–", "–")
