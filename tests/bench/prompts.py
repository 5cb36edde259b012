"""Resolution of a prompt: in process, as the function that a run's start calls, and over HTTP as a program asks."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count

import httpx

from accounts.api_tokens import digest_of
from paid.stack.embedded import answers, free_port
from prompts.resolution import resolve_prompt
from tests.bench.bare_django import ONE_LOOK_UP
from tests.bench.context import Bench
from tests.bench.figures import Figure, Timings, below, measure, time_calls
from tests.bench.pages import web_server
from tests.bench.processes import running

SAMPLES = 1000
TOKEN = "paid_a-token-of-the-bench"
ADD_TOKEN = """
INSERT INTO api_tokens (account_id, name, digest, hint, scopes) VALUES (%s, 'bench', %s, 'paid_', '{prompts:read}')
ON CONFLICT DO NOTHING
"""


@measure()
def resolution_in_process(bench: Bench) -> Iterator[Figure]:
    """Each call is of another subject, so that the experiment's hash is computed, too."""
    world, subjects = bench.world, count(1)

    def resolve() -> object:
        return resolve_prompt(
            account_id=world.account_id,
            project_id=world.project_id,
            slug=world.prompt_slug,
            subject=str(next(subjects)),
        )

    with bench.as_tenant():
        ours = time_calls(resolve, samples=SAMPLES, warm=20)
    with bench.connect("tenant") as plain:
        base = time_calls(
            lambda: plain.execute(ONE_LOOK_UP, [world.prompt_version_id]).fetchone(), samples=SAMPLES, warm=20
        )
    yield Figure(
        "resolve_prompt in process, p95",
        ours.p95_ms,
        "ms",
        below(1),
        base.p95_ms,
        "one version by its key",
        "nearest scope, running experiment, sticky variant: one round trip",
        ours.details,
    )


@measure()
def resolution_over_http(bench: Bench) -> Iterator[Figure]:
    """Nothing is cached: each request looks its token up, then the prompt. In turns with bare Django."""
    world, subjects = bench.world, count(1)
    with bench.connect("owner") as owner:
        owner.execute(ADD_TOKEN, [world.account_id, digest_of(TOKEN)])
    with ExitStack() as stack:
        ours = stack.enter_context(_client(stack.enter_context(web_server())))
        bare = stack.enter_context(httpx.Client(base_url=stack.enter_context(bare_django())))

        def resolve() -> None:
            asked = {"slug": world.prompt_slug, "project_id": world.project_id, "subject": str(next(subjects))}
            answer = ours.post("/api/v1/prompts/resolve", json=asked)
            if answer.status_code != httpx.codes.OK:
                raise LookupError(answer.text)

        calls = (resolve, lambda: bare.get(f"/{world.prompt_version_id}").raise_for_status())
        for call in calls:
            time_calls(call, samples=50, warm=0)
        once = partial(time_calls, samples=1, warm=0)
        samples = SAMPLES if bench.sizes.seconds >= 1 else 50
        taken = [tuple(once(call).sorted_ms[0] for call in calls) for _ in range(samples)]
    resolved, looked_up = (Timings(tuple(sorted(column))) for column in zip(*taken, strict=True))
    yield Figure(
        "resolve over HTTP, uncached, token included, p50",
        resolved.p50_ms,
        "ms",
        below(4),
        looked_up.p50_ms,
        "bare Django, one row by its key",
        f"p95 {resolved.p95_ms:.3g} ms; token, scope, project, nearest scope, experiment, variant: one round trip",
        {"ours": resolved.details, "bare": looked_up.details},
    )


def _client(address: str) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {TOKEN}"})


@contextmanager
def bare_django() -> Iterator[str]:
    """Its address. It logs in as the same role as we do, which sees no row without a tenant's setting."""
    port = free_port()
    server = ["-m", "uvicorn", "--factory", "tests.bench.bare_django:bare", "--host", "127.0.0.1", "--port", str(port)]
    with running([*server, "--no-access-log"], lambda: answers(port), {"DJANGO_SETTINGS_MODULE": ""}):
        yield f"http://127.0.0.1:{port}"
