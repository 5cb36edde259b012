"""PostgreSQL over TLS, certificate verified: every way that Paid reaches it by, and what must not let it in."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_django
import uvloop
from django.core.management import CommandError, call_command
from django.db import connection

from agent_runs.logs import LogLine, write_lines
from agent_runs.models import AgentRunLog, LogKind
from metrics.gateway.anthropic import MessagesRequest, Tokens
from metrics.gateway.database import Connection, Question, connection_parameters
from metrics.gateway.ledger import Ledger, Settlement
from metrics.models import TokenUsage
from metrics.operations import open_escrow
from paid.lib.tenancy import platform, tenant
from paid.stack import certificates
from tests.backups.cluster import dump_of_test_database
from tests.factories.agent_runs import AgentRunFactory
from tests.metrics.records import make_run, make_tenant
from tests.tls import TlsPostgresql, binaries_with_tls
from workflows import outbox

BINARIES = binaries_with_tls()
pytestmark = pytest.mark.skipif(
    BINARIES is None, reason="No PostgreSQL with TLS is here (Debian: apt-get install postgresql)"
)
AT = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
# Whoever waits for the gateway's look at its connections never gets an answer.
NEVER_SECONDS = 3600.0
HANGS_SECONDS = 120.0

Ask = Callable[[Connection], Awaitable[object]]
Asked = Callable[[Ask], object]


@pytest.fixture(scope="module")
def server(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> Iterator[TlsPostgresql]:
    assert BINARIES is not None
    made = TlsPostgresql(BINARIES)
    try:
        made.start()
        made.fill(dump_of_test_database())
        yield made
    finally:
        made.stop()
        made.remove()


@pytest.fixture(autouse=True)
def as_default(server: TlsPostgresql, django_db_blocker: pytest_django.DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), server.as_default():
        yield


@pytest.fixture(autouse=True)
def without_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrics.gateway.database.LOOK_SECONDS", NEVER_SECONDS)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def asked(request: pytest.FixtureRequest) -> Asked:
    """What a question on a connection of the gateway's comes to, on either loop."""
    run: Callable[[Coroutine[Any, Any, Any]], Any] = request.param

    def ask_on_a_connection(ask: Ask) -> object:
        async def go() -> object:
            async with asyncio.timeout(HANGS_SECONDS), await Connection.connect(**connection_parameters()) as opened:
                return await ask(opened)

        return run(go())

    return ask_on_a_connection


def test_the_servers_key_is_its_own_alone_and_a_second_start_leaves_it(server: TlsPostgresql):
    key = server.authority.parents[1] / "server" / "server.key"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    assert server.run_certificate_step() == "the certificate for postgres, 127.0.0.1 lasts"
    assert key.read_bytes() == before


def test_django_reaches_it_by_tls(server: TlsPostgresql):
    connection.ensure_connection()
    assert server.uses_tls(connection.connection.info.backend_pid)


def test_the_outbox_listens_by_tls(server: TlsPostgresql):
    with psycopg.connect(outbox._conninfo()) as listening:
        assert server.uses_tls(listening.info.backend_pid)


def test_lines_of_the_log_are_copied_by_tls():
    run = AgentRunFactory()
    lines = [LogLine(seq, LogKind.EVENT, f"{seq} " * 2_000, {}, AT + timedelta(seconds=seq)) for seq in range(1, 201)]
    write_lines(run, lines)
    with tenant(run.account_id):
        written = AgentRunLog.objects.filter(agent_run_id=run.pk).order_by("seq").values_list("content", flat=True)
        assert list(written) == [line.content for line in lines]


def test_the_gateway_asks_by_tls(asked: Asked, server: TlsPostgresql):
    async def ask(opened: Connection) -> object:
        (backend,) = await opened.ask(Question("backend", "SELECT pg_backend_pid()::bigint"), ()) or ()
        return await asyncio.to_thread(server.uses_tls, backend)

    assert asked(ask) is True


def test_many_questions_are_each_answered_at_once(asked: Asked):
    question = Question("own", "SELECT $1::bigint")

    async def ask(opened: Connection) -> object:
        return [await opened.ask(question, (number,)) for number in range(500)]

    assert asked(ask) == [(number,) for number in range(500)]


