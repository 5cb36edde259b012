"""The HTTP API: who may ask, what they get, and what is told when they get nothing."""

import json
import re
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone

from accounts.api_tokens import create_api_token, digest_of, revoke_api_token
from accounts.models import Account, ApiScope, ApiToken, AuditEvent, User
from paid.asgi import application
from paid.lib.tenancy import platform, tenant
from prompts.models import PromptLabel
from prompts.operations import promote
from tests.dashboard.world import SECOND_TEMPLATE, World
from tests.factories.accounts import AccountFactory, ApiTokenFactory, UserFactory
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import AbTestFactory, AbVariantFactory, PromptLabelFactory, prompt_with_version
from tests.metrics.serving import serving, tcp_socket

RESOLVE = "/api/v1/prompts/resolve"
SLUG = "coding.implement_issue"


def make_token(account: Account, actor: User, *scopes: ApiScope) -> str:
    with tenant(account.pk, actor.pk):
        return create_api_token(account=account, name="ci", scopes=scopes, actor=actor).secret


@pytest.fixture
def reader(world: World) -> str:
    return make_token(world.account, world.alice, ApiScope.PROMPTS_READ)


@pytest.fixture
def writer(world: World) -> str:
    return make_token(world.account, world.alice, ApiScope.PROMPTS_WRITE)


def ask(client: Client, token: str, **body: object) -> Any:
    return client.post(
        RESOLVE, json.dumps(body), content_type="application/json", headers={"Authorization": f"Bearer {token}"}
    )


