from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulations.experiments import Size

MEASUREMENTS = Path(__file__).resolve().parents[2] / "docs" / "measurements.md"
BEGIN, END = "<!-- simulations: begin -->", "<!-- simulations: end -->"


@dataclass(frozen=True)
class Row:
    figure: str
    seen: str
    wanted: str


def table(rows: list[Row]) -> str:
    lines = ["| figure | seen | wanted |", "|---|---|---|"]
    return "\n".join(lines + [f"| {row.figure} | {row.seen} | {row.wanted} |" for row in rows])


def write_measurements(rows: list[Row], size: Size) -> None:
    text = MEASUREMENTS.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    head = f"`make simulations`: {size.experiments:,} experiments × {size.runs:,} runs a figure, seed {size.seed}."
    MEASUREMENTS.write_text(f"{before}{BEGIN}\n{head}\n\n{table(rows)}\n{END}{after}")
