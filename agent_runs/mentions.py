"""Runs by a text of their issue's title, their branch or their error, past row-level security (decision 0028)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection
from django.db.models import BigIntegerField, IntegerField, Value

from paid.lib.found_ids import IsFound

# How many of the newest runs are looked at for what many of them hold, or what no index knows: at first, and for one
# page at most. Each costs a look at its issue, two microseconds; 20,000 of them made a page of 44 ms.
FIRST_LOOK, MOST_LOOKED_AT = 2_000, 4_000


@dataclass(frozen=True)
class Mention:
    """A text in runs of the running tenant until a moment, and the way that is shortest to them: see mentions.sql."""

    text: str
    until: datetime
    way: str

    @classmethod
    def of(cls, text: str, *, until: datetime | None) -> "Mention":
        latest = until or datetime.max.replace(tzinfo=UTC)
        with connection.cursor() as cursor:
            cursor.execute("SELECT way_to_runs_mentioning(%s, %s)", [text, latest])
            return cls(text, latest, cursor.fetchone()[0])

    @property
    def looks(self) -> tuple[int | None, ...]:
        """Among how many of the newest to look, one after the other until a page is full; None: among all."""
        return {"look": (FIRST_LOOK, MOST_LOOKED_AT), "number": (0,), "index": (None,)}[self.way]

    @property
    def is_bounded(self) -> bool:
        """Whether there may be more beyond what was looked at."""
        return self.way == "look"

    def is_made(self, *, among: int | None) -> IsFound:
        number, most = Value(self._number, BigIntegerField()), Value(among, IntegerField())
        return IsFound("runs_mentioning", Value(self.text), number, Value(self.until), most)

    @property
    def _number(self) -> int | None:
        digits = self.text.removeprefix("#")
        # A bigint holds 18 digits whatever they are.
        return int(digits) if digits.isdecimal() and len(digits) <= 18 else None