def problem(answer: Any) -> tuple[int, str]:
    assert answer["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["detail"]
    return answer.status_code, told["code"]


def test_a_token_resolves_its_accounts_prompt(world: World, client: Client, reader: str):
    answer = ask(client, reader, slug=SLUG, subject="17", project_id=world.project.pk)

    assert answer.status_code == HTTPStatus.OK
    assert answer.json() == {
        "slug": SLUG,
        "prompt_id": world.prompt.pk,
        "version_id": world.prompt.current_version_id,
        "version": 2,
        "scope": "account",
        "label": None,
        "experiment_variant_id": None,
        "template": SECOND_TEMPLATE,
        "system_prompt": "",
    }
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies


def test_a_subject_gets_its_variant_and_no_subject_the_current_version(world: World, client: Client, reader: str):
    test = AbTestFactory(prompt=world.prompt)
    variants = [
        AbVariantFactory(ab_test=test, prompt_version=version, is_control=number == 0)
        for number, version in enumerate(_versions(world))
    ]
    with platform():
        type(test).objects.filter(pk=test.pk).update(status="running", started_at=timezone.now())
    told = [ask(client, reader, slug=SLUG, subject=str(subject)).json() for subject in range(12)]

    assert {entry["experiment_variant_id"] for entry in told} == {variant.pk for variant in variants}
    assert told == [ask(client, reader, slug=SLUG, subject=str(subject)).json() for subject in range(12)]
    plain = ask(client, reader, slug=SLUG).json()
    assert (plain["experiment_variant_id"], plain["version"]) == (None, 2)


def _versions(world: World) -> list[Any]:
    with platform():
        return list(world.prompt.versions.order_by("version"))


def test_a_rollback_counts_from_the_next_request_on(world: World, client: Client, reader: str):
    assert ask(client, reader, slug=SLUG, subject="1").json()["version"] == 2
    with tenant(world.account.pk):
        promote(prompt=world.prompt, version=_versions(world)[0], actor=world.alice)

    assert [ask(client, reader, slug=SLUG, subject=str(n)).json()["version"] for n in range(5)] == [1] * 5


def test_a_label_pins_a_version(world: World, client: Client, reader: str):
    PromptLabelFactory(prompt_version=_versions(world)[0])

    assert ask(client, reader, slug=SLUG, label="production").json()["version"] == 1
    assert problem(ask(client, reader, slug=SLUG, label="canary")) == (404, "prompt_not_found")


def test_another_tenants_token_reaches_nothing_of_this_one(world: World, client: Client):
    stranger = AccountFactory()
    token = make_token(stranger, UserFactory(), ApiScope.PROMPTS_READ, ApiScope.PROMPTS_WRITE)
    PromptLabelFactory(prompt_version=_versions(world)[0])

    assert problem(ask(client, token, slug=SLUG)) == (404, "prompt_not_found")
    assert problem(ask(client, token, slug=SLUG, label="production")) == (404, "prompt_not_found")
    assert problem(ask(client, token, slug=SLUG, project_id=world.project.pk)) == (404, "project_not_found")
    assert problem(put_label(client, token, world.prompt.pk, "production", 2)) == (404, "prompt_not_found")
    with platform():
        assert PromptLabel.objects.get(name="production").prompt_version.version == 1


def test_a_project_of_another_tenant_is_unknown_even_where_a_prompt_of_it_has_the_slug(
    world: World, client: Client, reader: str
):
    theirs = ProjectFactory()
    prompt_with_version(account=theirs.account, project=theirs, scope="project", slug=SLUG, template="theirs")

    assert problem(ask(client, reader, slug=SLUG, project_id=theirs.pk)) == (404, "project_not_found")


@pytest.mark.parametrize("ended", [{"revoked_at": timedelta(0)}, {"expires_at": timedelta(hours=-1)}])
def test_a_token_that_has_ended_is_refused(world: World, client: Client, ended: dict[str, timedelta]):
    ended_at = {name: timezone.now() + delta for name, delta in ended.items()}
    ApiTokenFactory(account=world.account, digest=digest_of("paid_ended"), **ended_at)

    answer = ask(client, "paid_ended", slug=SLUG)
    assert problem(answer) == (401, "token_refused")
    assert answer["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_a_token_is_refused_from_the_moment_on_that_it_is_revoked(world: World, client: Client, reader: str):
    assert ask(client, reader, slug=SLUG).status_code == HTTPStatus.OK
    with tenant(world.account.pk, world.alice.pk):
        token = ApiToken.objects.get(name="ci")
        revoke_api_token(token=token, actor=world.alice)
        revoke_api_token(token=token, actor=world.alice)

    assert problem(ask(client, reader, slug=SLUG)) == (401, "token_refused")
    with platform():
        told = AuditEvent.objects.filter(object_type="api_token").order_by("created_at", "action")
        assert sorted(told.values_list("action", flat=True)) == ["api_token.created", "api_token.revoked"]


def test_without_a_token_or_its_scope_nothing_is_said(world: World, client: Client, writer: str):
    bare = client.post(RESOLVE, "{}", content_type="application/json")

    assert problem(bare) == (401, "token_missing")
    assert bare["WWW-Authenticate"] == 'Bearer realm="Paid"'
    assert problem(ask(client, "paid_unknown", slug=SLUG)) == (401, "token_refused")
    assert problem(ask(client, writer, slug=SLUG)) == (403, "missing_scope")


def test_a_session_is_no_token(world: World, alice: Client):
    assert problem(alice.post(RESOLVE, "{}", content_type="application/json")) == (401, "token_missing")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"slug": "Not A Slug"}',
        '{"slug": "a\n"}',
        '{"slug": "a", "subject": "\u0000"}',
        '{"slug": "a", "subject": ""}',
        '{"slug": "a", "project_id": "1"}',
        '{"slug": "a", "project_id": 9223372036854775808}',
        '{"slug": "a", "label": "No"}',
        '{"slug": "a", "sujbect": "1"}',
        '{"slug": "' + "a" * 101 + '"}',
    ],
)
def test_a_body_of_the_wrong_shape_is_told_field_by_field(world: World, client: Client, reader: str, body: str):
    answer = client.post(RESOLVE, body, content_type="application/json", headers={"Authorization": f"Bearer {reader}"})

    assert problem(answer) == (422, "invalid")
    assert answer.json()["errors"]


def test_a_wrong_method_and_a_wrong_address_are_problems_too(world: World, client: Client):
    wrong = client.get(RESOLVE)

    assert (problem(wrong), wrong["Allow"]) == ((405, "method_not_allowed"), "POST")
    assert problem(client.get("/api/v1/nowhere")) == (404, "no_such_address")


def test_in_the_open_a_token_is_not_even_looked_at(world: World, client: Client, reader: str, settings: Any):
    settings.SECURE_SSL_REDIRECT = True
    settings.MIDDLEWARE = []

    assert problem(ask(client, reader, slug=SLUG)) == (403, "https_required")


def test_only_the_digest_is_kept_and_use_is_written_down_now_and_then(world: World, client: Client, reader: str):
    with platform():
        token = ApiToken.objects.get(name="ci")
        assert (bytes(token.digest), token.hint, token.last_used_at) == (digest_of(reader), reader[:9], None)
        kept = {field.name: str(getattr(token, field.attname)) for field in ApiToken._meta.concrete_fields}
        assert reader not in " ".join(kept.values())
    ask(client, reader, slug=SLUG)
    with platform():
        first = ApiToken.objects.get(name="ci").last_used_at
    ask(client, reader, slug=SLUG)
    with platform():
        assert ApiToken.objects.get(name="ci").last_used_at == first
    assert first is not None


