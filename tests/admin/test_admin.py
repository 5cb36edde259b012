"""The admin: for the host's staff alone, by the same operations as the pages, and nothing of the past is changed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import Account, ApiToken, AuditEvent, Membership, ProviderKey, Role, User
from agent_runs.models import AgentRun
from metrics.models import CostBudget
from paid.lib.addresses import AddressRefused
from paid.lib.tenancy import platform
from prompts.errors import StyleGuideExists
from prompts.models import LanguageModel, ModelPreference, ModelPrice, Prompt, PromptLabel, PromptVersion, StyleGuide
from prompts.operations import PromptText, create_prompt, save_version
from prompts.style_guide_operations import GuideText, change_style_guide, create_style_guide, remove_style_guide
from tests.factories.accounts import AccountFactory, ApiTokenFactory, UserFactory, account_with_owner, global_account
from tests.factories.agent_runs import AgentRunFactory, AgentRunLogFactory
from tests.factories.metrics import TokenUsageFactory
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import LanguageModelFactory, ModelPriceFactory, PromptLabelFactory, PromptVersionFactory

pytestmark = pytest.mark.django_db


def sign_in(client, user) -> None:
    with platform():
        client.force_login(user)


@pytest.fixture
def staff():
    return UserFactory(is_staff=True, name="Alice")


@pytest.fixture
def page(client, staff):
    sign_in(client, staff)
    return client


@pytest.fixture
def version(staff):
    with platform():
        return create_prompt(
            account_id=0,
            slug="coding.x",
            name="X",
            category="coding",
            text=PromptText("One {{ issue.title }}"),
            actor=staff,
        )


def prompt_form(**fields) -> dict[str, object]:
    return {
        "name": "X",
        "category": "coding",
        "description": "",
        "template": "One {{ issue.title }}",
        "system_prompt": "",
        "change_notes": "",
        "based_on": 1,
        **fields,
    }


def change_url(row) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def errors(response) -> list[str]:
    return [str(error) for field in response.context["adminform"].form.errors.values() for error in field]


def test_who_is_not_signed_in_or_not_of_the_staff_is_sent_to_the_sign_in_page(client):
    response = client.get("/admin/")
    assert (response.status_code, response["Location"]) == (302, "/admin/login/?next=/admin/")
    response = client.get(response["Location"])
    assert (response.status_code, response["Location"]) == (302, "/sign-in/?next=/admin/")
    account, owner = account_with_owner()
    sign_in(client, owner)
    for path in ("/admin/", "/admin/prompts/prompt/", f"/admin/accounts/account/{account.pk}/change/"):
        assert client.get(path).status_code == 302
    assert client.get("/admin/login/?next=/admin/")["Location"] == "/sign-in/?next=/"


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str), ids=lambda model: model.__name__)
def test_every_list_and_search_of_the_admin_opens_and_holds_no_inline_style_or_script(page, model):
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    for query in ("", "?q=7"):
        response = page.get(url + query)
        assert response.status_code == 200
        html = response.content.decode()
        assert "<style" not in html
        assert " style=" not in html
        assert "<script>" not in html
        assert "'unsafe" not in response["Content-Security-Policy"]


def test_a_changed_text_becomes_a_new_version_and_the_old_one_stays(page, version, staff):
    response = page.post(
        change_url(version.prompt), prompt_form(template="Two\r\n{{ issue.body }}", change_notes="Body"), follow=True
    )
    assert "Version 2 is saved and current." in response.content.decode()
    with platform():
        versions = list(PromptVersion.objects.order_by("version"))
        assert [entry.template for entry in versions] == ["One {{ issue.title }}", "Two\n{{ issue.body }}"]
        assert (versions[1].created_by, versions[1].parent_version, versions[1].change_notes) == (
            staff,
            version,
            "Body",
        )
        assert versions[1].variables == ["issue.body"]
        assert Prompt.objects.get().current_version == versions[1]
        assert AuditEvent.objects.filter(action="prompt.version_saved", actor_user_id=staff.pk).count() == 1


def test_saving_without_a_change_makes_no_version_and_a_new_name_is_no_version(page, version):
    assert page.post(change_url(version.prompt), prompt_form(name="Y")).status_code == 302
    with platform():
        assert PromptVersion.objects.count() == 1
        assert Prompt.objects.get().name == "Y"


def test_a_wrong_template_is_refused_with_its_line(page, version):
    response = page.post(change_url(version.prompt), prompt_form(template="a\n{{ issue.titel }}"))
    assert errors(response) == ["Line 2: There is no field `titel`. Did you mean `title`?"]
    with platform():
        assert PromptVersion.objects.count() == 1


def test_who_saves_second_is_told_and_loses_no_text(page, version):
    with platform():
        save_version(prompt=version.prompt, text=PromptText("Two"), actor=None, expected_parent=version)
    response = page.post(change_url(version.prompt), prompt_form(template="Mine"), follow=True)
    html = response.content.decode()
    assert "Your text is saved as version 3, but is not current: version 2 by Paid is, meanwhile." in html
    with platform():
        assert PromptVersion.objects.get(version=3).template == "Mine"
        current = Prompt.objects.get().current_version
        assert current is not None
        assert current.version == 2


def test_a_prompt_is_created_with_its_first_version(page):
    account = AccountFactory()
    fields = prompt_form(account=account.pk, project="", slug="coding.y")
    assert page.post(reverse("admin:prompts_prompt_add"), fields).status_code == 302
    with platform():
        prompt = Prompt.objects.get(slug="coding.y")
        assert (prompt.account, prompt.scope) == (account, "account")
        assert prompt.current_version is not None
    assert errors(page.post(reverse("admin:prompts_prompt_add"), fields)) == [
        "There is a prompt with this slug in this scope already. Edit that one."
    ]


def test_the_page_of_a_prompt_shows_lineage_and_comparison_and_promotes(page, version):
    with platform():
        second = save_version(prompt=version.prompt, text=PromptText("Two"), actor=None, expected_parent=version)
        branch = save_version(prompt=version.prompt, text=PromptText("Three"), actor=None, expected_parent=version)
    response = page.get(change_url(version.prompt))
    lineage = [
        (entry.version.version, entry.parent_number, entry.depth, entry.is_current)
        for entry in response.context["lineage"]
    ]
    assert lineage == [(1, None, 0, False), (3, 1, 1, False), (2, 1, 0, True)]
    url = reverse("admin:prompts_prompt_compare", args=[version.prompt_id])
    html = page.get(f"{url}?left=1&right=2").content.decode()
    assert "One {{ issue.title }}</td>" in html
    assert '<tr class="changed">' in html
    assert page.get(f"{url}?left=99").status_code == 404
    promote = reverse("admin:prompts_prompt_promote", args=[version.prompt_id, branch.version.pk])
    assert page.get(promote).status_code == 302
    with platform():
        assert Prompt.objects.get().current_version == second.version
    assert page.post(promote).status_code == 302
    with platform():
        assert Prompt.objects.get().current_version == branch.version


def test_actions_roll_back_and_withdraw(page, version):
    with platform():
        save_version(prompt=version.prompt, text=PromptText("Two"), actor=None, expected_parent=version)
    url = reverse("admin:prompts_prompt_changelist")
    selected = {"_selected_action": [version.prompt_id]}
    page.post(url, {"action": "roll_back_selected", **selected})
    with platform():
        assert Prompt.objects.get().current_version == version
    html = page.post(url, {"action": "roll_back_selected", **selected}, follow=True).content.decode()
    assert "There is no earlier version to go back to." in html
    page.post(url, {"action": "withdraw_selected", **selected})
    with platform():
        assert Prompt.objects.get().current_version is None
    assert page.get(change_url(version.prompt)).status_code == 200


def test_prompts_are_found_by_the_words_of_their_text(page, version):
    with platform():
        create_prompt(account_id=0, slug="a.b", name="B", category="coding", text=PromptText("Mend it"), actor=None)
    response = page.get(reverse("admin:prompts_prompt_changelist") + "?q=mending")
    assert [prompt.slug for prompt in response.context["cl"].result_list] == ["a.b"]


def price_form(model: LanguageModel, **price) -> dict[str, object]:
    first = {"token_class": "output", "threshold_tokens": 0, "usd_per_million": "4", **price}
    return {
        "name": model.name,
        "context_window": 1,
        "max_output_tokens": 1,
        "is_active": "on",
        "prices-TOTAL_FORMS": 1,
        "prices-INITIAL_FORMS": 0,
        "prices-0-starts_at_0": "2026-06-01",
        "prices-0-starts_at_1": "00:00:00",
        **{f"prices-0-{name}": value for name, value in first.items()},
    }


def test_a_new_price_starts_and_an_old_one_cannot_be_changed(page):
    model = LanguageModelFactory(account=global_account(), provider="anthropic", model_id="m")
    ModelPriceFactory(language_model=model, token_class="output", usd_per_million=3)
    assert page.post(change_url(model), price_form(model)).status_code == 302
    with platform():
        prices = ModelPrice.objects.order_by("starts_at").values_list("usd_per_million", "starts_at", "account_id")
        assert list(prices) == [
            (Decimal(3), datetime(2026, 1, 1, tzinfo=UTC), 0),
            (Decimal(4), datetime(2026, 6, 1, tzinfo=UTC), 0),
        ]
        event = AuditEvent.objects.get(action="model.price_started")
        assert event.data["usd_per_million"] == "4"
    html = page.get(change_url(model)).content.decode()
    assert 'name="prices-0-usd_per_million"' not in html
    assert page.get(change_url(model).replace("change", "delete")).status_code == 403


def test_a_preference_may_name_a_global_model_but_not_another_accounts(page):
    account = AccountFactory()
    shared = LanguageModelFactory(account=global_account())
    theirs = LanguageModelFactory()
    fields = {"account": account.pk, "stance": "prefer", "position": 0, "provider": "", "project": ""}
    url = reverse("admin:prompts_modelpreference_add")
    assert errors(page.post(url, {**fields, "language_model": theirs.pk})) == ["This belongs to another account."]
    assert page.post(url, {**fields, "language_model": shared.pk}).status_code == 302
    with platform():
        preference = ModelPreference.objects.get()
        assert (preference.model_account_id, preference.language_model_id) == (0, shared.pk)
        assert AuditEvent.objects.get(action="model_preference.created").account_id == account.pk


def test_a_preference_without_a_target_is_told_on_the_form(page):
    fields = {"account": AccountFactory().pk, "stance": "prefer", "position": 0, "provider": "", "language_model": ""}
    told = errors(page.post(reverse("admin:prompts_modelpreference_add"), fields))
    assert told == ["A preference is about either a provider or one model. Choose one of the two."]


def test_a_style_guide_is_saved_by_the_pages_operation_and_not_over_anothers_text(page):
    account = AccountFactory()
    fields = {"account": account.pk, "project": "", "name": "Ours", "language": "", "raw_text": "One.\n\nTwo."}
    assert page.post(reverse("admin:prompts_styleguide_add"), fields).status_code == 302
    with platform():
        guide = StyleGuide.objects.get()
        assert (guide.compressed_text, guide.account_id) == ("One.\nTwo.", account.pk)
    opened = {**fields, "opened_at": guide.updated_at.isoformat(), "compressed_text": "One. Two."}
    assert page.post(change_url(guide), {**opened, "raw_text": "Three."}).status_code == 302
    assert "Somebody saved this style guide since you began." in errors(page.post(change_url(guide), opened))[0]
    with platform():
        assert StyleGuide.objects.get().raw_text == "Three."
        actions = AuditEvent.objects.filter(object_type="style_guide").order_by("created_at")
        assert list(actions.values_list("action", flat=True)) == ["style_guide.created", "style_guide.changed"]


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Lets somebody else, on a connection of their own, `act` and commit before a lock is first asked for."""
    acts = [act]

    def as_another() -> None:
        try:
            with platform():
                acts.pop()()
        finally:
            connection.close()

    def before(execute: Any, sql: str, *rest: Any) -> Any:
        if "FOR UPDATE" in sql and acts:
            with ThreadPoolExecutor(1) as others:
                others.submit(as_another).result(20)
        return execute(sql, *rest)

    with connection.execute_wrapper(before):
        yield
    assert acts == []


