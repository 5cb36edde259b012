"""Override, then preferences, keys and price; the scripted model only where it is meant to be."""

from decimal import Decimal

import pytest

from paid.lib.tenancy import platform, tenant
from prompts.errors import NoModelAvailable
from prompts.models import LanguageModel, Stance
from prompts.selection import Selection, select_model
from tests.factories.accounts import AccountFactory, ProviderKeyFactory, global_account
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import LanguageModelFactory, ModelPreferenceFactory, ModelPriceFactory

pytestmark = pytest.mark.django_db


def model(model_id: str, usd: str | None = None, *, provider="anthropic", **fields) -> LanguageModel:
    fields = {"is_scripted": False, "agents": ["claude_code"], "account": global_account(), **fields}
    made = LanguageModelFactory(provider=provider, model_id=model_id, **fields)
    if usd is not None:
        ModelPriceFactory(language_model=made, token_class="output", usd_per_million=Decimal(usd))
    return made


@pytest.fixture
def large():
    return model("large", "25")


@pytest.fixture
def small(large):
    return model("small", "5")


@pytest.fixture
def scripted():
    return model("scripted-demo", "15", provider="scripted", is_scripted=True)


@pytest.fixture
def account(small, scripted):
    return AccountFactory()


@pytest.fixture
def project(account):
    return ProjectFactory(account=account)


@pytest.fixture
def key(account):
    return ProviderKeyFactory(account=account, provider="anthropic")


def select(project, category="coding", override=None) -> Selection:
    with tenant(project.account_id):
        return select_model(account=project.account, project=project, category=category, override=override)


def prefer(model: LanguageModel, *, stance=Stance.PREFER, account, **fields) -> None:
    ModelPreferenceFactory(
        account=account,
        stance=stance,
        provider="",
        language_model=model,
        model_account_id=model.account_id,
        **fields,
    )


def test_without_preferences_the_cheapest_with_a_key_is_chosen(project, key, small, large, scripted):
    selection = select(project)
    assert (selection.language_model, selection.selected_by) == (small, "rules")
    assert selection.reason == "The cheapest of 2 that can be used."
    assert selection.candidates_as_json() == [
        {
            "language_model_id": small.pk,
            "provider": "anthropic",
            "model_id": "small",
            "is_usable": True,
            "reason": "By its price.",
        },
        {
            "language_model_id": large.pk,
            "provider": "anthropic",
            "model_id": "large",
            "is_usable": True,
            "reason": "By its price.",
        },
        {
            "language_model_id": scripted.pk,
            "provider": "scripted",
            "model_id": "scripted-demo",
            "is_usable": False,
            "reason": "Scripted: a real model can be used.",
        },
    ]


def test_the_price_in_force_now_decides_and_an_unpriced_model_comes_last(project, key, small, large):
    model("unpriced")
    ModelPriceFactory(language_model=large, token_class="output", usd_per_million=1, starts_at="2026-02-01T00:00:00Z")
    ModelPriceFactory(language_model=small, token_class="output", usd_per_million=0, starts_at="2999-01-01T00:00:00Z")
    assert [c.model_id for c in select(project).candidates if c.is_usable] == ["large", "small", "unpriced"]


def test_preferences_go_by_nearness_then_category_then_position(project, account, key, small, large):
    other = model("other", "50")
    prefer(other, account=global_account(), category="coding")
    assert select(project).language_model == other
    assert select(project).reason == "Preferred for coding by the host."
    prefer(small, account=account, position=1)
    prefer(large, account=account, position=0)
    assert select(project).language_model == large
    assert select(project).reason == "Preferred by the account."
    prefer(other, account=account, category="coding", position=9)
    assert select(project).language_model == other
    prefer(small, account=account, project=project)
    assert select(project).language_model == small
    assert select(project).reason == "Preferred by the project."
    assert select(ProjectFactory(account=account), category="review").language_model == large


