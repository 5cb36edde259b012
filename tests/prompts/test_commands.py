"""`seed_prompts` and `sync_models`: what they write, that they can be run twice, and what they leave alone."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command

from paid.lib.tenancy import platform, tenant
from prompts.files import PromptFile, format_prompt_file, parse_prompt_file, seed_files
from prompts.models import LanguageModel, ModelPreference, ModelPrice, Prompt, PromptVersion, StyleGuide, TokenClass
from prompts.operations import PromptText, save_version
from prompts.registry import BEGINNING, GENAI_PRICES, Registry, RegistryModel, RegistryPrice, read_registry
from prompts.registry_sync import sync_registry
from prompts.seeding import Seeded, seed_prompt
from prompts.template_check import check_template
from tests.factories.accounts import UserFactory
from tests.factories.prompts import ModelPriceFactory

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SLUGS = [
    "coding.fix_ci",
    "coding.implement_issue",
    "meta.evolve_prompt",
    "meta.select_model",
    "planning.plan_issue",
    "review.respond",
]


def run(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("file", seed_files(), ids=lambda file: file.slug)
def test_a_seed_passes_the_check_and_survives_being_written_as_a_file(file):
    assert check_template(file.text.template).variables
    check_template(file.text.system_prompt, is_system_prompt=True)
    assert parse_prompt_file(format_prompt_file(file)) == file


@pytest.mark.django_db
def test_seeding_makes_global_prompts_that_tenants_can_read_and_is_idempotent():
    first = json.loads(run("seed_prompts", "--json"))
    assert [entry["slug"] for entry in first["prompts"]] == ["style guide", *SLUGS]
    assert {entry["result"] for entry in first["prompts"]} == {"created"}
    second = json.loads(run("seed_prompts", "--json"))
    assert {entry["result"] for entry in second["prompts"]} == {"unchanged"}
    with tenant(17):
        assert list(Prompt.objects.order_by("slug").values_list("slug", flat=True)) == SLUGS
        assert PromptVersion.objects.count() == len(SLUGS)
        assert StyleGuide.objects.count() == 1


@pytest.mark.django_db
def test_a_dry_run_of_seeding_changes_nothing():
    assert run("seed_prompts", "--dry-run").endswith("Dry run: nothing was changed.\n")
    with platform():
        assert Prompt.objects.count() == 0


@pytest.mark.django_db
def test_a_new_seed_replaces_a_seeded_version_but_not_a_persons():
    file = PromptFile("coding.x", "X", "coding", "", PromptText("One"))
    newer = PromptFile("coding.x", "X", "coding", "", PromptText("Two"))
    newest = PromptFile("coding.x", "X", "coding", "", PromptText("Three"))
    person = UserFactory()
    with platform():
        assert seed_prompt(file).result is Seeded.CREATED
        assert seed_prompt(newer).result is Seeded.UPDATED
        prompt = Prompt.objects.get(slug="coding.x")
        edited = save_version(
            prompt=prompt,
            text=PromptText("Mine"),
            actor=person,
            expected_parent=PromptVersion.objects.get(prompt=prompt, version=2),
        )
        assert edited.is_current
        assert seed_prompt(newest).result is Seeded.OFFERED
        assert seed_prompt(newest).result is Seeded.UNCHANGED
        prompt.refresh_from_db()
        assert prompt.current_version_id == edited.version.pk
        texts = list(PromptVersion.objects.filter(prompt=prompt).order_by("version").values_list("template", flat=True))
    assert texts == ["One", "Two", "Mine", "Three"]


@pytest.mark.django_db
def test_syncing_registers_models_with_exact_prices_and_is_idempotent():
    first = json.loads(run("sync_models", "--json"))
    assert "anthropic/claude-sonnet-4-5" in first["models_added"]
    assert "scripted/scripted-demo" in first["models_added"]
    second = json.loads(run("sync_models", "--json"))
    assert [second[key] for key in ("models_added", "models_changed", "prices_added", "preferences_added")] == [[]] * 4
    with tenant(17):
        prices = ModelPrice.objects.filter(language_model__model_id="claude-sonnet-4-5").order_by(
            "token_class", "threshold_tokens"
        )
        assert list(prices.values_list("token_class", "threshold_tokens", "usd_per_million")) == [
            ("cache_read", 0, Decimal("0.300000")),
            ("cache_read", 200000, Decimal("0.600000")),
            ("cache_write", 0, Decimal("3.750000")),
            ("cache_write", 200000, Decimal("7.500000")),
            ("cache_write_1h", 0, Decimal("6.000000")),
            ("cache_write_1h", 200000, Decimal("12.000000")),
            ("input", 0, Decimal("3.000000")),
            ("input", 200000, Decimal("6.000000")),
            ("output", 0, Decimal("15.000000")),
            ("output", 200000, Decimal("22.500000")),
        ]
        demo = LanguageModel.objects.get(model_id="scripted-demo")
        assert demo.is_scripted
        assert dict(demo.prices.values_list("token_class", "usd_per_million")) == {
            "input": Decimal("3.000000"),
            "output": Decimal("15.000000"),
            "cache_read": Decimal("0.300000"),
            "cache_write": Decimal("3.750000"),
            "cache_write_1h": Decimal("6.000000"),
        }
        assert ModelPreference.objects.filter(category="coding").count() == 3


@pytest.mark.django_db
def test_a_dry_run_of_syncing_changes_nothing():
    assert "Dry run: nothing was changed." in run("sync_models", "--dry-run")
    with platform():
        assert LanguageModel.objects.count() == 0


def test_a_tier_that_a_later_price_gave_up_is_ended_with_that_price():
    opus = next(model for model in read_registry().models if model.model_id == "claude-opus-4-6")
    inputs = [
        (price.threshold_tokens, price.starts_at, price.usd_per_million)
        for price in opus.prices
        if price.token_class == "input"
    ]
    changed = datetime(2026, 3, 13, tzinfo=UTC)
    assert inputs == [
        (0, BEGINNING, Decimal(5)),
        (200000, BEGINNING, Decimal(10)),
        (0, changed, Decimal(5)),
        (200000, changed, Decimal(5)),
    ]


def registry_with(*prices: tuple[datetime, str]) -> Registry:
    model = RegistryModel(
        provider="anthropic",
        model_id="m",
        name="M",
        context_window=1,
        abilities=(),
        agents=("claude_code",),
        is_scripted=False,
        prices=tuple(RegistryPrice(TokenClass.INPUT, 0, starts_at, Decimal(usd)) for starts_at, usd in prices),
        source=GENAI_PRICES,
    )
    return Registry((model,), {})


def stored_prices() -> list[tuple[datetime, Decimal]]:
    return list(ModelPrice.objects.order_by("starts_at").values_list("starts_at", "usd_per_million"))


@pytest.mark.django_db
def test_a_changed_price_without_a_date_starts_now_and_the_old_row_stays():
    with platform():
        sync_registry(registry=registry_with((BEGINNING, "3")), now=BEGINNING)
        sync_registry(registry=registry_with((BEGINNING, "4")), now=NOW)
        sync_registry(registry=registry_with((BEGINNING, "4")), now=NOW)
        assert stored_prices() == [(BEGINNING, Decimal(3)), (NOW, Decimal(4))]


@pytest.mark.django_db
def test_a_changed_price_with_a_date_starts_on_that_date():
    day = datetime(2026, 3, 13, tzinfo=UTC)
    with platform():
        sync_registry(registry=registry_with((BEGINNING, "3")), now=BEGINNING)
        sync_registry(registry=registry_with((BEGINNING, "3"), (day, "4")), now=NOW)
        assert stored_prices() == [(BEGINNING, Decimal(3)), (day, Decimal(4))]


@pytest.mark.django_db
def test_a_price_that_a_person_entered_stays_in_force():
    with platform():
        sync_registry(registry=registry_with((BEGINNING, "3")), now=BEGINNING)
        model = LanguageModel.objects.get()
        ModelPriceFactory(language_model=model, usd_per_million=Decimal(2), starts_at=datetime(2026, 5, 1, tzinfo=UTC))
        outcome = sync_registry(registry=registry_with((BEGINNING, "4")), now=NOW)
        assert outcome.prices_added == ()
        assert [price.usd_per_million for price in outcome.prices_kept] == ["4"]
        assert [usd for _, usd in stored_prices()] == [Decimal(3), Decimal(2)]


@pytest.mark.django_db
def test_syncing_does_not_switch_a_model_on_again_nor_touch_the_hosts_preferences():
    run("sync_models")
    with platform():
        LanguageModel.objects.filter(model_id="claude-opus-5").update(is_active=False)
        ModelPreference.objects.filter(category="coding", position__gt=0).delete()
    run("sync_models")
    with platform():
        assert not LanguageModel.objects.get(model_id="claude-opus-5").is_active
        assert ModelPreference.objects.filter(category="coding").count() == 1
