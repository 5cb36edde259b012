"""Secrets at rest: AES-256-GCM, one derived key per account, bound to its place in the database.

Stored form (bytea): `0x01 | length of key id | key id | 12-byte nonce | ciphertext and tag`. The key is
HKDF-SHA256 (RFC 5869) of a ring key with the account in `info`; table, column and account are the
associated data, so that a ciphertext copied to another column or tenant does not open.
"""

import base64
import os
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import models

FORMAT = b"\x01"
NONCE_BYTES = 12


class EncryptionError(Exception):
    """A secret could not be opened: its key is not in ENCRYPTION_KEYS, or the stored value was moved or changed."""


@dataclass(frozen=True)
class KeyRing:
    """Keys by id in the order of ENCRYPTION_KEYS: the first one seals, each of them opens."""

    keys: tuple[tuple[str, bytes], ...]

    @classmethod
    def parse(cls, entries: list[str]) -> "KeyRing":
        """Read `id:base64(32 bytes)` entries. Raises EncryptionError that names the entry's id, never its key."""
        keys: list[tuple[str, bytes]] = []
        for position, entry in enumerate(entries, start=1):
            key_id, _, encoded = entry.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except ValueError:  # binascii.Error is one; text beyond ASCII is another
                key = b""
            if not key_id or not key_id.isascii() or len(key_id) > 64 or len(key) != 32:
                raise EncryptionError(f"ENCRYPTION_KEYS entry {position} is not `id:base64 of 32 bytes`.")
            keys.append((key_id, key))
        if not keys:
            raise EncryptionError("ENCRYPTION_KEYS is empty: set at least one `id:base64 of 32 bytes`.")
        return cls(tuple(keys))

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(key_id for key_id, _ in self.keys)})"

    def __contains__(self, key_id: object) -> bool:
        return any(candidate == key_id for candidate, _ in self.keys)

    def key(self, key_id: str) -> bytes:
        for candidate, key in self.keys:
            if candidate == key_id:
                return key
        raise EncryptionError(f"The encryption key {key_id!r} is not in ENCRYPTION_KEYS.")


def ring() -> KeyRing:
    return KeyRing.parse(settings.ENCRYPTION_KEYS)


def _cipher(key: bytes, account_id: int) -> AESGCM:
    derived = HKDF(hashes.SHA256(), length=32, salt=None, info=b"paid field v1 account %d" % account_id)
    return AESGCM(derived.derive(key))


def _place(table: str, column: str, account_id: int) -> bytes:
    return f"{table}\0{column}\0{account_id}".encode()


def seal(plain: str, *, table: str, column: str, account_id: int) -> bytes:
    """Encrypt with the ring's first key."""
    key_id, key = ring().keys[0]
    nonce = os.urandom(NONCE_BYTES)
    box = _cipher(key, account_id).encrypt(nonce, plain.encode(), _place(table, column, account_id))
    encoded_id = key_id.encode()
    return FORMAT + bytes([len(encoded_id)]) + encoded_id + nonce + box


def key_id_of(stored: bytes) -> str:
    """Which ring key sealed the value. Raises EncryptionError for an unknown format."""
    if len(stored) < 2 or stored[:1] != FORMAT:
        raise EncryptionError("The stored secret has an unknown format.")
    return stored[2 : 2 + stored[1]].decode(errors="replace")


def unseal(stored: bytes, *, table: str, column: str, account_id: int, keys: KeyRing | None = None) -> str:
    """Decrypt. Raises EncryptionError for a missing key, another place, or changed bytes. `keys`: other than ours."""
    key = (keys or ring()).key(key_id_of(stored))
    start = 2 + stored[1]
    nonce, box = stored[start : start + NONCE_BYTES], stored[start + NONCE_BYTES :]
    try:
        return _cipher(key, account_id).decrypt(nonce, box, _place(table, column, account_id)).decode()
    except (InvalidTag, ValueError) as error:
        raise EncryptionError("The stored secret does not open: it was changed, or belongs elsewhere.") from error


def _must_stay(stored: bytes) -> bool:
    """Whether bytes that nobody touched are stored again as they are.

    Not when another key of the ring sealed them: a row that was loaded before a rotation and is saved after it would
    bring the former key back. But when none of our keys opens them: the rest of the row can still be saved.
    """
    try:
        key_id = key_id_of(stored)
    except EncryptionError:
        return True
    keys = ring()
    return key_id == keys.keys[0][0] or key_id not in keys


class Secret:
    """A secret in memory. It shows nothing of itself; `reveal()` is the one way to its text."""

    __slots__ = ("_account_id", "_column", "_plain", "_stored", "_table")

    def __init__(self, plain: str | None = None) -> None:
        self._plain = plain
        self._stored: bytes | None = None
        self._table = self._column = ""
        self._account_id: int | None = None

    @classmethod
    def sealed(cls, stored: bytes, table: str, column: str) -> "Secret":
        secret = cls()
        secret._stored, secret._table, secret._column = stored, table, column
        return secret

    def of_account(self, account_id: int | None) -> "Secret":
        self._account_id = account_id
        return self

    def reveal(self) -> str:
        """The plain text. Raises EncryptionError."""
        if self._plain is not None:
            return self._plain
        if self._stored is None or self._account_id is None:
            raise EncryptionError("The secret was loaded without its account.")
        return unseal(self._stored, table=self._table, column=self._column, account_id=self._account_id)

    def stored_for(self, *, table: str, column: str, account_id: int) -> bytes:
        """The bytes to store: as loaded when untouched (see `_must_stay`), else sealed anew for this place."""
        untouched = (self._table, self._column, self._account_id) == (table, column, account_id)
        if untouched and self._stored is not None and _must_stay(self._stored):
            return self._stored
        return seal(self.reveal(), table=table, column=column, account_id=account_id)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError("A Secret is never pickled.")


class _SecretAttribute:
    """Binds the loaded secret to the account of its row, and turns an assigned text into a Secret."""

    def __init__(self, field: "EncryptedField") -> None:
        self.field = field

    def __get__(self, instance: models.Model | None, owner: type[models.Model]) -> Any:
        if instance is None:
            return self
        if self.field.attname not in instance.__dict__:
            instance.refresh_from_db(fields=[self.field.attname])
        value = instance.__dict__[self.field.attname]
        if isinstance(value, Secret) and value._stored is not None and value._account_id is None:
            value.of_account(getattr(instance, "account_id", None))
        return value

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = Secret(value) if isinstance(value, str) else value


class EncryptedField(models.BinaryField):  # type: ignore[type-arg]  # generic to the stubs only
    """A text that is stored sealed. Read it with `row.field.reveal()`; the model needs `account_id`."""

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        setattr(cls, self.attname, _SecretAttribute(self))

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Secret | None:
        if value is None:
            return None
        return Secret.sealed(bytes(value), self.model._meta.db_table, str(self.column))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        secret = getattr(model_instance, self.attname)
        if secret is None:
            return None
        account_id = getattr(model_instance, "account_id", None)
        if account_id is None:
            raise EncryptionError("A secret cannot be stored before its account is known.")
        return secret.stored_for(table=self.model._meta.db_table, column=str(self.column), account_id=int(account_id))

    def get_prep_value(self, value: Any) -> Any:
        # update(), bulk_update() and filter() know no account to seal for: they would store or send the plain text.
        if isinstance(value, str | Secret):
            raise EncryptionError("Write a secret with save() or create(): only a row knows its account.")
        return super().get_prep_value(value)

    def value_to_string(self, obj: models.Model) -> str:
        raise EncryptionError("Secrets are not serialised.")
