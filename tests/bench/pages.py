"""Pages over HTTP as a signed-in member of the large account sees them: real server, session, templates and all."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import httpx
from django.conf import settings
from django.test import Client

from accounts.models import User
from paid.stack.embedded import answers, free_port
from tests.bench.context import Bench
from tests.bench.figures import Figure, measure, time_calls
from tests.bench.processes import running

SLUG = "bench-1"
SAMPLES = 60
# Of a machine that is busy with other things.
PATIENCE_SECONDS = 60.0


@contextmanager
def web_server() -> Iterator[str]:
    """The address of the application under uvicorn, as `make up` serves it."""
    port = free_port()
    argv = ["-m", "uvicorn", "paid.asgi:application", "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    address = f"http://127.0.0.1:{port}"
    # Requests of the API are counted as always, and never too many.
    environment = {"PORT": str(port), "API_REQUESTS_PER_MINUTE": "10000000"}
    with running(argv, lambda: answers(port), environment):
        # The first request imports every page's view.
        httpx.get(f"{address}/sign-in/", timeout=PATIENCE_SECONDS)
        yield address


def session_of(user_id: int) -> dict[str, str]:
    """The cookie that signing in gives, without its page."""
    client = Client()
    client.force_login(User.objects.using("owner").get(pk=user_id), settings.AUTHENTICATION_BACKENDS[0])
    return {settings.SESSION_COOKIE_NAME: client.cookies[settings.SESSION_COOKIE_NAME].value}


@measure()
def pages(bench: Bench) -> Iterator[Figure]:
    world, account = bench.world, f"/a/{SLUG}"
    asked = {
        "overview: spend, runs by status, failures, 30 days": f"{account}/",
        "first page of failed runs": f"{account}/runs/?status=failed",
        "first page of failed runs of a project": f"{account}/runs/?status=failed&project={world.project_id}",
        "one run with its log": f"{account}/runs/{world.longest_run.run_id}/",
        "all projects": f"{account}/projects/",
        "a project with its newest issues": f"{account}/projects/{world.project_id}/",
        "first page of all prompts": f"{account}/prompts/",
        "prompts that mention a rare word": f"{account}/prompts/?text={world.rare_word}",
    }
    samples = SAMPLES if bench.sizes.seconds >= 1 else 5
    with (
        web_server() as address,
        httpx.Client(base_url=address, cookies=session_of(world.user_id), timeout=PATIENCE_SECONDS) as client,
    ):
        with httpx.Client(base_url=address, timeout=PATIENCE_SECONDS) as stranger:
            base = time_calls(partial(_get, stranger, "/sign-in/"), samples=samples)
        for name, path in asked.items():
            ours = time_calls(partial(_get, client, path), samples=samples)
            yield Figure(
                f"page over HTTP, {name}, p50",
                ours.p50_ms,
                "ms",
                None,
                base.p50_ms,
                "the sign-in page",
                f"p95 {ours.p95_ms:.3g} ms",
                ours.details,
            )


def _get(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    if answer.status_code != httpx.codes.OK or len(answer.content) < 1000:
        raise LookupError(f"{path}: {answer.status_code}, {len(answer.content)} bytes")
