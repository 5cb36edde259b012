"""Measure the data platform: `python -m tests.bench [--runs 10M] [--log-rows 20M] [--only logs,ledger] [--json FILE]`.

Seeds a PostgreSQL of its own in a temporary directory, measures every figure beside plain SQL or COPY on it, and
leaves nothing behind. Exit code 0 when everything ran, also when a target was missed (--strict: 1), 1 when not.
"""

import argparse
import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.database import ROOT, BenchServers, bench_servers
from tests.bench.figures import limit_samples
from tests.bench.report import Report, Result, document, make_report, save, table
from tests.bench.rooms import measures, unknown
from tests.other_postgresql import native_of

if TYPE_CHECKING:
    from tests.bench.context import Bench, Sizes
    from tests.bench.figures import Measure

UNITS = {"k": 1_000, "m": 1_000_000}
EXAMPLE = "example: python -m tests.bench --runs 10M --log-rows 20M --only logs,ledger --json bench.json"


def amount(text: str) -> int:
    """500, 20k or 10M as a number."""
    digits, unit = (text[:-1], text[-1].lower()) if text[-1:].lower() in UNITS else (text, "")
    try:
        number = int(float(digits) * UNITS.get(unit, 1))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number such as 500, 20k or 10M") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than one")
    return number


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0], epilog=EXAMPLE
    )
    parser.add_argument("--runs", type=amount, help="agent runs to seed (1M); each gets an issue")
    parser.add_argument("--log-rows", type=amount, help="log rows of the last seven days (5M)")
    parser.add_argument("--usages", type=amount, help="ledger rows (five per run)")
    parser.add_argument("--prompt-versions", type=amount, help="prompt versions (100k)")
    parser.add_argument("--tag-rows", type=amount, help="rows with arrays and JSONB (1M)")
    parser.add_argument("--retention-rows", type=amount, help="rows of the partition that is dropped (5M)")
    parser.add_argument("--crowd", type=amount, help="runs that write at the same time (100)")
    parser.add_argument("--writers", type=amount, help="writers of the ledger (16)")
    parser.add_argument("--seconds", type=float, help="how long crowds write (60)")
    parser.add_argument("--smallest", action="store_true", help="tiny sizes: shows that everything runs, no more")
    parser.add_argument("--only", default="", help="rooms, with commas: logs,search,dashboard,prompts,gateway,ledger,…")
    parser.add_argument("--json", type=Path, default=ROOT / ".paid" / "bench.json", help="where the results go")
    parser.add_argument("--directory", type=Path, help="where the database lies meanwhile (the system's own)")
    parser.add_argument("--postgresql", default="", help="another one than the wheel's: 15 to 18, or its directory")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a target was missed")
    parser.add_argument("--document", action="store_true", help="write a whole table into docs/measurements.md")
    return parser


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def chosen_sizes(options: argparse.Namespace) -> "Sizes":
    from tests.bench.context import Sizes  # noqa: PLC0415 - needs Django's settings

    wanted = {field.name: getattr(options, field.name) for field in fields(Sizes)}
    if options.runs and not options.usages:
        wanted["usages"] = options.runs * 5
    sizes = Sizes.smallest() if options.smallest else Sizes()
    return replace(sizes, **{name: value for name, value in wanted.items() if value is not None})


def prepare(servers: BenchServers, options: argparse.Namespace, seconds: dict[str, float]) -> "Bench":
    """Tables, seeds and volume. Only now do Django's settings find the servers' addresses."""
    began = time.monotonic()
    import django  # noqa: PLC0415 - see above

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - see above

    from tests.bench.context import Bench  # noqa: PLC0415 - see above
    from tests.bench.seeding import Seeding  # noqa: PLC0415 - see above

    sizes = chosen_sizes(options)
    if options.smallest:
        limit_samples(3)
    say("making tables and seeds")
    call_command("migrate", database="owner", verbosity=0)
    for command in ("seed_prompts", "sync_models"):
        call_command(command, stdout=io.StringIO())
    seconds["making tables"] = time.monotonic() - began
    say(f"seeding {sizes.runs:,} runs, {sizes.log_rows:,} log rows, {sizes.usages:,} usages")
    began = time.monotonic()
    world = Seeding(servers, sizes, say).fill()
    seconds["seeding"] = time.monotonic() - began
    say(f"seeded in {seconds['seeding']:.0f} s")
    return Bench(sizes, world, say)


def perform(bench: "Bench", servers: BenchServers, only: tuple[str, ...], seconds: dict[str, float]) -> list[Result]:
    """Every wanted figure. `seconds` gets what each room took, with what it prepared and cleaned away."""
    results: list[Result] = []
    for measure in measures(only):
        servers.check_alive()
        began = time.monotonic()
        for result in outcomes(measure, bench):
            results.append(result)
            say(result.line)
        seconds[measure.room] = seconds.get(measure.room, 0) + time.monotonic() - began
    return results


def outcomes(measure: "Measure", bench: "Bench") -> Iterator[Result]:
    """The figures of one generator; what it raises becomes its last result."""
    began = time.monotonic()
    try:
        for figure in measure.function(bench):
            yield Result(measure.room, measure.name, time.monotonic() - began, figure)
            began = time.monotonic()
    except Exception as error:  # whatever it is: the other figures are still to come
        yield Result(measure.room, measure.name, time.monotonic() - began, None, f"{type(error).__name__}: {error}")


def run(options: argparse.Namespace, only: tuple[str, ...]) -> Report:
    began = time.monotonic()
    with bench_servers(options.directory, options.native) as servers:
        seconds: dict[str, float] = {}
        bench = prepare(servers, options, seconds)
        results = perform(bench, servers, only, seconds)
        with bench.connect("owner") as connection:
            version = str(connection.info.parameter_status("server_version"))
        return make_report(bench.sizes, results, time.monotonic() - began, version, seconds)


def leave(number: int, frame: object) -> None:
    """A polite kill ends like Ctrl-C: what was started is stopped and removed."""
    raise KeyboardInterrupt


def main() -> int:
    options = arguments().parse_args()
    only = tuple(word.replace("-", "_") for word in options.only.split(",") if word)
    if wrong := unknown(only):
        say(f"no such room: {', '.join(wrong)}")
        return 2
    options.native = native_of(options.postgresql) if options.postgresql else None
    if options.native and not (options.native / "bin" / "postgres").is_file():
        say(f"no PostgreSQL in {options.native}")
        return 2
    # Also in the background, where a shell hands on that SIGINT is ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    try:
        report = run(options, only)
    except KeyboardInterrupt:
        say("stopped: nothing is left behind")
        return 130
    save(options.json, report)
    say(f"{table(report)}\nwritten to {options.json}")
    if options.document and not only and not options.smallest:
        major = report.versions["postgresql"].partition(".")[0] if options.postgresql else ""
        document(ROOT / "docs" / "measurements.md", report, on=major)
    failed = any(result.error for result in report.results)
    missed = any(result.is_missed for result in report.results)
    return 1 if failed or (missed and options.strict) else 0


if __name__ == "__main__":
    # Figures' modules find one `tests.bench`, also where this file was started as a script.
    os.chdir(ROOT)
    sys.exit(main())
