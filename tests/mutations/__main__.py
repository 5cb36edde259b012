"""Break the code on purpose and see the build turn red: `python -m tests.mutations [--list] [--only WORDS …]`.

Each mutation is made in a copy of the checkout, in a temporary folder. First the named tests must be green without
any; then each mutation must make at least one of its own fail. Exit code 1 when one survives. When all were tried,
docs/mutations.md says what came of it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.mutations.catalogue import LAYERS, MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
CHECK_SECONDS = 300.0
# pytest's code for "tests failed": anything else (nothing collected, an import that breaks) proves nothing.
TESTS_FAILED = 1


@dataclass(frozen=True)
class Outcome:
    mutation: Mutation
    is_red: bool
    seconds: float
    words: str


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def copy_checkout(target: Path) -> None:
    """What git knows and what is new, as it is now; the virtual environment is shared."""
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        source = ROOT / name
        if source.is_file() and not source.is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    (target / ".venv").symlink_to((ROOT / ".venv").resolve())


def check(copy: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    binaries = Path(sys.prefix) / "bin"
    argv = [str(binaries / "lint-imports"), "--no-cache"]
    if tests != LAYERS:
        argv = [sys.executable, "-m", "pytest", "-q", "-n0", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        argv, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=CHECK_SECONDS
    )


def unbroken_is_green(copy: Path, mutations: list[Mutation]) -> bool:
    tests = tuple(sorted({test for mutation in mutations if mutation.tests != LAYERS for test in mutation.tests}))
    checks = [tests] if tests else []
    checks += [LAYERS] if any(mutation.tests == LAYERS for mutation in mutations) else []
    for names in checks:
        done = check(copy, names)
        if done.returncode != 0:
            say(f"red without any mutation:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
            return False
    return True


def attempt(copy: Path, mutation: Mutation) -> Outcome:
    file = copy / mutation.path
    former = file.read_text()
    if former.count(mutation.old) != 1:
        return Outcome(mutation, False, 0.0, f"what it replaces stands {former.count(mutation.old)} times in its file")
    began = time.monotonic()
    file.write_text(former.replace(mutation.old, mutation.new))
    try:
        done = check(copy, mutation.tests)
    finally:
        file.write_text(former)
    is_red = done.returncode == TESTS_FAILED
    words = "" if is_red else f"exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-1000:]}"
    return Outcome(mutation, is_red, time.monotonic() - began, words)


def table(outcomes: list[Outcome]) -> str:
    red = sum(outcome.is_red for outcome in outcomes)
    lines = [
        "# Mutations",
        "",
        "What is broken on purpose, one at a time, in a copy of the checkout, and what must turn red. "
        "The same tests are seen green before. Their list is `tests/mutations/catalogue.py`.",
        "",
        f"`make mutations` on {datetime.now(UTC):%d %b %Y}: {red} of {len(outcomes)} turned red.",
        "",
        "| mutation | what it does | file | seen by | red |",
        "|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        mutation = outcome.mutation
        seen_by = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in mutation.tests)
        verdict = "yes" if outcome.is_red else "no"
        lines.append(f"| {mutation.name} | {mutation.why} | `{mutation.path}` | {seen_by} | {verdict} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="name the mutations and do nothing")
    parser.add_argument("--only", action="append", default=[], help="only those with these words; repeatable")
    options = parser.parse_args()
    wanted = [each for each in MUTATIONS if not options.only or any(words in each.name for words in options.only)]
    if options.list:
        say("\n".join(f"{mutation.name}: {mutation.why}" for mutation in wanted))
        return 0
    with tempfile.TemporaryDirectory(prefix="paid-mutations-") as directory:
        copy = Path(directory)
        copy.chmod(0o711)
        copy_checkout(copy)
        if not unbroken_is_green(copy, wanted):
            return 1
        outcomes = []
        for mutation in wanted:
            outcomes.append(attempt(copy, mutation))
            outcome = outcomes[-1]
            verdict = "red     " if outcome.is_red else "SURVIVED"
            say(f"{verdict}  {mutation.name:<42} {outcome.seconds:5.1f} s  {outcome.words}")
    if not options.only:
        (ROOT / "docs" / "mutations.md").write_text(table(outcomes))
    survivors = [outcome.mutation.name for outcome in outcomes if not outcome.is_red]
    say(f"{len(outcomes)} mutations, {len(survivors)} survived" + (f": {', '.join(survivors)}" if survivors else ""))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
