"""What two peers took for the like of some figures, for the document: only where a reader may compare."""

from collections.abc import Mapping

SOURCE = (
    "Arize Phoenix 20.26 and MLflow 3.17 were measured over HTTP on a machine of 2 cores too, on PostgreSQL 15, with "
    "corpora of 1,000,000 rows: less than what stands above. Theirs are medians of one client."
)
# The work, Phoenix, MLflow, how our figure's name begins, and what makes the comparison uneven.
COMPARED = (
    ("durable rows/s", "66 to 82", "430 to 580", "log rows/s through the writer", "ours in process by COPY, not HTTP"),
    (
        "7-day cost chart; counts by status",
        "780 ms; 1,980 ms",
        "202 ms; 1,510 ms",
        "page over HTTP, overview",
        "both, of 30 days, and the whole page",
    ),
    ("first page of a filtered list", "1,075 ms", "15 ms", "page over HTTP, first page of failed runs", "a whole page"),
    ("rare word in full text, 7 days", "5.8 s", "19.5 s", "log search, a rare word", "ours in process, p95"),
    ("a prompt over HTTP", "7.4 ms", "13.8 ms", "resolve over HTTP", "ours resolves scope and experiment"),
)


def table(values: Mapping[str, str]) -> list[str]:
    """Lines of Markdown from the names and written values of figures; only the work that was measured in this run."""
    lines = []
    for work, phoenix, mlflow, beginning, uneven in COMPARED:
        found = [value for name, value in values.items() if name.startswith(beginning)]
        lines += [f"| {work} | {phoenix} | {mlflow} | {value} | {uneven} |" for value in found[:1]]
    return [SOURCE, "", "| work | Phoenix | MLflow | Paid | uneven |", "|---|--:|--:|--:|---|", *lines] if lines else []