@pytest.fixture
def guide(transactional_db: None) -> StyleGuide:
    with platform():
        text = GuideText("Ours", "One.", "", "")
        return create_style_guide(account_id=AccountFactory().pk, text=text, actor=None)


def as_opened(guide: StyleGuide, **fields: str) -> dict[str, str]:
    opened = {"project": "", "name": "Ours", "language": "", "raw_text": "Mine.", "compressed_text": ""}
    return {**opened, "opened_at": guide.updated_at.isoformat(), **fields}


def test_a_style_guide_that_is_saved_by_another_at_the_last_moment_is_told_on_the_form(guide: StyleGuide, page: Client):
    def save() -> None:
        text = GuideText("Ours", "Theirs.", "", "")
        change_style_guide(guide=guide, text=text, actor=None, expected_updated_at=guide.updated_at)

    with meanwhile(save):
        answer = page.post(change_url(guide), as_opened(guide))
    assert "Somebody saved this style guide since you began." in errors(answer)[0]
    assert answer.context["adminform"].form["raw_text"].value() == "Mine."
    with platform():
        assert StyleGuide.objects.get().raw_text == "Theirs."


def test_a_name_that_another_gives_to_a_style_guide_at_the_last_moment_is_told_on_the_form(
    guide: StyleGuide, page: Client
):
    text = GuideText("Theirs", "Theirs.", "", "")
    with meanwhile(lambda: create_style_guide(account_id=guide.account_id, text=text, actor=None)):
        answer = page.post(change_url(guide), as_opened(guide, name="Theirs"))
    assert errors(answer) == [str(StyleGuideExists())]
    assert answer.context["adminform"].form["raw_text"].value() == "Mine."
    with platform():
        assert set(StyleGuide.objects.values_list("name", "raw_text")) == {("Ours", "One."), ("Theirs", "Theirs.")}


