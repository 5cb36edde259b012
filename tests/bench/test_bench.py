"""The bench in its smallest size: its harness and every figure still run against the code as it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.bench import rooms
from tests.bench.context import Sizes
from tests.bench.figures import Figure, Timings, at_least, below, ratio_at_least
from tests.bench.report import Result, document, make_report

ROOT = Path(__file__).resolve().parents[2]
# All but those that start servers of the application, which have tests of their own.
ROOMS = ",".join(room for room in rooms.ROOMS + rooms.ASKED_FOR if room not in ("pages", "gateway"))


def test_the_figures_of_the_database_are_measured_in_the_smallest_size(tmp_path: Path) -> None:
    written = tmp_path / "bench.json"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    argv = [sys.executable, "-m", "tests.bench", "--smallest", "--only", ROOMS, "--json", str(written)]
    done = subprocess.run(argv, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=840, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(written.read_text())
    assert report["sizes"]["runs"] == 2_000
    assert [figure for figure in report["figures"] if "error" in figure] == []
    assert {"making tables", "seeding", "logs", "log_choices"} < set(report["parts_seconds"])


def test_a_figure_is_held_against_its_target_and_its_baseline() -> None:
    figure = Figure("rows", 70.0, "rows/s", ratio_at_least(0.7), baseline=100.0)
    assert (figure.ratio, figure.is_reached) == (0.7, True)
    assert Figure("rows", 69.9, "rows/s", ratio_at_least(0.7), baseline=100.0).is_reached is False
    assert Figure("rows", 3000.0, "rows/s", at_least(3000)).is_reached is True
    assert Figure("wait", 100.0, "ms", below(100)).is_reached is False
    assert Figure("wait", 100.0, "ms").is_reached is None


def test_a_quantile_is_a_duration_that_was_seen() -> None:
    timings = Timings.of_seconds([number / 1000 for number in range(20, 0, -1)])
    assert (timings.p50_ms, timings.p95_ms, timings.quantile(1.0)) == (10.5, 19.0, 20.0)


def test_the_document_keeps_what_stands_around_its_table(tmp_path: Path) -> None:
    path = tmp_path / "measurements.md"
    path.write_text("# Measurements\n\n## `make bench`\n\n## Prompts\n\nwords\n")
    figure = Figure("log search, a rare word, 7 days, p95", 12.0, "ms", below(100), baseline=120.0, baseline_is="LIKE")
    report = make_report(Sizes(), [Result("logs", "search", 1.0, figure)], 60.0, "18.6", {"logs": 1.0})
    document(path, report)
    once = path.read_text()
    document(path, report)
    assert path.read_text() == once
    assert once.startswith("# Measurements\n\n## `make bench`\n\n<!-- bench: begin -->\nCommit ")
    assert once.endswith("<!-- bench: end -->\n\n## Prompts\n\nwords\n")
    assert "| log search, a rare word, 7 days, p95 | 12 ms | 120 ms (LIKE) | 0.10 | < 100 | yes |  |\n" in once
    assert "| rare word in full text, 7 days | 5.8 s | 19.5 s | 12 ms | ours in process, p95 |\n" in once


def test_another_postgresql_has_a_table_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "measurements.md"
    figure = Figure("log search", 12.0, "ms", below(100))
    for number in ("", "16", "16"):
        result = Result("logs", "search", 1.0, figure)
        document(path, make_report(Sizes(), [result], 60.0, f"{number or 18}.6", {"logs": 1.0}), on=number)
    headings = [line for line in path.read_text().splitlines() if line.startswith(("#", "<!--"))]
    assert headings == [
        "# Measurements",
        *("## `make bench`", "<!-- bench: begin -->", "<!-- bench: end -->"),
        *("## `make bench`, PostgreSQL 16", "<!-- bench16: begin -->", "<!-- bench16: end -->"),
    ]
