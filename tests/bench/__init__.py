"""`make bench`: every figure of the data platform beside plain SQL on the same server in the same run.

How to add a figure: write a generator in the room of your part (`logs.py`, `ledger.py`, `search.py`, `dashboard.py`,
`partitions.py`, `prompts.py`, `gateway.py`; a new room is named in `ROOMS` of `rooms.py`)::

    from tests.bench.context import Bench
    from tests.bench.figures import Figure, at_most, measure, time_calls

    @measure()                       # phase "read"; "write" for what adds rows, "drop" for what takes them away
    def first_page(bench: Bench) -> Iterator[Figure]:
        with bench.as_tenant():      # Django's connection as paid_tenant of the large account, asserted
            ours = time_calls(lambda: run_page(bench.world.account_id, RunFilter(), after=None, size=50))
        with bench.connect("owner") as plain:
            base = time_calls(lambda: plain.execute(PLAIN_SQL).fetchall())
        yield Figure("first page of runs", ours.p95_ms, "ms", at_most(20), base.p95_ms, "the same in plain SQL")

Call the application's own function, never a copy of its query. A figure is yielded as soon as it is known: it is
printed at once, and stays when a later one of the same generator fails. What a generator raises is reported as its
result and the others go on. `bench.world` knows the seeded ids and words, `bench.sizes` the wanted volume,
`bench.say` prints progress, `crowd.run_crowd` runs a function in many processes that start together.
Rooms are imported when Django is ready, so they import models at their top like any other module.

All "read" figures come first, in the order of the rooms, then "write", then "drop". Sizes follow `bench.sizes`: the
smallest one runs in the test-suite (`test_bench.py`) in seconds.
"""
