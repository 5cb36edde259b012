"""What the gateway adds to a call: `python -m tests.bench.gateway_overhead [CALLS]`.

Asks the scripted model the same streamed question directly and through the gateway, one after the other, and prints
the medians of the time to the first byte and of the whole call. Needs the test servers only; leaves nothing behind.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.servers import TestServers

QUESTION = {
    "model": "scripted-demo",
    "max_tokens": 1000,
    "stream": True,
    "system": "You mend code. " * 3000,
    "messages": [{"role": "user", "content": "Hi"}],
    "tools": [{"name": name, "input_schema": {"type": "object"}} for name in ("Bash", "Edit", "Read")],
}


def measure(client: Any, url: str, headers: dict[str, str], calls: int) -> dict[str, float]:
    first, whole = [], []
    for _ in range(calls):
        begin = time.perf_counter()
        with client.stream("POST", url, json=QUESTION, headers=headers) as response:
            response.raise_for_status()
            chunks = response.iter_raw()
            next(chunks)
            first.append(time.perf_counter() - begin)
            for _ in chunks:
                pass
        whole.append(time.perf_counter() - begin)
    return {
        "first_byte_p50_ms": round(statistics.median(first) * 1000, 2),
        "whole_p50_ms": round(statistics.median(whole) * 1000, 2),
        "whole_p95_ms": round(statistics.quantiles(whole, n=20)[18] * 1000, 2),
    }


def main(calls: int) -> None:
    servers = TestServers()
    servers.start()
    os.environ["DJANGO_SETTINGS_MODULE"] = "paid.settings"
    try:
        _measure_on(calls)
    finally:
        servers.stop()


def _measure_on(calls: int) -> None:
    # Django reads its settings when it is imported: after the servers have written their addresses.
    import django  # noqa: PLC0415

    django.setup()
    import httpx  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415
    from django.test.utils import setup_databases, teardown_databases  # noqa: PLC0415

    from metrics.gateway.server import build_gateway, listening_socket  # noqa: PLC0415
    from metrics.operations import open_escrow  # noqa: PLC0415
    from metrics.scripted_model.app import ScriptedModel  # noqa: PLC0415
    from tests.metrics.records import make_run, make_tenant  # noqa: PLC0415
    from tests.metrics.serving import serving, tcp_socket  # noqa: PLC0415

    created = setup_databases(verbosity=0, interactive=False, serialized_aliases=set())
    from django.db import connections  # noqa: PLC0415

    connections["default"].settings_dict["TEST"]["MIRROR"] = None
    connections["owner"].close()
    listener = tcp_socket()
    settings.SCRIPTED_MODEL_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"
    open_escrow(run=make_run(make_tenant(), token="t"), wanted_usd=Decimal(1000))
    with tempfile.TemporaryDirectory() as directory, serving(ScriptedModel(), listener):
        path = Path(directory) / "g.sock"
        with listening_socket(path) as unix, serving(build_gateway("bench"), unix), httpx.Client() as direct:
            through = httpx.Client(transport=httpx.HTTPTransport(uds=str(path)))
            key, token = {"x-api-key": "k"}, {"authorization": "Bearer t"}
            for warm in (5, calls):
                results = {
                    "direct": measure(direct, f"{settings.SCRIPTED_MODEL_URL}/v1/messages", key, warm),
                    "gateway": measure(through, "http://gateway.local/v1/messages", token, warm),
                }
    print(json.dumps({"calls": calls, **results}))  # noqa: T201 - the result
    default: Any = connections["default"]
    default.close()
    default.close_pool()
    teardown_databases(created, verbosity=0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
