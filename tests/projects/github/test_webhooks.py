"""Deliveries: proved, kept once, and read for what they mean. Digestion is tested with the workflows."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from paid.lib.encryption import Secret
from paid.lib.tenancy import platform
from projects.models import ClaimState, Project, WebhookDelivery
from projects.webhooks import (
    ClaimedElsewhere,
    CommitChecked,
    DeliveryNotUnderstood,
    IssueChanged,
    IssueGone,
    IssueLabelled,
    Payload,
    PullRequestTouched,
    claim,
    is_authentic,
    meaning_of,
    parse,
    release,
    settle,
)
from tests.factories.projects import ProjectFactory, PullRequestFactory
from tests.standins.github.fixtures import WEBHOOK_SECRET
from tests.standins.github.published.read import webhook_examples
from tests.standins.github.server import signed

HELLO = "Codertocat/Hello-World"


@pytest.fixture
def hello(db: None) -> Project:
    """The repository of GitHub's own examples."""
    made: Project = ProjectFactory(
        forge="github", owner="Codertocat", repo="Hello-World", webhook_secret=WEBHOOK_SECRET, labels={"trigger": "bug"}
    )
    return made


def example(event: str, action: str) -> dict[str, Any]:
    return next(
        found["payload"]
        for found in webhook_examples()
        if found["event"] == event and found["payload"].get("action") == action
    )


def post(project_id: int, headers: dict[str, str], body: bytes) -> Any:
    return Client().post(
        f"/webhooks/github/{project_id}", body, content_type="application/json", headers=headers, secure=True
    )


def deliver(
    project: Project, event: str, payload: object, *, secret: str = WEBHOOK_SECRET, delivery: str = "d-1"
) -> Any:
    headers, body = signed(event, payload, secret=secret, delivery=delivery)
    return post(project.pk, headers, body)


def stored() -> list[tuple[str, str, str]]:
    with platform():
        return list(WebhookDelivery.objects.order_by("pk").values_list("delivery_id", "event", "claim_state"))


def commands() -> list[tuple[str, str]]:
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT workflow_id, signal FROM outbox ORDER BY id")
        return [(str(row[0]), str(row[1])) for row in cursor.fetchall()]


def test_a_signed_delivery_is_kept_and_commands_its_digestion(hello: Project):
    answer = deliver(hello, "issues", example("issues", "labeled"))
    assert (answer.status_code, answer.json()) == (202, {"receipt": "taken"})
    assert stored() == [("d-1", "issues", "received")]
    assert commands() == [(f"webhooks-{hello.pk}", "delivered")]


def test_the_same_delivery_twice_is_one(hello: Project):
    for _ in range(2):
        assert deliver(hello, "issues", example("issues", "labeled")).status_code == 202
    assert (len(stored()), len(commands())) == (1, 1)


@pytest.mark.parametrize(("secret", "header"), [
    ("another secret", None), (WEBHOOK_SECRET, ""), (WEBHOOK_SECRET, "sha256="), (WEBHOOK_SECRET, "sha1=abc"),
    (WEBHOOK_SECRET, "sha256=" + "0" * 64), (WEBHOOK_SECRET, "sha256=é"),
])  # fmt: skip
def test_a_wrong_signature_is_refused_like_a_project_that_is_not_there(hello: Project, secret: str, header: str | None):
    headers, body = signed("issues", example("issues", "labeled"), secret=secret)
    wrong = headers if header is None else headers | {"X-Hub-Signature-256": header}
    refused, absent = post(hello.pk, wrong, body), post(987654, headers, body)
    assert (refused.status_code, absent.status_code) == (404, 404)
    assert refused.json() == absent.json()
    assert (stored(), commands()) == ([], [])


def test_a_changed_body_is_refused(hello: Project):
    headers, body = signed("issues", example("issues", "labeled"), secret=WEBHOOK_SECRET)
    assert post(hello.pk, headers, body + b" ").status_code == 404
    assert stored() == []


