"""Which labels a list of issues is narrowed to. It stands in the address, so that a colleague sees the same list."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from django.http import QueryDict

FIELD = "label"
# As projects.labels has it; a NUL is no character of PostgreSQL's.
MOST_CHARACTERS = 100
MOST_LABELS = 10


@dataclass(frozen=True)
class LabelFilter:
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: QueryDict) -> Self:
        """What no label can be is left out."""
        asked = dict.fromkeys(query.getlist(FIELD))
        names = [name for name in asked if 0 < len(name) <= MOST_CHARACTERS and "\0" not in name]
        return cls(tuple(names[:MOST_LABELS]))

    def with_label(self, name: str) -> str:
        """The query of the list that is narrowed to this label, too."""
        return _query(*self.names, name)

    @property
    def chosen(self) -> list[tuple[str, str]]:
        """Each label with the query of the list without it."""
        return [(name, _query(*(other for other in self.names if other != name))) for name in self.names]


def _query(*names: str) -> str:
    return "?" + urlencode([(FIELD, name) for name in names])