def test_a_requirement_of_the_nearest_scope_is_kept(project, account, key, small, large):
    prefer(small, account=account, stance=Stance.REQUIRE)
    prefer(large, account=account, stance=Stance.REQUIRE, project=project)
    selection = select(project)
    assert selection.language_model == large
    assert [c.reason for c in selection.candidates if c.model_id == "small"] == ["The project requires another one."]


def test_an_exclusion_holds_against_a_preference_and_an_override(project, account, key, small, large):
    prefer(small, account=account, project=project)
    prefer(small, account=account, stance=Stance.EXCLUDE)
    assert select(project).language_model == large
    with pytest.raises(NoModelAvailable, match="anthropic/small cannot be used: The account excludes it"):
        select(project, override=small)


def test_an_override_beats_preferences_and_requirements(project, account, key, small, large):
    prefer(small, account=account, stance=Stance.REQUIRE)
    selection = select(project, override=large)
    assert (selection.language_model, selection.selected_by) == (large, "override")
    assert selection.reason == "Asked for when the run was started."
    assert len(selection.candidates) == 1


def test_an_override_with_an_inactive_model_or_without_a_key_is_refused(project, small, large):
    with platform():
        LanguageModel.objects.filter(pk=large.pk).update(is_active=False)
    with pytest.raises(NoModelAvailable, match="anthropic/large is switched off"):
        select(project, override=large)
    with pytest.raises(NoModelAvailable, match="There is no key for anthropic: add one under Settings"):
        select(project, override=small)


def test_without_a_key_a_local_project_gets_the_scripted_model_and_is_told(project, scripted):
    selection = select(project)
    assert selection.language_model == scripted
    assert selection.reason == (
        "Scripted model: there is no key of a provider, so no real model can be used. "
        "Add one under Settings, Provider keys."
    )


def test_without_a_key_a_project_on_github_gets_no_model(account):
    with pytest.raises(NoModelAvailable, match=r"no key of a language model.s provider\. Add one"):
        select(ProjectFactory(account=account, forge="github", owner="o"))


def test_a_project_on_github_may_require_the_scripted_model(account, scripted):
    project = ProjectFactory(account=account, forge="github", owner="o")
    ModelPreferenceFactory(account=account, project=project, stance=Stance.REQUIRE, provider="scripted")
    assert select(project).reason == "Scripted model: the project requires it."


def test_a_sample_project_gets_the_scripted_model_whatever_the_account_has(account, key, scripted):
    ModelPreferenceFactory(account=account, stance=Stance.REQUIRE, provider="anthropic")
    project = ProjectFactory(account=account, settings={"is_demo": True})
    selection = select(project)
    assert selection.language_model == scripted
    assert selection.reason == "Scripted model: this is a sample project."


def test_a_trial_model_is_only_used_when_asked_for(project, scripted):
    trial = model("a-stall", "1", provider="scripted", is_scripted=True, abilities=["trial"])
    assert select(project).language_model == scripted
    assert select(project, override=trial).reason == "Asked for when the run was started. It is a scripted model."


def test_the_hosts_key_serves_everybody_a_revoked_one_nobody(project, account, small):
    ProviderKeyFactory(account=account, revoked_at="2026-01-01T00:00:00Z")
    assert select(project).language_model.is_scripted
    ProviderKeyFactory(account=global_account())
    assert select(project).language_model == small


def test_anothers_key_and_anothers_model_do_not_count(project):
    stranger = AccountFactory()
    ProviderKeyFactory(account=stranger)
    model("theirs", "1", account=stranger)
    assert select(project).language_model.is_scripted


def test_an_accounts_own_row_takes_the_place_of_the_global_one(project, account, key, small):
    own = model("small", "1", account=account)
    selection = select(project)
    assert selection.language_model == own
    assert [c.language_model_id for c in selection.candidates if c.model_id == "small"] == [own.pk]


def test_no_registered_model_says_what_to_run():
    with pytest.raises(NoModelAvailable, match=r"No language model is registered.*Run `manage.py sync_models`"):
        select(ProjectFactory())
