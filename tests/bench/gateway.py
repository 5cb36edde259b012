"""What the gateway adds to a call of a model: the same streamed question asked directly and through the gateway.

Model, gateway and client are processes of their own, as on a worker host.
"""

import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import httpx

from metrics.operations import open_escrow
from paid.stack.embedded import answers, free_port
from tests.bench.context import Bench
from tests.bench.figures import Figure, Timings, measure
from tests.bench.processes import running
from tests.metrics.records import make_run, make_tenant

CALLS, WARM = 200, 10
TOKEN = "bench"
QUESTION = {
    "model": "scripted-demo",
    "max_tokens": 1000,
    "stream": True,
    "system": "You mend code. " * 3000,
    "messages": [{"role": "user", "content": "Hi"}],
    "tools": [{"name": name, "input_schema": {"type": "object"}} for name in ("Bash", "Edit", "Read")],
}


@measure("write")
def gateway_overhead(bench: Bench) -> Iterator[Figure]:
    open_escrow(run=make_run(make_tenant(), token=TOKEN), wanted_usd=Decimal(1000))
    calls = CALLS if bench.sizes.seconds >= 1 else 5
    model_port = free_port()
    address = f"http://127.0.0.1:{model_port}"
    environment = {"SCRIPTED_MODEL_URL": address, "SCRIPTED_MODEL_DELAY_SECONDS": "0"}
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="paid-bench-gateway-"))
        path = Path(directory) / "g.sock"
        model = ["manage.py", "scripted_model"]
        stack.enter_context(running(model, lambda: answers(model_port), environment))
        gateway = ["manage.py", "gateway", "--socket", str(path)]
        stack.enter_context(running(gateway, lambda: _listens(path), environment))
        direct = stack.enter_context(httpx.Client(base_url=address, headers={"x-api-key": "k"}))
        through = stack.enter_context(
            httpx.Client(
                base_url="http://gateway.local",
                headers={"authorization": f"Bearer {TOKEN}"},
                transport=httpx.HTTPTransport(uds=str(path)),
            )
        )
        for client in (direct, through):
            ask(client, WARM)
        # In turns, so that a neighbour's load falls on both.
        taken = [(ask(direct, 1), ask(through, 1)) for _ in range(calls)]
    for name, place in (("first byte", 0), ("whole answer", 1)):
        base = Timings.of_seconds([seconds for pair in taken for seconds in pair[0][place]])
        ours = Timings.of_seconds([seconds for pair in taken for seconds in pair[1][place]])
        yield Figure(
            f"gateway: {name} of a streamed call, p50",
            ours.p50_ms,
            "ms",
            None,
            base.p50_ms,
            "the model asked directly",
            f"adds {ours.p50_ms - base.p50_ms:.1f} ms: run token, escrow, ledger",
            {"ours": ours.details, "directly": base.details},
        )


def ask(client: httpx.Client, calls: int) -> tuple[list[float], list[float]]:
    """Seconds to the first byte, and of the whole call."""
    first, whole = [], []
    for _ in range(calls):
        begin = time.perf_counter()
        with client.stream("POST", "/v1/messages", json=QUESTION) as response:
            response.raise_for_status()
            chunks = response.iter_raw()
            next(chunks)
            first.append(time.perf_counter() - begin)
            for _ in chunks:
                pass
        whole.append(time.perf_counter() - begin)
    return first, whole


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return path.exists() and probe.connect_ex(str(path)) == 0
