"""What came of it: lines while it runs, a table at its end, JSON for scripts, a section for docs/measurements.md."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench import peers
from tests.bench.database import ROOT, SETTINGS
from tests.bench.figures import Figure

HEADING = "## `make bench`"
COLUMNS = ("figure", "value", "baseline", "ratio", "target", "reached", "note")


@dataclass(frozen=True)
class Result:
    """One figure of a measuring function, or in words why there is none."""

    room: str
    measure: str
    seconds: float
    figure: Figure | None
    error: str = ""

    @property
    def is_missed(self) -> bool:
        return self.figure is not None and self.figure.is_reached is False

    @property
    def line(self) -> str:
        if self.figure is None:
            return f"  {self.room}.{self.measure}: NOT MEASURED after {self.seconds:.1f} s: {self.error}"
        cells = row_of(self.figure)
        words = f"  {cells[0]}: {cells[1]}"
        words += f" · {cells[2]} ({cells[3]} ×)" if self.figure.baseline is not None else ""
        words += f" · target {cells[4]}: {cells[5]}" if self.figure.target else ""
        return words + (f" · {cells[6]}" if cells[6] else "")


@dataclass(frozen=True)
class Report:
    taken_at: datetime
    seconds: float
    parts_seconds: dict[str, float]  # of the seeding and of each room
    commit: str
    machine: dict[str, Any]
    versions: dict[str, str]
    sizes: dict[str, Any]
    results: list[Result]


def number(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def row_of(figure: Figure) -> tuple[str, ...]:
    reached = {None: "", True: "yes", False: "NO"}[figure.is_reached]
    baseline = "" if figure.baseline is None else f"{number(figure.baseline)} {figure.unit}"
    if figure.baseline_is:
        baseline = f"{baseline} ({figure.baseline_is})".strip()
    return (
        figure.name,
        f"{number(figure.value)} {figure.unit}".strip(),
        baseline,
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if figure.target is None else figure.target.words,
        reached,
        figure.note,
    )


def make_report(
    sizes: Any, results: Sequence[Result], seconds: float, postgresql: str, parts_seconds: Mapping[str, float]
) -> Report:
    return Report(
        taken_at=datetime.now(UTC),
        seconds=seconds,
        parts_seconds=dict(parts_seconds),
        commit=_commit(),
        machine=_machine(),
        versions={"postgresql": postgresql, "python": platform.python_version()}
        | {name: version(name) for name in ("django", "psycopg", "uvicorn")},
        sizes=asdict(sizes),
        results=list(results),
    )


def save(path: Path, report: Report) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_json(report), indent=2) + "\n")


def as_json(report: Report) -> dict[str, Any]:
    return {
        "taken_at": report.taken_at.isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 1),
        "parts_seconds": {name: round(seconds, 1) for name, seconds in report.parts_seconds.items()},
        "commit": report.commit,
        "machine": report.machine,
        "versions": report.versions,
        "settings": SETTINGS,
        "sizes": report.sizes,
        "figures": [_result_as_json(result) for result in report.results],
    }


def _result_as_json(result: Result) -> dict[str, Any]:
    about: dict[str, Any] = {"room": result.room, "measure": result.measure, "seconds": round(result.seconds, 2)}
    figure = result.figure
    if figure is None:
        return about | {"error": result.error}
    return about | {
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "baseline": figure.baseline,
        "baseline_is": figure.baseline_is,
        "ratio": figure.ratio,
        "target": figure.target.words if figure.target else None,
        "is_reached": figure.is_reached,
        "note": figure.note,
        "details": dict(figure.details),
    }


def table(report: Report) -> str:
    """For a terminal: the columns as wide as they must be, the notes under them."""
    rows = [COLUMNS[:6], *(row_of(result.figure)[:6] for result in report.results if result.figure)]
    widths = [max(len(row[place]) for row in rows) for place in range(6)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [result.line for result in report.results if result.figure is None]
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.parts_seconds.items())
    return "\n".join([lines[0], "-" * sum(widths, 10), *lines[1:], f"Time: {parts}.", summary(report)])


def summary(report: Report) -> str:
    asked = [result for result in report.results if result.figure and result.figure.target]
    missed = [result.figure.name for result in asked if result.figure and result.is_missed]
    failed = [result for result in report.results if result.error]
    words = f"{len(asked) - len(missed)} of {len(asked)} targets reached"
    words += f", missed: {', '.join(missed)}" if missed else ""
    words += f"; {len(failed)} not measured" if failed else ""
    return f"{words}. {report.seconds / 60:.1f} minutes."


def document(path: Path, report: Report, *, on: str = "") -> None:
    """Replace what stands between the marks; the first time they are put under the heading.

    `on` is the number of another PostgreSQL than the wheel's, whose table has a place of its own.
    """
    begin, end = f"<!-- bench{on}: begin -->", f"<!-- bench{on}: end -->"
    heading = f"{HEADING}, PostgreSQL {on}\n" if on else f"{HEADING}\n"
    text = path.read_text() if path.is_file() else "# Measurements\n"
    if begin not in text:
        before, found, rest = text.partition(heading)
        before = before if found else f"{text.rstrip()}\n\n"
        text = f"{before}{heading}\n{begin}\n{end}\n{rest}"
    before, _, rest = text.partition(begin)
    after = rest.partition(f"{end}\n")[2]
    path.write_text(f"{before}{begin}\n{section(report)}\n{end}\n{after}")


def section(report: Report) -> str:
    sizes, machine = report.sizes, report.machine
    lines = [
        f"Commit {report.commit}, {report.taken_at:%d %b %Y %H:%M} UTC; {machine['cores']} cores "
        f"({machine['processor']}), load {machine['load']} at the end; PostgreSQL {report.versions['postgresql']}. "
        f"{sizes['runs']:,} runs, {sizes['log_rows']:,} log rows of 7 days, {sizes['usages']:,} ledger rows, "
        f"{sizes['prompt_versions']:,} prompt versions, {sizes['tag_rows']:,} tokens and as many projects. "
        f"{summary(report)}",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---|--:|--:|--:|--:|---|---|",
    ]
    for result in report.results:
        cells = (
            row_of(result.figure) if result.figure else (result.measure, "not measured", "", "", "", "", result.error)
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    rows = [row_of(result.figure) for result in report.results if result.figure]
    return "\n".join([*lines, "", *peers.table({row[0]: row[1] for row in rows})]).rstrip()


def _commit() -> str:
    argv = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=8"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _machine() -> dict[str, Any]:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "processor": models[0] if models else platform.machine(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load": f"{os.getloadavg()[0]:.1f}",
    }
