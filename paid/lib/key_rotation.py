"""Every stored secret under the ring's first key, while the application goes on working.

The key's id stands in front of each stored value, so a value says by itself whether it is done: a rotation that was
killed goes on where it stopped, and two at once do no harm. A batch is one transaction that locks its rows in
primary-key order; a save of the same row waits for it, or is what the batch reads. The former key opens what is not
done yet, so it stays in ENCRYPTION_KEYS until `remaining()` has found nothing.
"""

from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass

from django.apps import apps
from django.db import connection
from psycopg import sql

from paid.lib.encryption import FORMAT, EncryptedField, EncryptionError, KeyRing, key_id_of, ring, seal, unseal
from paid.lib.tenancy import platform

BATCH = 100


@dataclass(frozen=True)
class Place:
    """One encrypted column."""

    table: str
    column: str
    key: str  # the column of the primary key

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True)
class Unopened:
    """A value that could not be sealed anew, and why; it stays as it is."""

    place: Place
    pk: int
    reason: str


@dataclass(frozen=True)
class Batch:
    place: Place
    resealed: int
    unopened: tuple[Unopened, ...]


@dataclass(frozen=True)
class _Row:
    pk: int
    account_id: int
    stored: bytes


def places() -> tuple[Place, ...]:
    """Every encrypted column of every model, by name."""
    found = (
        Place(model._meta.db_table, str(field.column), str(model._meta.pk.column))
        for model in apps.get_models()
        for field in model._meta.local_concrete_fields
        if isinstance(field, EncryptedField) and model._meta.pk is not None
    )
    return tuple(sorted(found, key=str))


def by_key(place: Place) -> Counter[str]:
    """How many values each key sealed, by the key's id; `?` is what has no readable id."""
    found: Counter[str] = Counter()
    with platform():
        for row in _rows(place, _ALL):
            found[_key_id(row.stored)] += 1
    return found


def rotate(*, batch: int = BATCH) -> Generator[Batch, None, None]:
    """Seal anew what another key than the first one sealed; yields after each committed batch."""
    for place in places():
        last: int | None = None
        while True:
            with platform():
                rows = _rows(place, _SEALED_BY_OTHERS, after=last, limit=batch)
                done, unopened = _reseal(place, rows)
            if not rows:
                break
            last = rows[-1].pk
            yield Batch(place, done, tuple(unopened))


def remaining(announce: Callable[[Place], None] = lambda _: None) -> list[Unopened]:
    """What does not open with the first key alone: when it is empty, the other keys can go. Opens every value."""
    only = KeyRing(ring().keys[:1])
    found = []
    for place in places():
        announce(place)
        with platform():
            for row in _rows(place, _ALL):
                try:
                    unseal(row.stored, table=place.table, column=place.column, account_id=row.account_id, keys=only)
                except EncryptionError as error:
                    found.append(Unopened(place, row.pk, str(error)))
    return found


def _reseal(place: Place, rows: list[_Row]) -> tuple[int, list[Unopened]]:
    done, unopened = [], []
    for row in rows:
        try:
            plain = unseal(row.stored, table=place.table, column=place.column, account_id=row.account_id)
        except EncryptionError as error:
            unopened.append(Unopened(place, row.pk, str(error)))
        else:
            sealed = seal(plain, table=place.table, column=place.column, account_id=row.account_id)
            done.append((sealed, row.pk))
    with connection.cursor() as cursor:
        cursor.executemany(_named(_UPDATE, place), done)
    return len(done), unopened


_ALL = "SELECT {key}, account_id, {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY {key}"
# Compared by their first bytes: format, length of the id, id.
_SEALED_BY_OTHERS = """
SELECT {key}, account_id, {column} FROM {table}
WHERE {column} IS NOT NULL AND substring({column} FROM 1 FOR length(%(prefix)s)) <> %(prefix)s
  AND (%(after)s::bigint IS NULL OR {key} > %(after)s)
ORDER BY {key} LIMIT %(limit)s FOR NO KEY UPDATE
"""
_UPDATE = "UPDATE {table} SET {column} = %s WHERE {key} = %s"


def _rows(place: Place, query: str, *, after: int | None = None, limit: int | None = None) -> list[_Row]:
    first = ring().keys[0][0].encode()
    prefix = FORMAT + bytes([len(first)]) + first
    with connection.cursor() as cursor:
        values = {"prefix": prefix, "after": after, "limit": limit}
        cursor.execute(_named(query, place), values if limit is not None else None)
        return [_Row(pk, account_id, bytes(stored)) for pk, account_id, stored in cursor.fetchall()]


def _named(query: str, place: Place) -> str:
    names = {"table": place.table, "column": place.column, "key": place.key}
    composed = sql.SQL(query).format(**{name: sql.Identifier(value) for name, value in names.items()})
    return composed.as_string()


def _key_id(stored: bytes) -> str:
    try:
        return key_id_of(stored)
    except EncryptionError:
        return "?"