def test_a_delivery_that_is_too_large_is_refused(hello: Project):
    headers, body = signed("issues", {"x": "y" * 2_200_000}, secret=WEBHOOK_SECRET)
    assert post(hello.pk, headers, body).status_code == 413
    assert stored() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"payload=%7B%7D", b"[" * 100_000, b"\xff\xfe"])
def test_what_is_no_delivery_is_refused_without_a_trace(hello: Project, body: bytes):
    headers, _ = signed("issues", {}, secret=WEBHOOK_SECRET)
    signature = "sha256=" + hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    answer = post(hello.pk, headers | {"X-Hub-Signature-256": signature}, body)
    assert answer.status_code == 400
    assert "application/json" in answer.json()["message"]
    assert stored() == []


def test_headers_must_be_there(hello: Project):
    headers, body = signed("issues", example("issues", "labeled"), secret=WEBHOOK_SECRET)
    for name in ("X-GitHub-Delivery", "X-GitHub-Event"):
        kept = {key: value for key, value in headers.items() if key != name}
        assert post(hello.pk, kept, body).status_code == 400
    assert stored() == []


def test_only_post_is_answered(hello: Project):
    assert Client().get(f"/webhooks/github/{hello.pk}", secure=True).status_code == 405


def test_a_delivery_about_another_repository_is_kept_as_ignored(hello: Project):
    payload = example("issues", "labeled")
    payload["repository"]["full_name"] = "evil/other"
    assert deliver(hello, "issues", payload).json() == {"receipt": "ignored"}
    assert (stored(), commands()) == ([("d-1", "issues", "ignored")], [])


def test_only_what_is_read_of_a_payload_is_kept(hello: Project):
    deliver(hello, "issues", example("issues", "labeled"))
    with platform():
        payload = WebhookDelivery.objects.get().payload
    assert sorted(payload) == ["action", "issue", "label", "repository", "sender"]
    assert sorted(payload["sender"]) == ["id", "login"]
    assert len(json.dumps(payload)) < 1000


def test_pull_requests_and_checks_concern_us_only_when_they_came_from_a_run(hello: Project):
    closed, suite = example("pull_request", "closed"), example("check_suite", "completed")
    assert deliver(hello, "pull_request", closed, delivery="1").json() == {"receipt": "ignored"}
    assert deliver(hello, "check_suite", suite, delivery="2").json() == {"receipt": "ignored"}
    PullRequestFactory(
        project=hello, number=closed["pull_request"]["number"], head_sha=suite["check_suite"]["head_sha"]
    )
    assert deliver(hello, "pull_request", closed, delivery="3").json() == {"receipt": "taken"}
    assert deliver(hello, "check_suite", suite, delivery="4").json() == {"receipt": "taken"}


def test_every_published_example_is_taken_without_error(hello: Project):
    examples = webhook_examples()
    answers = [
        deliver(hello, found["event"], found["payload"], delivery=f"d-{place}").status_code
        for place, found in enumerate(examples)
    ]
    assert answers == [202] * 329
    states = [state for _, _, state in stored()]
    assert (len(states), set(states)) == (329, {ClaimState.RECEIVED, ClaimState.IGNORED})


@pytest.mark.parametrize(("event", "action", "kind"), [
    ("issues", "labeled", IssueLabelled),
    ("issues", "unlabeled", IssueChanged),
    ("issues", "edited", IssueChanged),
    ("issues", "deleted", IssueGone),
    ("issues", "transferred", IssueGone),
    ("pull_request", "closed", PullRequestTouched),
    ("pull_request_review", "submitted", PullRequestTouched),
    ("check_suite", "completed", CommitChecked),
    ("check_run", "completed", CommitChecked),
    ("issues", "pinned", type(None)),
    ("issues", "assigned", type(None)),
    ("issue_comment", "created", type(None)),
    ("star", "created", type(None)),
    ("pull_request", "assigned", type(None)),
])  # fmt: skip
def test_what_each_event_means(event: str, action: str, kind: type[object]):
    body = json.dumps(example(event, action)).encode()
    assert type(meaning_of(event, parse(event, body))) is kind


