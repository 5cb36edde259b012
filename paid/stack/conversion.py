"""`manage.py partitions convert`: says what it does, step by step, and goes on where it broke off."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from paid.lib import conversion
from paid.lib.conversion import ConversionError, Wanted

EXAMPLE = "manage.py partitions convert gateway_calls --by opened_at --unit month --keep-days 400 --dry-run"


def add_conversion_arguments(parser: ArgumentParser) -> None:
    parser.description = (
        "Partition a table that grew unpartitioned, while it is written. Can be stopped and run again at any time;"
        f" --undo before the end leaves no trace. Example: {EXAMPLE}"
    )
    parser.add_argument("table", help="a table with account_id and a column of type timestamptz that is NOT NULL")
    parser.add_argument("--by", default="created_at", help="that column (default: created_at)")
    parser.add_argument("--unit", choices=("day", "month"), default="month", help="one partition a day or a month")
    parser.add_argument("--ahead", type=int, default=3, help="how many partitions are kept ready")
    parser.add_argument("--keep-days", type=int, help="what retention keeps; without it, everything")
    parser.add_argument("--batch-rows", type=int, default=5_000, help="rows that one short transaction copies")
    parser.add_argument("--drop-former", action="store_true", help="drop the table as it was, after the conversion")
    parser.add_argument("--undo", action="store_true", help="give up a conversion that has not ended")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and what stands in the way")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


class Conversion:
    """One call of the command."""

    def __init__(self, output: OutputWrapper, options: dict[str, Any]) -> None:
        self._output, self._options = output, options
        names = ("table", "by", "unit", "ahead", "keep_days")
        self._wanted = Wanted(**{name: options[name] for name in names})
        self._table: str = options["table"]

    def run(self) -> None:
        try:
            report = self._step()
        except ConversionError as error:
            raise CommandError(str(error)) from error
        if self._options["json"]:
            self._output.write(json.dumps(report))

    def _step(self) -> dict[str, object]:
        state = conversion.state(self._table)
        if self._options["dry_run"]:
            return self._plan(state)
        if self._options["undo"] or self._options["drop_former"]:
            return self._end(state)
        if state is not None and state.is_swapped:
            self._say(f"{self._table} is partitioned. --drop-former drops {self._table}_unpartitioned.")
            return {"state": "converted"}
        if state is None:
            self._refuse()
            conversion.start(self._wanted)
            self._say(f"Every change of {self._table} goes to {self._table}_partitioned as well.")
        return self._copy_and_swap()

    def _plan(self, state: conversion.State | None) -> dict[str, object]:
        obstacles = [] if state is not None else conversion.obstacles(self._wanted)
        rows = conversion.estimated_rows(self._table) if not obstacles else 0
        for words in obstacles:
            self._say(f"in the way: {words}")
        if state is None and not obstacles:
            wanted = self._wanted
            self._say(f"would partition about {rows} rows of {wanted.table} by {wanted.unit} of {wanted.by}")
        elif state is not None:
            self._say(f"begun: {state.copied} rows copied{', names swapped' if state.is_swapped else ''}")
        return {"state": "planned", "obstacles": obstacles, "estimated_rows": rows}

    def _end(self, state: conversion.State | None) -> dict[str, object]:
        if state is None:
            raise ConversionError(f"No conversion of {self._table} was begun.")
        if state.is_swapped != self._options["drop_former"]:
            hint = "--drop-former drops what it was" if state.is_swapped else "--undo gives it up"
            raise ConversionError(f"{self._table} is {'' if state.is_swapped else 'not yet '}partitioned: {hint}.")
        conversion.undo(self._table)
        self._say("Dropped." if state.is_swapped else "Given up; nothing is left of it.")
        return {"state": "ended"}

    def _refuse(self) -> None:
        obstacles = conversion.obstacles(self._wanted)
        if obstacles:
            raise ConversionError("\n".join(obstacles))

    def _copy_and_swap(self) -> dict[str, object]:
        estimate = max(conversion.estimated_rows(self._table), 1)
        for copied in conversion.copy(self._table, batch_rows=self._options["batch_rows"]):
            if self._output.isatty() and not self._options["json"]:
                self._output.write(f"\rcopied {copied} of about {max(estimate, copied)} rows", ending="")
        found = conversion.compare(self._table)
        self._say(f"{found.source_rows} rows in {self._table}, {found.sibling_rows} in its copy.")
        if not found.are_equal:
            raise ConversionError("They differ, so nothing was swapped. Run this again: it copies what is missing.")
        conversion.swap(self._table)
        self._say(f"{self._table} is partitioned. {self._table}_unpartitioned holds what it was, until --drop-former.")
        return {"state": "converted", "rows": found.source_rows}

    def _say(self, words: str) -> None:
        if not self._options["json"]:
            self._output.write(words)