@pytest.mark.parametrize("size", [8_191, 8_192, 16_384, 16_385, 100_000, 20_000_000])
def test_an_answer_of_many_records_is_taken_whole(asked: Asked, size: int):
    question = Question("long", "SELECT repeat('x', $1::bigint::int)")
    assert asked(lambda opened: opened.ask(question, (size,))) == ("x" * size,)


def test_a_question_of_many_records_is_sent_whole(asked: Asked):
    value = b"x" * 20_000_000
    assert asked(lambda opened: opened.ask(Question("echo", "SELECT $1::bytea"), (value,))) == (value,)


def test_a_notice_before_the_answer_does_not_pass_for_it(asked: Asked):
    told: list[str | None] = []
    function = """CREATE FUNCTION pg_temp.told(text) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN RAISE WARNING '%', $1; PERFORM pg_sleep(0.1); RAISE WARNING 'again'; RETURN $1; END $$"""

    async def ask(opened: Connection) -> object:
        opened.add_notice_handler(lambda notice: told.append(notice.message_primary))
        await opened.execute(function)
        return await opened.ask(Question("told", "SELECT pg_temp.told($1::text)"), ("first",))

    assert asked(ask) == ("first",)
    assert told == ["first", "again"]


def test_a_question_that_is_given_up_stops_and_the_connection_goes_on(asked: Asked):
    async def ask(opened: Connection) -> object:
        given_up = asyncio.create_task(opened.ask(Question("sleep", "SELECT pg_sleep(600)"), ()))
        await asyncio.sleep(0.2)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        return await opened.ask(Question("two", "SELECT 2"), ())

    assert asked(ask) == (2,)


def test_a_model_call_is_held_and_settled_by_tls():
    run = make_run(make_tenant(), token="t")
    open_escrow(run=run)
    asyncio.run(_one_call(Ledger("test", pool_size=2)))
    with platform():
        assert TokenUsage.objects.get(agent_run_id=run.pk).input_tokens == 10


async def _one_call(ledger: Ledger) -> None:
    async with asyncio.timeout(HANGS_SECONDS):
        await ledger.open()
        try:
            admission = await ledger.admit(hashlib.sha256(b"t").digest(), "scripted-demo")
            assert admission is not None
            request_id = uuid4()
            hold = await ledger.open_call(request_id, admission, MessagesRequest(b"x" * 400, "scripted-demo", 100))
            assert hold.refusal == ""
            tokens = Tokens(10, 20, 30, 40)
            await ledger.settle(Settlement(request_id, admission.run_created_at, tokens, "msg", is_estimated=False))
        finally:
            await ledger.close()


def test_a_backup_is_made_by_tls(server: TlsPostgresql, settings, tmp_path: Path):
    settings.DATABASE_BACKUP_URL = server.url("backup")
    call_command("backup", str(tmp_path), stdout=StringIO())
    out = StringIO()
    call_command("backup", str(tmp_path), "--verify", stdout=out)
    assert out.getvalue().endswith(": every file is as it was written\n")


def test_a_certificate_for_another_name_is_refused_with_both_names(server: TlsPostgresql, settings, tmp_path: Path):
    elsewhere = server.url("backup", host="localhost")
    said = r'server certificate for "postgres" .* does not match host name "localhost"'
    settings.DATABASE_BACKUP_URL = elsewhere
    with pytest.raises(CommandError, match=f"DATABASE_BACKUP_URL does not open: .*{said}"):
        call_command("backup", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    connection.settings_dict["HOST"] = "localhost"
    with pytest.raises(psycopg.OperationalError, match=said):
        asyncio.run(Connection.connect(**connection_parameters()))


def test_an_authority_that_nobody_told_us_of_is_refused(server: TlsPostgresql, tmp_path: Path):
    certificates.make(tmp_path, ["127.0.0.1"])
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(server.url("app", authority=tmp_path / "public" / "ca.crt"))


def test_nobody_gets_in_without_tls(server: TlsPostgresql):
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry .* no encryption"):
        psycopg.connect(server.url("app").replace("verify-full", "disable"))