def put_label(client: Client, token: str, prompt_id: int, name: str, version: int) -> Any:
    return client.put(
        f"/api/v1/prompts/{prompt_id}/labels/{name}",
        json.dumps({"version": version}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )


def test_a_program_moves_a_label_and_the_audit_log_names_its_token(world: World, client: Client, writer: str):
    answer = put_label(client, writer, world.prompt.pk, "production", 1)
    again = put_label(client, writer, world.prompt.pk, "production", 1)

    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert again.json() == answer.json()
    with platform():
        event = AuditEvent.objects.get(action="prompt.label_moved")
        assert (event.account_id, event.actor_user_id, event.actor) == (world.account.pk, None, "API token “ci”")
        assert (event.data["label"], event.data["from_version_id"], event.data["version"]) == ("production", None, 1)


def test_a_token_with_the_longest_name_may_act(world: World, client: Client, writer: str):
    with platform():
        ApiToken.objects.filter(name="ci").update(name="n" * 200)

    assert put_label(client, writer, world.prompt.pk, "production", 1).status_code == HTTPStatus.OK
    with platform():
        assert AuditEvent.objects.get(action="prompt.label_moved").actor == f"API token “{'n' * 187}…”"


def test_a_label_needs_the_scope_and_a_version_that_is_there(world: World, client: Client, reader: str, writer: str):
    assert problem(put_label(client, reader, world.prompt.pk, "production", 1)) == (403, "missing_scope")
    assert problem(put_label(client, writer, world.prompt.pk, "production", 9)) == (404, "version_not_found")
    assert problem(put_label(client, writer, world.prompt.pk, "PRODUCTION", 1)) == (404, "no_such_address")
    with platform():
        assert PromptLabel.objects.filter(name="production").count() == 0


def test_a_token_is_made_on_its_page_and_shown_once(world: World, alice: Client, client: Client):
    form = {"name": "Shop", "scopes": ["prompts:read"], "expires_on": "2999-01-01"}
    page = alice.post("/a/northwind/settings/api/create", form)
    shown = re.findall(r"paid_[A-Za-z0-9_-]{43}", page.content.decode())

    assert (page.status_code, page["Cache-Control"], len(shown)) == (200, "no-store", 1)
    assert ask(client, shown[0], slug=SLUG).status_code == HTTPStatus.OK
    assert shown[0] not in alice.get("/a/northwind/settings/api/").content.decode()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"name": "", "scopes": ["prompts:read"]}, "This field is required."),
        ({"name": "Shop", "scopes": []}, "This field is required."),
        ({"name": "Shop", "scopes": ["everything"]}, "everything is not one of the available choices."),
        (
            {"name": "Shop", "scopes": ["prompts:read"], "expires_on": "2020-01-01"},
            "Choose a day that is still to come.",
        ),
    ],
)
def test_a_token_that_cannot_be_is_not_made(world: World, alice: Client, form: dict[str, Any], words: str):
    page = alice.post("/a/northwind/settings/api/create", form)

    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert words in page.content.decode()
    with platform():
        assert ApiToken.objects.count() == 1


def test_revoking_asks_first(world: World, alice: Client):
    address = f"/a/northwind/settings/api/{world.api_token.pk}/revoke"

    assert "Revoke “Deployment of the shop”?" in alice.get(address).content.decode()
    with platform():
        assert ApiToken.objects.get().revoked_at is None
    assert alice.post(address)["Location"] == "/a/northwind/settings/api/"
    with platform():
        assert ApiToken.objects.get().revoked_at is not None


@pytest.mark.django_db(transaction=True)
def test_the_servers_light_way_answers_as_the_full_one_and_sets_no_cookie():
    account, actor = AccountFactory(), UserFactory()
    prompt_with_version(account=account, slug=SLUG, template="Solve it.")
    token = make_token(account, actor, ApiScope.PROMPTS_READ)
    with tcp_socket() as listener, serving(application, listener):
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
            answer = http.post(RESOLVE, json={"slug": SLUG})
            refused = http.get("/api/elsewhere")
            too_large = http.post(RESOLVE, content=b" " * (1024 * 1024 + 1))

    assert (answer.status_code, answer.json()["template"]) == (200, "Solve it.")
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert refused.status_code == HTTPStatus.NOT_FOUND
    assert too_large.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
