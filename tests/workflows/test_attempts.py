"""Attempts of one activity on one host, as Temporal's own activity environment plays them."""

import contextlib
import dataclasses
import errno
import os
import threading
from pathlib import Path

import pytest
from django.db import OperationalError, connections
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from agent_runs.contracts import ExitRecord
from agent_runs.supervisor import files
from tests.metrics.records import make_run, make_tenant
from workflows.activities import agent, attempts
from workflows.activities.attempts import alone_in, bounded_surprises

SECONDS = 60
NOON = "2026-01-01T12:00:00+00:00"


@contextlib.contextmanager
def somebody_at_work_in(run_dir: Path):
    began, let_go = threading.Event(), threading.Event()

    def work() -> None:
        with alone_in(run_dir):
            began.set()
            assert let_go.wait(SECONDS)

    thread = threading.Thread(target=ActivityEnvironment().run, args=(work,))
    thread.start()
    assert began.wait(SECONDS)
    try:
        yield let_go
    finally:
        let_go.set()
        thread.join()


def test_it_shows_that_it_lives_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attempts, "BEAT_SECONDS", 0.01)
    environment, beats = ActivityEnvironment(), threading.Semaphore(0)
    environment.on_heartbeat = lambda *_: beats.release()

    def work() -> list[bool]:
        with alone_in(tmp_path / "7"):
            return [beats.acquire(timeout=SECONDS) for _ in range(3)]

    assert environment.run(work) == [True, True, True]


def test_a_second_attempt_waits_until_the_first_lets_go(tmp_path: Path):
    second_began = threading.Event()

    def second() -> None:
        with alone_in(tmp_path / "7"):
            second_began.set()

    with somebody_at_work_in(tmp_path / "7") as let_go:
        waiting = threading.Thread(target=ActivityEnvironment().run, args=(second,))
        waiting.start()
        assert not second_began.wait(0.5)
        let_go.set()
        waiting.join(SECONDS)
    assert second_began.is_set()


def test_an_attempt_that_was_superseded_while_it_waited_does_not_begin(tmp_path: Path):
    environment, begun = ActivityEnvironment(), []

    def superseded() -> None:
        with alone_in(tmp_path / "7"):
            begun.append(True)

    with somebody_at_work_in(tmp_path / "7"):
        environment.cancel()
        with pytest.raises(ApplicationError, match="Another attempt has taken over"):
            environment.run(superseded)
    assert begun == []


@pytest.mark.django_db(transaction=True)
def test_a_thread_that_waits_for_its_agent_holds_no_connection(tmp_path: Path):
    run = make_run(make_tenant())
    lock = files.open_lock(str(tmp_path))
    assert files.take_lock(lock)
    environment, held = ActivityEnvironment(), []

    def beat(*_: object) -> None:
        held.append(connections["default"].connection is not None)
        if len(held) == 2:
            files.write_exit(str(tmp_path), ExitRecord("finished", 0, True, NOON, NOON))

    environment.on_heartbeat = beat
    environment.run(agent._Follower(run, str(tmp_path)).follow)
    os.close(lock)
    # The first look at the spool asks the database what is written; the second, after a wait, has nothing to ask.
    assert held[:2] == [True, False]


def raised_in_attempt(number: int, error: Exception) -> BaseException:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, attempt=number)

    def step() -> None:
        with bounded_surprises():
            raise error

    with pytest.raises(Exception) as raised:
        environment.run(step)
    return raised.value


def test_an_error_that_nobody_foresaw_ends_a_patient_step_with_its_fifth_attempt():
    assert isinstance(raised_in_attempt(4, KeyError("secret")), KeyError)
    ended = raised_in_attempt(5, KeyError("secret"))
    assert isinstance(ended, ApplicationError)
    assert (ended.non_retryable, ended.message) == (True, "KeyError")


@pytest.mark.parametrize(
    "error", [OperationalError("away"), OSError(errno.ENOSPC, "full"), ApplicationError("wait")], ids=repr
)
def test_what_heals_is_waited_for_however_long(error: Exception):
    assert raised_in_attempt(500, error) is error
