"""Runs by a text of their issue's title, their branch or their error, past row-level security (decision 0028)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

# How many of the newest runs that hold a text are looked at, one after the other, until those that are wanted of them
# fill a page; of those that no index knows, among how many of the newest runs they are looked for.
MORE_MENTIONS = (400, 2_000)
MOST_LOOKED_AT = 4_000
# After so long a search says how far it came. It takes a few milliseconds, but for a text whose parts nearly every run
# holds, and none of them next to each other.
PATIENCE = timedelta(milliseconds=100)

_SEARCH = {
    "by index": "SELECT * FROM runs_mentioning(%(text)s, %(since)s, %(until)s, %(most)s, %(patience)s)",
    "among": "SELECT * FROM runs_mentioning_among(%(text)s, %(until)s, %(most)s)",
    "by number": "SELECT run_id, NULL::timestamptz, false FROM runs_numbered(%(number)s) AS run_id",
}
_THREE_IN_A_ROW = re.compile(r"[^\W_]{3}")


@dataclass(frozen=True)
class Mentions:
    """Some runs of the running tenant, and the place in the list until which there are no others; None: to its end."""

    run_ids: frozenset[int]
    edge: tuple[datetime, int] | None


@dataclass(frozen=True)
class Mention:
    """A text that is looked for in the runs of the running tenant, those made between two moments."""

    text: str
    since: datetime
    until: datetime

    @classmethod
    def of(cls, text: str, *, since: datetime | None, until: datetime | None) -> "Mention":
        return cls(text, since or datetime.min.replace(tzinfo=UTC), until or datetime.max.replace(tzinfo=UTC))

    def looks(self, size: int) -> tuple[int, ...]:
        """How many to look at, one after the other, until a page of `size` is full."""
        return (size, *MORE_MENTIONS) if self._is_indexed else (MOST_LOOKED_AT,)

    def newest(self, most: int) -> Mentions:
        """The newest that hold the text, at most so many, and those that have it as a number."""
        found: list[tuple[int, datetime, bool]] = []
        if self._number is not None:
            found += self._search("by number")
        if self._is_indexed:
            found += self._search("by index", most)
        elif not self._is_number_alone:
            found += self._search("among", most)
        edges = [(made_at, run_id) for run_id, made_at, is_edge in found if is_edge]
        return Mentions(frozenset(run_id for run_id, _, is_edge in found if not is_edge), edges[0] if edges else None)

    def _search(self, way: str, most: int = 0) -> list[tuple[int, datetime, bool]]:
        values = {
            "text": self.text,
            "since": self.since,
            "until": self.until,
            "most": most,
            "patience": PATIENCE,
            "number": self._number,
        }
        with connection.cursor() as cursor:
            cursor.execute(_SEARCH[way], values)
            return list(cursor.fetchall())

    @property
    def _is_indexed(self) -> bool:
        """Trigrams are of letters and digits: without three of them in a row the whole index would be read."""
        return _THREE_IN_A_ROW.search(self.text) is not None

    @property
    def _is_number_alone(self) -> bool:
        return self.text.startswith("#") and self._number is not None

    @property
    def _number(self) -> int | None:
        digits = self.text.removeprefix("#")
        # A bigint holds 18 digits whatever they are.
        return int(digits) if digits.isdecimal() and len(digits) <= 18 else None
