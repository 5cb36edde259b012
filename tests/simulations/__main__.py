"""`python -m tests.simulations [--experiments 2000] [--runs 2000] [--json FILE]`: about a minute on one core."""

import argparse
import json
import sys
from pathlib import Path

from tests.simulations.experiments import Size, every_figure
from tests.simulations.report import Row, table, write_measurements


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=2000, help="simulated experiments for each figure")
    parser.add_argument(
        "--runs", type=int, default=2000, help="runs of each, with a decision looked at after every one"
    )
    parser.add_argument("--subjects", type=int, default=1_000_000, help="subjects for the balance of assignment")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    parser.add_argument("--write", action="store_true", help="put the table into docs/measurements.md")
    options = parser.parse_args()
    rows: list[Row] = []
    size = Size(options.experiments, options.runs, options.subjects, options.seed)
    for row in every_figure(size):
        sys.stderr.write(f"{row.figure}: {row.seen}\n")
        rows.append(row)
    sys.stdout.write(table(rows) + "\n")
    if options.json:
        options.json.write_text(json.dumps([row.__dict__ for row in rows], indent=1) + "\n")
    if options.write:
        write_measurements(rows, size)


if __name__ == "__main__":
    main()