def test_a_style_guide_that_is_removed_at_the_last_moment_gives_the_text_back_as_a_new_one(
    guide: StyleGuide, page: Client
):
    with meanwhile(lambda: remove_style_guide(guide=guide, actor=None)):
        answer = page.post(change_url(guide), as_opened(guide))
    assert "was removed meanwhile" in answer.content.decode()
    assert answer.context["adminform"].form["raw_text"].value() == "Mine."
    assert page.post(change_url(guide), as_opened(guide, account=str(guide.account_id))).status_code == 302
    with platform():
        kept = StyleGuide.objects.get()
        assert (kept.account_id, kept.raw_text, kept.pk == guide.pk) == (guide.account_id, "Mine.", False)


def test_a_budget_of_another_accounts_project_is_refused(page):
    account, project = AccountFactory(), ProjectFactory()
    url = reverse("admin:metrics_costbudget_add")
    fields = {"account": account.pk, "project": project.pk, "period": "day", "limit_usd": "5", "alert_threshold": "0.8"}
    assert errors(page.post(url, fields)) == ["This belongs to another account."]
    assert page.post(url, {**fields, "project": ""}).status_code == 302
    with platform():
        assert CostBudget.objects.get().limit_usd == Decimal(5)


def membership_form(account: Account, *rows: dict[str, object]) -> dict[str, object]:
    fields = {
        "name": account.name,
        "plan": "free",
        "billing_email": "",
        "settings": "{}",
        "memberships-TOTAL_FORMS": len(rows),
        "memberships-INITIAL_FORMS": sum("id" in row for row in rows),
    }
    for index, row in enumerate(rows):
        fields |= {f"memberships-{index}-{name}": value for name, value in row.items()}
    return fields


