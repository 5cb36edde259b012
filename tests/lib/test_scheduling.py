"""How tests are given to workers, and what becomes of the tests of a worker that dies."""

from pathlib import Path
from types import SimpleNamespace

from tests.scheduling import Scheduling

OF_BACKUPS = ["tests/backups/test_backup.py::test_a", "tests/backups/test_restore.py::test_b"]
ALONE = [f"tests/lib/test_sql.py::test_{number}" for number in range(8)]


class Worker:
    """What the scheduler knows of one of its processes: tests are sent, of which it does all but the last at once."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.sent: list[int] = []
        self.done: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    def next_test(self) -> int | None:
        waiting = self.sent[len(self.done) :]
        return waiting[0] if len(waiting) > 1 or (waiting and self.shutting_down) else None


def scheduling_of(*workers: Worker) -> Scheduling:
    config = SimpleNamespace(
        rootpath=Path(__file__).resolve().parents[2],
        option=SimpleNamespace(loadscopereorder=True),
        getvalue=lambda _: [f"{len(workers)}*popen"],
    )
    scheduling = Scheduling(config)  # type: ignore[arg-type]
    for worker in workers:
        join(scheduling, worker)
    scheduling.schedule()
    return scheduling


def join(scheduling: Scheduling, worker: Worker) -> None:
    scheduling.add_node(worker)
    scheduling.add_node_collection(worker, [*ALONE, *OF_BACKUPS])


def work(scheduling: Scheduling, *workers: Worker, at_most: int = 100) -> None:
    for _ in range(at_most):
        for worker in workers:
            test = worker.next_test()
            if test is not None:
                worker.done.append(test)
                scheduling.mark_test_complete(worker, test)


def test_tests_that_share_a_server_are_one_workers():
    first, second = Worker("first"), Worker("second")
    work(scheduling_of(first, second), first, second)
    assert sorted(first.done + second.done) == list(range(10))
    assert {8, 9} <= set(first.done)


def test_the_rest_of_a_dead_workers_tests_is_done_and_the_run_comes_to_its_end():
    first, second, heir = Worker("first"), Worker("second"), Worker("heir")
    scheduling = scheduling_of(first, second)
    work(scheduling, first, second, at_most=2)
    deadly = second.sent[len(second.done)]
    assert scheduling.remove_node(second) == scheduling.collection[deadly]
    work(scheduling, first)
    join(scheduling, heir)
    scheduling.schedule()
    work(scheduling, first, heir)
    assert sorted(first.done + second.done + heir.done) == [test for test in range(10) if test != deadly]
    assert scheduling.tests_finished
