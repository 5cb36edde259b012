"""Break things under a run and look at what comes of it: `python -m tests.faults [--list] [--case PATTERN …]`.

Starts a stack of its own in a temporary folder, on loopback, and leaves nothing behind. Prints one line per case,
writes them as JSON and, when all were tried, into docs/measurements.md. Exit code 1 when anything did not hold.
"""

import argparse
import fnmatch
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import django

from tests.faults.cases import CASES, Case, Deed
from tests.faults.house import ROOT, House, HouseError
from tests.faults.processes import AgentWatch

if TYPE_CHECKING:
    from tests.faults.faulting import Faulting, Result

LONGEST_SECONDS = 75 * 60.0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def chosen(patterns: list[str]) -> list[Case]:
    return [case for case in CASES if not patterns or any(fnmatch.fnmatch(case.name, word) for word in patterns)]


def prepare_django(house: House, watch: AgentWatch) -> "Faulting":
    """Only now do the settings find addresses and keys of the stack."""
    os.environ.update(house.environment())
    os.environ["DJANGO_SETTINGS_MODULE"] = "paid.settings"
    django.setup()
    from django.conf import settings  # noqa: PLC0415 - needs the environment above

    from tests.faults.evidence import Evidence  # noqa: PLC0415 - needs Django
    from tests.faults.faulting import Faulting  # noqa: PLC0415 - needs Django

    return Faulting(house, Evidence(house, watch, settings.SCRIPTED_MODEL_URL), watch)


def perform_all(house: House, cases: list[Case]) -> "list[Result]":
    house.start()
    watch = AgentWatch(house.runs)
    faulting = prepare_django(house, watch)
    results: list[Result] = []
    began = time.monotonic()
    for case in cases:
        if why := cannot_try(house, case):
            say(f"not tried: {case.name}: {why}")
            continue
        if time.monotonic() - began > LONGEST_SECONDS:
            say(f"stopped after {LONGEST_SECONDS:g} s: {case.name} and what follows was not tried")
            break
        try:
            house.wait_until_healthy()
            results.append(faulting.perform(case))
        except HouseError as error:  # what was seen before it is not lost
            say(f"stopped at {case.name}: {error}")
            break
        say(line_of(results[-1]))
    watch.stop()
    return results


def cannot_try(house: House, case: Case) -> str:
    if case.deed == Deed.DISK_FULL and not house.has_own_disk:
        return "a disk of its own may not be mounted here (run it as root)"
    if case.deed == Deed.CLOCK and not house.has_own_clock:
        return "there is no C compiler (cc) to build the stepped clock with"
    return ""


def line_of(result: "Result") -> str:
    found = result.findings
    words = f"{'ok    ' if result.is_good else 'BROKEN'}  {result.case.name:<42} {result.seconds:5.1f} s"
    words += f"  {found.status} {found.error_code}".ljust(26)
    words += f"  PR {found.pull_requests}  agents {found.agents}"
    words += f"  calls {found.calls}/{found.model_calls}  tokens {found.tokens}/{found.model_tokens}"
    words += f"  estimated {found.estimated_calls}"
    return "\n          ".join([words, *found.problems])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="name the cases and do nothing")
    parser.add_argument("--case", action="append", default=[], help="only these; * stands for anything; repeatable")
    parser.add_argument("--json", type=Path, default=ROOT / ".paid" / "faults.json", help="where the results go")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder with its logs")
    options = parser.parse_args()
    cases = chosen(options.case)
    if options.list:
        say("\n".join(case.name for case in cases))
        return 0
    directory = Path(tempfile.mkdtemp(prefix="paid-faults-"))
    directory.chmod(0o711)  # PostgreSQL walks through it as nobody
    house = House(directory)
    results: list[Result] = []
    try:
        results = perform_all(house, cases)
    finally:
        left = house.stop()
        say("\n".join(["everything is stopped", *(f"STILL THERE: {command}" for command in left)]))
        if options.keep:
            say(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    write_json(options.json, results)
    if not options.case and len(results) == len(CASES):
        from tests.faults.document import document  # noqa: PLC0415 - needs Django, as results do

        document(ROOT / "docs" / "measurements.md", results)
    broken = [result.case.name for result in results if not result.is_good]
    say(f"{len(results)} cases, {len(broken)} broken" + (f": {', '.join(broken)}" if broken else ""))
    return 1 if broken or left or len(results) < len(cases) else 0


def write_json(path: Path, results: "list[Result]") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"name": result.case.name, "is_good": result.is_good, **asdict(result)} for result in results]
    path.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
