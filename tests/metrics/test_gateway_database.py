"""The gateway's connections: a call from hold to settlement, values that nobody can take, functions that change."""

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import uvloop
from django.conf import settings
from django.db import connection
from psycopg.pq import TransactionStatus

from metrics.gateway.anthropic import MessagesRequest, Tokens
from metrics.gateway.database import Connection, Question, _has_socket, connection_parameters
from metrics.gateway.ledger import Ledger, Settlement
from metrics.models import GatewayCall, TokenUsage, UsageDaily
from metrics.operations import open_escrow
from paid.lib.sql import sections
from paid.lib.tenancy import platform
from paid.stack import certificates
from tests.database import owner_connection
from tests.metrics.records import make_run, make_tenant
from tests.metrics.relaying import Relay

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST = MessagesRequest(b"x" * 400, "scripted-demo", 100)
ECHO = Question("echo", "SELECT $1::uuid, $2::text, $3::bytea, $4::bigint, $5::boolean, $6::timestamptz, $7::text")


Ask = Callable[[Connection], Awaitable[object]]
Asked = Callable[[Ask], object]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine; on the loop of the gateway's server too, which tells of a socket's errors in its own way."""
    run: Run = request.param
    return run


@pytest.fixture
def asked(loop: Run) -> Asked:
    def run(ask: Ask) -> object:
        async def go() -> object:
            async with await Connection.connect(**connection_parameters()) as opened:
                return await ask(opened)

        return loop(go())

    return run


VALUES = (uuid4(), "Ä\\'\n", b"\x00\xff", -(2**63), True, datetime(1970, 1, 1, 0, 0, 0, 1, UTC), None)


def test_values_come_back_as_they_went(asked: Asked):
    assert asked(lambda opened: opened.ask(ECHO, VALUES)) == VALUES


def test_it_is_the_platform_from_its_start(asked: Asked):
    who = Question("who", "SELECT current_user::text, session_user::text")
    assert asked(lambda opened: opened.ask(who, ())) == ("paid_platform", "paid_app")


BY_NETWORK = Question("by_network", "SELECT inet_server_port() IS NOT NULL")


@pytest.mark.skipif(not settings.DATABASE_SOCKET_DIRECTORY, reason="this PostgreSQL has no Unix socket that we know of")
def test_it_asks_by_the_servers_socket(asked: Asked):
    assert asked(lambda opened: opened.ask(BY_NETWORK, ())) == (False,)


@pytest.mark.parametrize("elsewhere", ["", "/nowhere"])
def test_without_that_socket_it_asks_over_the_network(asked: Asked, settings, elsewhere: str):
    settings.DATABASE_SOCKET_DIRECTORY = elsewhere
    assert asked(lambda opened: opened.ask(BY_NETWORK, ())) == (True,)


def test_the_socket_of_another_host_is_not_this_ones():
    assert not _has_socket({"host": "database.internal", "port": connection_parameters()["port"]})


@pytest.mark.parametrize("value", [2**63, "NUL \x00", "half a pair \ud800"])
def test_a_value_that_the_database_has_no_form_for_is_refused_and_the_connection_goes_on(
    asked: Asked, value: int | str
):
    question = Question("one", f"SELECT $1::{'bigint' if isinstance(value, int) else 'text'}")

    async def ask(opened: Connection) -> object:
        with pytest.raises(psycopg.DataError):
            await opened.ask(question, [value])
        return await opened.ask(Question("two", "SELECT 2"), ())

    assert asked(ask) == (2,)


def test_an_error_of_a_function_keeps_its_code_and_the_connection_goes_on(asked: Asked):
    settle = Question("settle", "SELECT gateway_settle_call($1, '', 1, 1, 1, 1, 0, false, $2)")

    async def ask(opened: Connection) -> object:
        with pytest.raises(psycopg.Error, match="was never booked") as caught:
            await opened.ask(settle, [uuid4(), b""])
        assert caught.value.sqlstate == "PA404"
        return await opened.ask(Question("two", "SELECT 2"), ())

    assert asked(ask) == (2,)


def test_a_call_goes_from_its_hold_to_its_settlement():
    run = make_run(make_tenant(), token="t")
    open_escrow(run=run)
    asyncio.run(_hold_note_and_settle(Ledger("test", pool_size=1)))
    _assert_booked_once(run.pk)


def test_functions_that_a_migration_replaces_are_found_again():
    run = make_run(make_tenant(), token="t")
    open_escrow(run=run)
    asyncio.run(_hold_note_and_settle(Ledger("test", pool_size=1), meanwhile=_replace_functions))
    _assert_booked_once(run.pk)


def test_a_settlement_leaves_other_rows_of_its_transaction_to_the_trigger():
    run = make_run(make_tenant(), token="t")
    open_escrow(run=run)
    with platform(), connection.cursor() as cursor:
        call = uuid4()
        cursor.execute(
            "SELECT gateway_open_call(%s, %s, %s, 'scripted-demo', 'test', 1000, 500, 100, false)",
            [call, run.pk, run.language_model_id],
        )
        cursor.execute("SELECT gateway_settle_call(%s, 'req_1', 100, 20, 0, 0, 0, false, %s)", [call, b"p" * 32])
        cursor.execute(
            "SELECT outcome FROM ledger_report_usage(%s, %s, 'req_2', 'scripted-demo', now(), 10, 10, 0, 0, 0, %s)",
            [run.pk, uuid4(), b"q" * 32],
        )
        assert cursor.fetchone() == ("booked",)
    with platform():
        assert UsageDaily.objects.get().calls == TokenUsage.objects.count() == 2


async def _hold_note_and_settle(ledger: Ledger, meanwhile: Callable[[], None] | None = None) -> None:
    await ledger.open()
    try:
        for _ in range(1 if meanwhile is None else 2):
            admission = await ledger.admit(hashlib.sha256(b"t").digest(), "scripted-demo")
            assert admission is not None
            request_id = uuid4()
            hold = await ledger.open_call(request_id, admission, REQUEST)
            assert (hold.refusal, hold.hold_usd > 0, hold.left_usd > 0) == ("", True, True)
            await ledger.note(request_id, Tokens(input=9))
            if meanwhile is not None:
                await ledger.release(request_id)
                await asyncio.to_thread(meanwhile)
                meanwhile = None
                continue
            settlement = Settlement(request_id, admission.run_created_at, Tokens(10, 20, 30, 40), "msg", False)
            await ledger.settle(settlement)
            await ledger.settle(settlement)
    finally:
        await ledger.close()


def _assert_booked_once(run_id: int) -> None:
    with platform():
        usage = TokenUsage.objects.get()
        assert not GatewayCall.objects.exists()
    assert (usage.agent_run_id, usage.provider_request_id, usage.input_tokens) == (run_id, "msg", 10)


def _replace_functions() -> None:
    with owner_connection() as owner:
        parts = sections("metrics", "gateway_calls")
        for part in [*(each for each in parts if each.is_reverse), *(each for each in parts if not each.is_reverse)]:
            owner.execute(part.sql.encode())


def test_a_question_that_is_given_up_while_it_is_prepared_can_be_asked_again(asked: Asked):
    question = Question("one", "SELECT 1")

    async def ask(opened: Connection) -> object:
        given_up = asyncio.create_task(opened.ask(question, ()))
        await asyncio.sleep(0)
        assert opened.pgconn.transaction_status == TransactionStatus.ACTIVE
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        return await opened.ask(question, ())

    assert asked(ask) == (1,)


def test_a_session_that_was_reset_is_prepared_anew(asked: Asked):
    question = Question("one", "SELECT current_user::text")

    async def ask(opened: Connection) -> object:
        await opened.ask(question, ())
        await opened.execute("DISCARD ALL")
        return await opened.ask(question, ())

    assert asked(ask) == ("paid_platform",)


def test_a_function_that_gives_another_type_is_prepared_anew(asked: Asked):
    """As a migration does to one beside a live gateway."""
    question = Question("one", "SELECT pg_temp.one()")

    async def ask(opened: Connection) -> object:
        await opened.execute("CREATE FUNCTION pg_temp.one() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'")
        await opened.ask(question, ())
        await opened.execute("DROP FUNCTION pg_temp.one()")
        await opened.execute("CREATE FUNCTION pg_temp.one() RETURNS text LANGUAGE sql AS $$SELECT 'one'$$")
        return await opened.ask(question, ())

    assert asked(ask) == ("one",)


BACKEND = Question("backend", "SELECT pg_backend_pid()::bigint")


def test_a_question_that_is_given_up_stops_at_the_server_and_the_connection_goes_on(asked: Asked):
    question = Question("sleep", "SELECT pg_sleep(60)")

    async def ask(opened: Connection) -> object:
        backend = await opened.ask(BACKEND, ())
        given_up = asyncio.create_task(opened.ask(question, ()))
        await asyncio.sleep(0.2)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert opened.pgconn.transaction_status == TransactionStatus.IDLE
        assert await opened.ask(BACKEND, ()) == backend
        return await opened.ask(ECHO, VALUES)

    assert asked(ask) == VALUES


def test_a_value_that_the_socket_does_not_take_at_once_comes_back_as_it_went(asked: Asked):
    values = (*VALUES[:2], b"x" * 20_000_000, *VALUES[3:])
    assert asked(lambda opened: opened.ask(ECHO, values)) == values


def test_many_questions_on_many_connections_get_their_own_answers(loop: Run):
    question = Question("own", "SELECT $1::bigint, pg_sleep(0.001)")

    async def ask(numbers: range) -> list[object]:
        async with await Connection.connect(**connection_parameters()) as opened:
            return [(await opened.ask(question, (number,)) or ())[0] for number in numbers]

    async def ask_all() -> list[list[object]]:
        return await asyncio.gather(*(ask(range(first, first + 50)) for first in range(0, 400, 50)))

    assert [number for each in loop(ask_all()) for number in each] == list(range(400))


@pytest.mark.parametrize("is_asking", [True, False])
def test_a_server_that_goes_away_is_told_and_leaves_no_reader_in_the_loop(asked: Asked, *, is_asking: bool):
    question = Question("sleep", "SELECT pg_sleep(60)")

    async def ask(opened: Connection) -> object:
        (backend,) = await opened.ask(BACKEND, ()) or ()
        asking = asyncio.create_task(opened.ask(question, ())) if is_asking else None
        await asyncio.sleep(0.2)
        # Who has logged in as the same role may end it.
        async with await Connection.connect(**connection_parameters()) as other:
            await other.execute("SET ROLE NONE")
            await other.execute("SELECT pg_terminate_backend(%s)", [backend])
        for _ in range(600):
            if opened._listening is None:
                break
            await asyncio.sleep(0.1)
        assert opened._listening is None
        # The number of its socket may be another one's from now on.
        assert not asyncio.get_running_loop().remove_reader(opened._socket)
        with pytest.raises(psycopg.OperationalError):
            await (asking or opened.ask(BACKEND, ()))
        return opened.closed

    assert asked(ask) is True


def test_a_connection_that_is_closed_leaves_no_reader_in_the_loop(loop: Run):
    async def ask() -> bool:
        opened = await Connection.connect(**connection_parameters())
        await opened.ask(BACKEND, ())
        number = opened.pgconn.socket
        await opened.close()
        return opened._listening is not None or bool(asyncio.get_running_loop().remove_reader(number))

    assert loop(ask()) is False


def relayed(relay: Relay) -> dict[str, Any]:
    return connection_parameters() | {"host": "127.0.0.1", "port": relay.port, "sslmode": "disable"}


def test_last_words_of_a_server_that_reads_no_question_any_more_are_an_answer(loop: Run):
    """uvloop tells of both together, the words and the lost connection, and then of nothing any more."""

    async def ask(relay: Relay) -> None:
        opened = await Connection.connect(**relayed(relay))
        await opened.ask(BACKEND, ())
        relay.says_its_last_words.set()
        # Both waits hold up the loop, as others do that it is busy with.
        assert relay.reads_nothing.wait(60)
        asking = asyncio.create_task(opened.ask(BACKEND, ()))
        await asyncio.sleep(0)
        assert relay.has_ended.wait(60)
        with pytest.raises(psycopg.OperationalError):
            await asyncio.wait_for(asking, 60)
        await opened.close()

    with Relay(settings.DATABASES["default"]["HOST"], int(settings.DATABASES["default"]["PORT"])) as relay:
        loop(ask(relay))


def test_a_question_to_a_silent_server_can_be_given_up(loop: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("metrics.gateway.database.CANCEL_SECONDS", 0.3)

    async def ask(relay: Relay) -> bool:
        opened = await Connection.connect(**relayed(relay))
        await opened.ask(BACKEND, ())
        relay.is_silent.set()
        asking = asyncio.create_task(opened.ask(BACKEND, ()))
        await asyncio.sleep(0.1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return opened.closed

    with Relay(settings.DATABASES["default"]["HOST"], int(settings.DATABASES["default"]["PORT"])) as relay:
        assert loop(ask(relay)) is True


# Nearly two records of 16384 bytes: libpq has part of a row left from the first, and no room for all of the second.
ROWS = Question("rows", "SELECT repeat('x', 1011) FROM generate_series(1, 32)")


def test_what_openssl_holds_of_a_long_record_is_read_although_the_socket_tells_of_nothing(
    loop: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """PostgreSQL's own records are shorter, those of a proxy before it need not be."""
    monkeypatch.setattr("metrics.gateway.database.LOOK_SECONDS", 3600)
    certificates.make(tmp_path, ["127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server" / "server.crt", tmp_path / "server" / "server.key")
    verified = {"sslmode": "verify-full", "sslrootcert": str(tmp_path / "public" / "ca.crt")}

    async def ask(relay: Relay) -> int:
        opened = await Connection.connect(**relayed(relay) | verified)
        await opened.ask(BACKEND, ())
        relay.gathers.set()
        async with asyncio.timeout(60):
            return (await opened._result(ROWS, ())).ntuples

    with Relay(settings.DATABASES["default"]["HOST"], int(settings.DATABASES["default"]["PORT"]), tls) as relay:
        assert loop(ask(relay)) == 32
