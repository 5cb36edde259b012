"""The table of all cases, kept in docs/measurements.md between two marks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.evidence import Findings
from tests.faults.faulting import Result

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def document(path: Path, results: Sequence[Result]) -> None:
    """Replace what stands between the marks, or add the section at the end."""
    text = path.read_text() if path.is_file() else "# Measurements\n"
    section = f"{BEGIN}\n{table(results)}{END}\n"
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n## Faults\n\n{BEGIN}{END}\n"
    before, _, rest = text.partition(BEGIN)
    path.write_text(before + section + rest.partition(f"{END}\n")[2])


def table(results: Sequence[Result]) -> str:
    held = sum(result.is_good for result in results)
    lines = [
        f"`make faults` on {datetime.now(UTC):%d %b %Y}, 2 cores: {held} of {len(results)} cases held. Each starts a "
        "demo run on a stack of its own, breaks one thing at one point, and looks from outside (process list, git, "
        "SQL as the owner, Temporal, the scripted model's own counters). Calls and tokens are ledger / model server; "
        "a call whose end the gateway did not live to see is booked as estimated, with the input as served and the "
        "output as far as it had come (in brackets: by how many tokens that is less than what was served).",
        "",
        "| case | seconds | run | pull requests | agents at once | calls | tokens | estimated | held |",
        "|---|--:|---|--:|--:|--:|--:|--:|---|",
    ]
    for result in results:
        found = result.findings
        lines.append(
            f"| {result.case.deed} {result.case.victim} at {result.case.point} | {result.seconds:.1f} "
            f"| {found.status} {found.error_code}".rstrip()
            + f" | {found.pull_requests} | {found.agents} | {found.calls} / {found.model_calls} "
            f"| {found.tokens} / {found.model_tokens} | {estimated(found)} "
            f"| {'yes' if result.is_good else 'no: ' + '; '.join(found.problems)} |"
        )
    return "\n".join([*lines, ""])


def estimated(found: Findings) -> str:
    return f"{found.estimated_calls} (−{found.estimated_short_by})" if found.estimated_calls else "0"