def test_who_labelled_what_and_when_is_read():
    found = meaning_of("issues", parse("issues", json.dumps(example("issues", "labeled")).encode()))
    assert isinstance(found, IssueLabelled)
    assert (found.issue.number, found.label, found.actor) == (1, "bug", "Codertocat")
    assert found.issue.title == "Spelling error in the README file"
    assert found.at == found.issue.updated_at


# --- claims


@pytest.fixture
def received(hello: Project) -> int:
    deliver(hello, "issues", example("issues", "labeled"))
    with platform():
        return WebhookDelivery.objects.get().pk


def test_a_delivery_is_claimed_once(received: int):
    first = claim(received)
    assert first is not None
    assert (first.id, first.event, first.payload.action) == (received, "issues", "labeled")
    with pytest.raises(ClaimedElsewhere):
        claim(received)


def test_a_claim_that_ran_out_is_claimed_again(received: int):
    assert claim(received) is not None
    with platform(), connection.cursor() as cursor:
        cursor.execute("UPDATE webhook_deliveries SET claimed_until = now() - interval '1 second'")
    assert claim(received) is not None


def test_a_claim_that_was_given_back_is_claimed_again(received: int):
    claim(received)
    release(received)
    assert claim(received) is not None


def test_a_settled_delivery_is_never_claimed_again(received: int):
    claim(received)
    assert settle(received, ClaimState.DONE) is True
    assert settle(received, ClaimState.FAILED) is False
    release(received)
    assert claim(received) is None
    assert stored() == [("d-1", "issues", "done")]


# --- whatever arrives

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
FIELDS = ["action", "issue", "label", "pull_request", "check_suite", "check_run", "sha", "sender", "repository"]
INNER = [
    "id",
    "number",
    "title",
    "body",
    "state",
    "labels",
    "name",
    "login",
    "updated_at",
    "head",
    "head_sha",
    "full_name",
]
EVENTS = st.sampled_from(
    ["issues", "pull_request", "pull_request_review", "check_suite", "check_run", "status", "push"]
)
ACTIONS = st.sampled_from(["labeled", "closed", "deleted", "submitted", "completed", "edited"])
PAYLOADS = st.dictionaries(
    st.sampled_from(FIELDS), JSON_VALUES | st.dictionaries(st.sampled_from(INNER), JSON_VALUES), max_size=6
)


def meaning_or_refusal(event: str, body: bytes) -> object:
    try:
        return meaning_of(event, parse(event, body))
    except DeliveryNotUnderstood:
        return None


@given(event=EVENTS | st.text(max_size=20), body=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(event: str, body: bytes):
    meaning_or_refusal(event, body)


@given(event=EVENTS, payload=PAYLOADS, action=ACTIONS)
def test_any_json_is_read_or_refused(event: str, payload: dict[str, Any], action: str):
    meaning_or_refusal(event, json.dumps({"action": action} | payload).encode())


@given(payload=PAYLOADS)
def test_what_is_kept_reads_back_as_the_same(payload: dict[str, Any]):
    read = Payload.model_validate({name: value for name, value in payload.items() if name in ("action", "sha")})
    kept = json.loads(json.dumps(read.model_dump(mode="json", exclude_defaults=True)))
    assert Payload.model_validate(kept) == read
    assert "\0" not in json.dumps(kept, ensure_ascii=False)
    json.dumps(kept, ensure_ascii=False).encode()


@given(body=st.binary(max_size=100), secret=st.text(min_size=1, max_size=50), signature=st.text(max_size=80))
def test_nothing_but_the_right_signature_is_authentic(body: bytes, secret: str, signature: str):
    headers, raw = signed("x", {"a": body.hex()}, secret=secret)
    right = headers["X-Hub-Signature-256"]
    assert is_authentic(Secret(secret), raw, right) is True
    assert is_authentic(Secret(secret), raw, signature) is (signature == right)
    assert is_authentic(Secret(secret), raw + b" ", right) is False