def test_an_account_begins_with_an_owner_and_keeps_one(page):
    owner, other = UserFactory(), UserFactory()
    url = reverse("admin:accounts_account_add")
    assert page.post(url, {"name": "Acme", "slug": "acme", "owner": owner.pk}).status_code == 302
    with platform():
        account = Account.objects.get(slug="acme")
        membership = Membership.objects.get(account=account)
        assert (membership.user, membership.role) == (owner, Role.OWNER)
    demoted = {"id": membership.pk, "account": account.pk, "user": owner.pk, "role": "viewer"}
    response = page.post(change_url(account), membership_form(account, demoted))
    assert "An account needs an owner. Make somebody else an owner first." in response.content.decode()
    added = {"account": account.pk, "user": other.pk, "role": "owner"}
    assert page.post(change_url(account), membership_form(account, demoted, added)).status_code == 302
    with platform():
        assert dict(Membership.objects.filter(account=account).values_list("user_id", "role")) == {
            owner.pk: "viewer",
            other.pk: "owner",
        }


def test_a_person_gets_a_hashed_password_and_a_unique_address(page):
    url = reverse("admin:accounts_user_add")
    fields = {"email": "New@Example.com", "name": "New", "is_active": "on", "new_password": "a-long-enough-secret"}
    assert errors(page.post(url, {**fields, "new_password": ""})) == ["A new person needs a password."]
    assert page.post(url, fields).status_code == 302
    with platform():
        user = User.objects.get(email="New@example.com")
        assert user.check_password("a-long-enough-secret")
        assert user.password.startswith("argon2")
    assert errors(page.post(url, {**fields, "email": "new@EXAMPLE.com"})) == ["Somebody has this address already."]


