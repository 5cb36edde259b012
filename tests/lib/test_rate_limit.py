"""One quota for all processes; Redis away costs a process a few milliseconds now and then, and never lets it hang."""

import socket
from collections.abc import Iterator
from uuid import uuid4

import pytest
import time_machine

from paid.lib import rate_limit
from paid.lib.rate_limit import AWAY_SECONDS, RateLimit, Standing
from tests.metrics.serving import tcp_socket


@pytest.fixture
def key() -> str:
    return uuid4().hex


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel("2026-11-28T12:00:20Z", tick=False) as traveller:
        yield traveller


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Redis that answers late on a slow machine is not taken for one that is away."""
    monkeypatch.setattr(rate_limit, "PATIENCE_SECONDS", 30)
    rate_limit._client.cache_clear()
    yield
    rate_limit._client.cache_clear()


@pytest.mark.usefixtures("patience")
def test_it_lets_the_quota_through_and_no_more_until_the_next_window(key, clock):
    limit = RateLimit("test", 3)

    assert [limit.take(key) for _ in range(5)] == [
        Standing(remaining=2, reset_seconds=40, is_exceeded=False),
        Standing(remaining=1, reset_seconds=40, is_exceeded=False),
        Standing(remaining=0, reset_seconds=40, is_exceeded=False),
        Standing(remaining=0, reset_seconds=40, is_exceeded=True),
        Standing(remaining=0, reset_seconds=40, is_exceeded=True),
    ]
    assert limit.is_exceeded(key)
    assert not limit.is_exceeded(f"{key} of somebody else")
    clock.shift(40)
    assert limit.take(key) == Standing(remaining=2, reset_seconds=60, is_exceeded=False)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("quota", [20, 100, 101])
def test_all_processes_share_one_quota(key, clock, quota):
    processes = [RateLimit("test", quota) for _ in range(3)]
    answers = [process.take(key) for _ in range(quota) for process in processes]

    assert sum(not standing.is_exceeded for standing in answers) == quota
    assert [standing.remaining for standing in answers[-3:]] == [0, 0, 0]


def _address(listener: socket.socket) -> str:
    return f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def test_while_redis_is_silent_it_counts_alone_and_waits_once(key, clock, settings, capsys, monkeypatch):
    monkeypatch.setattr(rate_limit, "AWAY_SECONDS", 300)
    # A server that takes connections and says nothing is worse than none.
    with tcp_socket() as silent:
        settings.REDIS_URL = _address(silent)
        limit = RateLimit("test", 4)
        answers = [limit.take(key).is_exceeded for _ in range(6)]
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()

    assert answers == [False] * 4 + [True] * 2


@pytest.mark.usefixtures("patience")
def test_it_asks_again_when_redis_has_been_away_for_a_while(key, clock, settings):
    working = settings.REDIS_URL
    limit, other = RateLimit("test", 4), RateLimit("test", 4)
    assert [other.take(key).remaining for _ in range(2)] == [3, 2]
    with tcp_socket() as gone:
        settings.REDIS_URL = _address(gone)
    assert limit.take(key).remaining == 3
    settings.REDIS_URL = working
    assert limit.take(key).remaining == 2
    limit._away_until -= AWAY_SECONDS

    assert limit.take(key).remaining == 1
    assert limit.take(key).remaining == 0
    assert limit.take(key).is_exceeded
