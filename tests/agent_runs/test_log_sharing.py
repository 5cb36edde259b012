"""Batches share a commit, and nothing else: what one of them meets is its own."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from agent_runs import log_sharing
from agent_runs.log_sharing import LEADERS, SharedWriter
from tests.agent_runs.processes import wait_until


class Disk:
    """Takes groups of texts, each as slowly as it is told, and refuses a group that holds the word."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.is_open = threading.Event()
        self.entered = threading.Semaphore(0)
        self._lock = threading.Lock()

    def copy(self, texts: Sequence[bytes]) -> None:
        self.entered.release()
        assert self.is_open.wait(30)
        if b"bad" in texts:
            raise ValueError("one of them is bad")
        with self._lock:
            self.groups.append(list(texts))


def gathered(
    writer: SharedWriter, disk: Disk, pool: ThreadPoolExecutor, texts: Sequence[bytes]
) -> list["Future[None]"]:
    """The first ones are under way, each alone; the others have come meanwhile and wait."""
    under_way = [pool.submit(writer.write, b"first") for _ in range(LEADERS)]
    for _ in under_way:
        assert disk.entered.acquire(timeout=30)
    waiting = [pool.submit(writer.write, text) for text in texts]
    wait_until(lambda: len(writer._waiting) == len(texts))
    disk.is_open.set()
    for each in under_way:
        each.result(30)
    return waiting


def test_what_comes_while_others_write_is_written_together() -> None:
    disk = Disk()
    writer = SharedWriter(disk.copy)
    with ThreadPoolExecutor(10) as pool:
        for each in gathered(writer, disk, pool, [b"a", b"b", b"c", b"d"]):
            each.result(30)
    assert sorted(text for group in disk.groups for text in group) == [b"a", b"b", b"c", b"d", b"first", b"first"]
    assert len(disk.groups) <= 2 * LEADERS


def test_a_text_that_cannot_be_written_fails_alone() -> None:
    disk = Disk()
    writer = SharedWriter(disk.copy)
    with ThreadPoolExecutor(10) as pool:
        good, bad, also_good = gathered(writer, disk, pool, [b"a", b"bad", b"c"])
        good.result(30)
        also_good.result(30)
        with pytest.raises(ValueError, match="one of them is bad"):
            bad.result(30)
    assert sorted(text for group in disk.groups for text in group) == [b"a", b"c", b"first", b"first"]


def test_a_lone_writer_writes_at_once_and_again() -> None:
    disk = Disk()
    disk.is_open.set()
    writer = SharedWriter(disk.copy)
    for text in (b"one", b"two"):
        writer.write(text)
    assert disk.groups == [[b"one"], [b"two"]]


def test_a_group_is_no_larger_than_one_copy_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_sharing, "GROUP_BYTES", 10)
    disk = Disk()
    writer = SharedWriter(disk.copy)
    texts = [b"x" * 6 for _ in range(5)]
    with ThreadPoolExecutor(10) as pool:
        for each in gathered(writer, disk, pool, texts):
            each.result(30)
    assert [len(group) for group in disk.groups] == [1] * (len(texts) + LEADERS)
