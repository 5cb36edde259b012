"""Runs and costs over HTTP: what is read, what is started once, and what another account's token gets."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from django.test import Client

from accounts.models import ApiScope, AuditEvent, Membership, Role
from agent_runs.models import AgentRun, RunTrigger
from metrics.models import RunVote
from paid.asgi import application
from paid.lib.tenancy import platform
from projects.models import Issue, IssueState
from tests.dashboard.test_api import make_token, problem
from tests.dashboard.world import LOG, World, make_world
from tests.factories.accounts import AccountFactory, UserFactory
from tests.factories.metrics import QualityMetricFactory
from tests.factories.projects import IssueFactory
from tests.factories.prompts import LanguageModelFactory
from tests.metrics.serving import serving, tcp_socket
from workflows.models import OutboxCommand, RunRequest

RUNS = "/api/v1/runs"
EVERYTHING = (ApiScope.RUNS_READ, ApiScope.RUNS_WRITE, ApiScope.COSTS_READ)


class Program:
    """Asks with a token."""

    def __init__(self, token: str) -> None:
        self._client = Client(headers={"Authorization": f"Bearer {token}"})

    def get(self, address: str, **query: object) -> Any:
        return self._client.get(address, {name: str(value) for name, value in query.items()})

    def post(self, address: str, body: object = None, **headers: str) -> Any:
        data = "" if body is None else json.dumps(body)
        return self._client.post(address, data, content_type="application/json", headers=headers)


@pytest.fixture
def program(world: World) -> Program:
    return Program(make_token(world.account, world.alice, *EVERYTHING))


@pytest.fixture
def stranger(world: World) -> Program:
    return Program(make_token(AccountFactory(), UserFactory(), *EVERYTHING))


@pytest.fixture
def open_issue(world: World) -> Issue:
    """A scripted model may play the agent of its run."""
    LanguageModelFactory(account=world.account, agents=["claude_code"])
    issue: Issue = IssueFactory(project=world.project, number=11, title="Trim the slug")
    return issue


def start_body(issue: Issue) -> dict[str, int]:
    return {"project_id": issue.project_id, "issue_number": issue.number}


def ids(answer: Any) -> list[int]:
    assert answer.status_code == HTTPStatus.OK, answer.content
    return [run["id"] for run in answer.json()["runs"]]


def test_runs_are_listed_newest_first_in_pages(world: World, program: Program):
    runs = [world.live_run.pk, world.failed_run.pk, world.run.pk]
    everything = program.get(RUNS)
    first = program.get(RUNS, limit=2)
    rest = program.get(RUNS, limit=2, after=first.json()["next_after"])

    assert sorted(ids(everything)) == sorted(runs)
    assert everything.json()["next_after"] is None
    assert ids(first) + ids(rest) == ids(everything)
    assert (len(ids(first)), rest.json()["next_after"]) == (2, None)


def test_each_filter_narrows_as_on_the_page(world: World, program: Program):
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    assert ids(program.get(RUNS, status="live")) == [world.live_run.pk]
    assert ids(program.get(RUNS, status="failed", project_id=world.project.pk)) == [world.failed_run.pk]
    assert ids(program.get(RUNS, text="max-length")) == [world.live_run.pk]
    assert ids(program.get(RUNS, project_id=world.project.pk + 1)) == []
    assert ids(program.get(RUNS, since=tomorrow)) == []
    assert ids(program.get(RUNS, text="#²")) == []  # a digit, and no number
    assert len(ids(program.get(RUNS, agent="", model_id=world.model.pk))) == 3


def test_a_query_of_the_wrong_shape_is_told_field_by_field(program: Program):
    queries: tuple[dict[str, object], ...] = (
        {"status": "gone"}, {"limit": 201}, {"after": "x"}, {"projekt": 1}, {"text": "\x00"}, {"project_id": 2**63},
    )  # fmt: skip
    answers = [program.get(RUNS, **query) for query in queries]

    assert [problem(answer) for answer in answers] == [(422, "invalid")] * len(queries)
    told = [[error["field"] for error in answer.json()["errors"]] for answer in answers]
    assert told == [list(query) for query in queries]


def test_a_run_is_shown_with_what_came_of_it(world: World, program: Program):
    QualityMetricFactory(agent_run=world.run, votes_up=2, quality_score=Decimal("0.75"))
    told = program.get(f"{RUNS}/{world.run.pk}").json()

    assert told | {"created_at": "", "started_at": "", "finished_at": "", "page": ""} == {
        "id": world.run.pk,
        "page": "",
        "status": "completed",
        "trigger": world.run.trigger,
        "project_id": world.project.pk,
        "issue": {"number": 1, "title": "Slugs lose their accents", "url": ""},
        "agent": world.run.agent,
        "model": {"id": world.model.pk, "name": "Scripted demo", "model_id": "scripted-demo"},
        "prompt_version_id": world.prompt.current_version_id,
        "experiment_variant_id": None,
        "retry_of": None,
        "branch": "paid/1-slugs-lose-accents-1",
        "pull_request": {"number": 2, "state": "open", "url": ""},
        "error_code": "",
        "error": "",
        "iterations": 6,
        "tokens": {"input": 18_344, "output": 1_207, "cache_read": 9_120, "cache_write": 0},
        "cost_usd": "0.08312745",
        "unpriced_calls": 0,
        "created_at": "",
        "started_at": "",
        "finished_at": "",
        "stop_requested_at": None,
        "base_sha": "4f2a91c0" * 5,
        "head_sha": "9be01d77" * 5,
        "summary": "Slugs keep their letters: accents become plain ones. I added a test for it.",
        "quality_score": 0.75,
        "votes": {"up": 2, "down": 0},
    }
    assert told["page"].endswith(f"/a/northwind/runs/{world.run.pk}/")
    assert datetime.fromisoformat(told["finished_at"]) - datetime.fromisoformat(told["started_at"]) == timedelta(
        seconds=38
    )


def test_costs_are_the_ledgers_to_the_last_digit(world: World, program: Program):
    by_project = program.get("/api/v1/costs", by="project").json()
    by_day = program.get("/api/v1/costs", by="day", since=datetime.now(UTC).date()).json()

    assert (by_project["total_usd"], by_day["total_usd"]) == ("0.08312745", "0.08312745")
    assert by_project["lines"] == [
        {"id": world.project.pk, "name": "slugify", "cost_usd": "0.08312745", "calls": 2, "unpriced_calls": 0}
    ]
    assert len(by_day["lines"]) == 1
    assert problem(program.get("/api/v1/costs")) == (422, "invalid")
    assert problem(program.get("/api/v1/costs", by="day", since="2026-01-02", until="2026-01-01")) == (422, "invalid")
    assert problem(program.get("/api/v1/costs", by="day", since="2024-01-01", until="2025-12-31")) == (422, "invalid")


def test_a_run_starts_once_however_often_it_is_asked_for(world: World, program: Program, open_issue: Issue):
    first = program.post(RUNS, start_body(open_issue), **{"Idempotency-Key": '"deploy-7"'})
    again = program.post(RUNS, start_body(open_issue), **{"Idempotency-Key": "deploy-7"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    with platform():
        run = AgentRun.objects.get(issue=open_issue)
        assert (first.json()["id"], run.trigger, run.requested_by) == (run.pk, RunTrigger.API, None)
        assert OutboxCommand.objects.filter(account=world.account).count() == 1
        event = AuditEvent.objects.get(action="run.start")
        assert (event.actor, event.object_id) == ("API token “ci”", str(run.pk))


def test_a_key_is_for_one_request(world: World, program: Program, open_issue: Issue):
    program.post(RUNS, start_body(open_issue), **{"Idempotency-Key": "deploy-7"})
    other = IssueFactory(project=world.project, number=12)
    answer = program.post(RUNS, start_body(other), **{"Idempotency-Key": "deploy-7"})

    assert problem(answer) == (422, "idempotency_key_reused")
    for unusable in ("no spaces", "", '""'):
        refused = program.post(RUNS, start_body(other), **{"Idempotency-Key": unusable})
        assert problem(refused) == (422, "invalid")
    with platform():
        assert not AgentRun.objects.filter(issue=other).exists()


def test_a_refused_start_leaves_nothing_and_its_key_free(world: World, program: Program, open_issue: Issue):
    with platform():
        Issue.objects.filter(pk=open_issue.pk).update(state=IssueState.CLOSED)
    key = {"Idempotency-Key": "deploy-7"}
    assert problem(program.post(RUNS, start_body(open_issue), **key)) == (409, "issue_is_closed")
    with platform():
        assert not AgentRun.objects.filter(issue=open_issue).exists()
        assert not RunRequest.objects.exists()
        Issue.objects.filter(pk=open_issue.pk).update(state=IssueState.OPEN)

    assert program.post(RUNS, start_body(open_issue), **key).status_code == HTTPStatus.CREATED


def test_an_issue_has_one_live_run_also_for_programs(world: World, program: Program, open_issue: Issue):
    assert program.post(RUNS, start_body(open_issue)).status_code == HTTPStatus.CREATED

    assert problem(program.post(RUNS, start_body(open_issue))) == (409, "issue_has_live_run")
    unknown = {"project_id": world.project.pk, "issue_number": 999}
    assert problem(program.post(RUNS, unknown)) == (404, "issue_not_found")
    assert problem(program.post(RUNS, unknown | {"issue_number": 0})) == (422, "invalid")


def test_a_run_is_stopped_and_stays_so(world: World, program: Program):
    address = f"{RUNS}/{world.live_run.pk}/stop"
    first, again = program.post(address), program.post(address)

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["stop_requested_at"] == again.json()["stop_requested_at"] is not None
    with platform():
        assert AuditEvent.objects.get(action="run.stop").actor == "API token “ci”"
    assert problem(program.post(f"{RUNS}/{world.run.pk}/stop")) == (409, "run_has_ended")


def test_feedback_is_the_vote_of_who_made_the_token(world: World, program: Program):
    QualityMetricFactory(agent_run=world.run)
    address = f"{RUNS}/{world.run.pk}/feedback"
    assert program.post(address, {"vote": "down"}).json()["votes"] == {"up": 0, "down": 1}
    assert program.post(address, {"vote": "up"}).json()["votes"] == {"up": 1, "down": 0}
    with platform():
        assert [(vote.user_id, vote.value) for vote in RunVote.objects.all()] == [(world.alice.pk, 1)]
        Membership.objects.filter(user=world.bob).update(role=Role.OWNER)
        Membership.objects.filter(user=world.alice).update(role=Role.VIEWER)

    assert problem(program.post(address, {"vote": "none"})) == (409, "nobody_votes")
    assert problem(program.post(address, {"vote": "maybe"})) == (422, "invalid")
    with platform():
        assert RunVote.objects.count() == 1


def test_a_live_run_is_not_judged(world: World, program: Program):
    answer = program.post(f"{RUNS}/{world.live_run.pk}/feedback", {"vote": "up"})

    assert problem(answer) == (409, "run_is_live")


def test_another_accounts_token_finds_nothing_of_this_one(world: World, stranger: Program, open_issue: Issue):
    run = f"{RUNS}/{world.run.pk}"
    live = f"{RUNS}/{world.live_run.pk}"

    assert problem(stranger.get(run)) == (404, "run_not_found")
    assert problem(stranger.get(f"{run}/log")) == (404, "run_not_found")
    assert problem(stranger.post(f"{live}/stop")) == (404, "run_not_found")
    assert problem(stranger.post(f"{run}/feedback", {"vote": "up"})) == (404, "run_not_found")
    assert problem(stranger.post(RUNS, start_body(open_issue))) == (404, "project_not_found")
    assert ids(stranger.get(RUNS)) == ids(stranger.get(RUNS, project_id=world.project.pk)) == []
    costs = stranger.get("/api/v1/costs", by="project").json()
    assert (costs["total_usd"], costs["lines"]) == ("0", [])
    with platform():
        assert AgentRun.objects.get(pk=world.live_run.pk).stop_requested_at is None
        assert not RunVote.objects.exists()
        assert not AgentRun.objects.filter(issue=open_issue).exists()


def test_each_needs_its_scope(world: World):
    needed = {
        ("get", RUNS): ApiScope.RUNS_READ,
        ("get", f"{RUNS}/1"): ApiScope.RUNS_READ,
        ("get", f"{RUNS}/1/log"): ApiScope.RUNS_READ,
        ("post", RUNS): ApiScope.RUNS_WRITE,
        ("post", f"{RUNS}/1/stop"): ApiScope.RUNS_WRITE,
        ("post", f"{RUNS}/1/feedback"): ApiScope.RUNS_WRITE,
        ("post", f"{RUNS}/1/usage"): ApiScope.USAGE_WRITE,
        ("get", "/api/v1/costs"): ApiScope.COSTS_READ,
    }
    lacking = {
        scope: Program(make_token(world.account, world.alice, *(other for other in ApiScope if other is not scope)))
        for scope in set(needed.values())
    }
    answers = {asked: getattr(lacking[scope], asked[0])(asked[1]) for asked, scope in needed.items()}

    assert {asked: problem(answer) for asked, answer in answers.items()} == dict.fromkeys(
        needed, (403, "missing_scope")
    )
    assert {asked: answer["WWW-Authenticate"] for asked, answer in answers.items()} == {
        asked: f'Bearer error="insufficient_scope", scope="{scope.value}"' for asked, scope in needed.items()
    }


@pytest.mark.django_db(transaction=True)
def test_a_log_is_sent_as_json_lines_from_where_the_program_is():
    world = make_world()
    token = make_token(world.account, world.alice, ApiScope.RUNS_READ)
    with tcp_socket() as listener, serving(application, listener):
        address = f"http://127.0.0.1:{listener.getsockname()[1]}{RUNS}/{world.run.pk}/log"
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
            answer, rest = http.get(address), http.get(address, params={"after": 7})
            nothing, wrong = http.get(address, params={"after": 9}), http.get(address, params={"after": -1})

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
    assert [(line["seq"], line["kind"], line["content"]) for line in lines] == [
        (seq, kind.value, content) for seq, (kind, content, _) in enumerate(LOG, start=1)
    ]
    assert lines[2]["metadata"] == {"event": "tool_use"}
    assert [json.loads(line) for line in rest.text.splitlines()] == lines[7:]
    assert (nothing.status_code, nothing.text) == (200, "")
    assert wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
