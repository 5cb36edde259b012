"""Runs by a text of their issue's title, their branch or their error, past row-level security (decision 0055)."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import BigIntegerField, BooleanField, F, Func, Q, Value

from paid.lib.found_ids import IsFound

# How many of the newest runs that hold a text are looked at for those of them that are wanted; of a text that no index
# knows, among how many of the newest runs it is looked for.
FIRST_LOOK_OF_SOME = 500
MOST_MENTIONS = 2_000
MOST_LOOKED_AT = 4_000
# After so long a search says how far it came. It takes a few milliseconds, but for a text whose parts nearly every run
# holds, and none of them next to each other.
PATIENCE_MILLISECONDS = 100

_BY_INDEX = "SELECT * FROM runs_mentioning(%s, %s, %s, %s, %s, %s)"
_AMONG = "SELECT * FROM runs_mentioning_among(%s, %s, %s, %s)"
_BRANCH = re.compile(r"paid/\d+-.+-(?P<run_id>[1-9]\d{0,17})", re.ASCII)
_LARGEST_ID = 2**63 - 1
_THREE_IN_A_ROW = re.compile(r"[^\W_]{3}")


@dataclass(frozen=True)
class Mentions:
    """Some runs of the running tenant, and the place in the list until which there are no others; None: to its end."""

    run_ids: list[int]
    edge: tuple[datetime, int] | None


class _IsAmong(Func):
    """Whether the row's id is one of these: one array, where a list would be as many values to read and to plan."""

    output_field = BooleanField()
    template = "%(expressions)s"
    arg_joiner = " = ANY "

    def __init__(self, run_ids: list[int]) -> None:
        super().__init__(F("pk"), Func(Value(run_ids, ArrayField(BigIntegerField())), template="(%(expressions)s)"))


@dataclass(frozen=True)
class Mention:
    """A text that is looked for in the runs of the running tenant: those since a moment that stand before a place."""

    text: str
    since: datetime
    until: datetime
    before_id: int

    @classmethod
    def of(cls, text: str, *, since: datetime | None, until: datetime | None, before_id: int | None) -> "Mention":
        earliest, latest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        return cls(text, since or earliest, until or latest, before_id or _LARGEST_ID)

    def first_look(self, size: int, *, is_narrowed: bool) -> int:
        """How many to look at for a page of `size`: more where only some of them are wanted."""
        if not self._is_indexed:
            return MOST_LOOKED_AT
        return max(size, FIRST_LOOK_OF_SOME) if is_narrowed else size

    def older_than(self, place: tuple[datetime, int]) -> "Mention":
        return replace(self, until=place[0], before_id=place[1])

    def newest(self, most: int) -> Mentions:
        """The newest that hold the text, at most so many."""
        if self._is_indexed:
            found = _search(_BY_INDEX, self.text, self.since, self.until, self.before_id, most, PATIENCE_MILLISECONDS)
        elif self.text.startswith("#") and self._number is not None:
            found = []
        else:
            found = _search(_AMONG, self.text, self.until, self.before_id, most)
        edges = [(at, run_id) for run_id, at in found if at is not None and at >= self.since]
        return Mentions([run_id for run_id, at in found if at is None], edges[0] if edges else None)

    def is_made_or_numbered(self, run_ids: list[int]) -> Q:
        """Those runs, and the ones that have the text as their number, or whose issue has it."""
        numbered = Q() if self._number is None else Q(IsFound("runs_numbered", Value(self._number, BigIntegerField())))
        return Q(_IsAmong(run_ids)) | numbered

    def is_the_branch(self) -> Q | None:
        """The one run whose branch the text is, where it can be one: they end with the run's number. Else None."""
        whole = _BRANCH.fullmatch(self.text)
        return Q(pk=int(whole["run_id"]), branch=self.text) if whole else None

    @property
    def _is_indexed(self) -> bool:
        """Trigrams are of letters and digits: without three of them in a row the whole index would be read."""
        return _THREE_IN_A_ROW.search(self.text) is not None

    @property
    def _number(self) -> int | None:
        digits = self.text.removeprefix("#")
        # A bigint holds 18 digits whatever they are.
        return int(digits) if digits.isdecimal() and len(digits) <= 18 else None


def _search(query: str, *values: str | int | datetime) -> list[tuple[int, datetime | None]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
