"""Resolution of a prompt: in process, as the function that a run's start calls, beside one look-up by key."""

from collections.abc import Iterator
from itertools import count

from prompts.resolution import resolve_prompt
from tests.bench.context import Bench
from tests.bench.figures import Figure, below, measure, time_calls

ONE_LOOK_UP = "SELECT id, version, template FROM prompt_versions WHERE id = %s"
SAMPLES = 1000


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