def test_a_key_is_sealed_never_shown_and_revoked(page):
    fields = {"account": 0, "provider": "anthropic", "name": "Host", "base_url": "", "secret": "sk-very-secret"}
    inner = page.post(reverse("admin:accounts_providerkey_add"), {**fields, "base_url": "http://169.254.169.254"})
    assert errors(inner) == [str(AddressRefused("PROVIDER_HOSTS"))]
    assert page.post(reverse("admin:accounts_providerkey_add"), fields).status_code == 302
    with platform():
        key = ProviderKey.objects.get()
        assert key.key.reveal() == "sk-very-secret"
    for url in (change_url(key), reverse("admin:accounts_providerkey_changelist")):
        assert "sk-very-secret" not in page.get(url).content.decode()
    page.post(reverse("admin:accounts_providerkey_changelist"), {"action": "revoke", "_selected_action": [key.pk]})
    with platform():
        assert ProviderKey.objects.get().revoked_at is not None


def test_a_run_its_log_and_its_ledger_can_only_be_looked_at(page):
    run = AgentRunFactory(run_token_hash=b"\x01" * 32)
    AgentRunLogFactory(run=run, seq=1, content="Reading <b>the</b> issue.")
    TokenUsageFactory(run=run, cost_usd=Decimal("0.000123456789"))
    html = page.get(reverse("admin:run_log", args=[run.pk])).content.decode()
    assert "Reading &lt;b&gt;the&lt;/b&gt; issue." in html
    assert "0.000123456789" in page.get(reverse("admin:run_ledger", args=[run.pk])).content.decode()
    html = page.get(change_url(run)).content.decode()
    assert "token_hash" not in html
    assert 'name="status"' not in html
    assert page.post(change_url(run), {"status": "completed"}).status_code == 403
    assert page.get(reverse("admin:run_log", args=[run.pk + 1])).status_code == 404
    with platform():
        assert AgentRun.objects.get().status == "queued"


def test_a_label_is_set_moved_and_taken_away_by_the_operations(page, staff, version):
    with platform():
        prompt = Prompt.objects.get(pk=version.prompt_id)
        saved = save_version(prompt=prompt, text=PromptText("Two"), actor=staff, expected_parent=version)
    fields = {"name": "production", "prompt_version": version.pk}
    assert page.post(reverse("admin:prompts_promptlabel_add"), fields).status_code == 302
    with platform():
        label = PromptLabel.objects.get()
    assert (label.account_id, label.prompt_id, label.prompt_version_id) == (0, version.prompt_id, version.pk)
    assert page.post(change_url(label), {"prompt_version": saved.version.pk}).status_code == 302
    with platform():
        assert PromptLabel.objects.get().prompt_version_id == saved.version.pk
    page.post(reverse("admin:prompts_promptlabel_delete", args=[label.pk]), {"post": "yes"})
    with platform():
        assert PromptLabel.objects.count() == 0
        events = AuditEvent.objects.filter(action__startswith="prompt.label_").order_by("created_at")
        assert sorted(events.values_list("action", "actor")) == [
            ("prompt.label_moved", "Alice"),
            ("prompt.label_moved", "Alice"),
            ("prompt.label_removed", "Alice"),
        ]


def test_a_label_does_not_move_to_another_prompts_version(page, version):
    label = PromptLabelFactory(prompt_version=version)
    other = PromptVersionFactory()
    answer = page.post(change_url(label), {"prompt_version": other.pk})
    assert errors(answer) == ["This version belongs to another prompt."]
    with platform():
        assert PromptLabel.objects.get().prompt_version_id == version.pk


def test_an_api_token_is_revoked_and_its_digest_not_shown(page):
    token = ApiTokenFactory()
    assert "digest" not in page.get(change_url(token)).content.decode()
    page.post(reverse("admin:accounts_apitoken_changelist"), {"action": "revoke", "_selected_action": [token.pk]})
    with platform():
        assert ApiToken.objects.get().revoked_at is not None
