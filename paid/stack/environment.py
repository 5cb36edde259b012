"""`.paid/stack.env`: addresses and secrets of the servers that `manage.py up` starts itself.

Settings read this file at start, so it is written before them: when something in it has to change, the
command replaces itself by a fresh process (`restarted_environment`). What the operator set in the process
environment or in `.env` always wins, and the server it names is not started.
"""

import base64
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paid.stack import embedded

HEADER = "# Written by `manage.py up` for the servers that it starts. Secret: keep it at mode 0600.\n"
DATABASE_PASSWORDS = ("PAID_OWNER_PASSWORD", "PAID_APP_PASSWORD", "PAID_BACKUP_PASSWORD")
SECRETS = ("SECRET_KEY", "POSTGRES_PASSWORD", *DATABASE_PASSWORDS, "REDIS_PASSWORD")


@dataclass(frozen=True)
class Embedded:
    """Which servers are ours to start; the others are the operator's."""

    postgresql: bool
    valkey: bool
    temporal: bool


@dataclass
class StackEnvironment:
    path: Path
    values: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, state_directory: Path) -> "StackEnvironment":
        path = state_directory / "stack.env"
        lines = path.read_text().splitlines() if path.is_file() else []
        pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
        return cls(path, {name: value for name, _, value in pairs})

    def given_by_operator(self, name: str) -> bool:
        """Settings put this file's values into os.environ too: the operator's are those that differ."""
        return name in os.environ and os.environ[name] != self.values.get(name)

    def embedded(self) -> Embedded:
        return Embedded(
            postgresql=not self.given_by_operator("DATABASE_URL"),
            valkey=not self.given_by_operator("REDIS_URL"),
            temporal=not self.given_by_operator("TEMPORAL_ADDRESS"),
        )

    def complete(self) -> bool:
        """Fill in what is missing and move ports that somebody else took; True when anything changed."""
        before = dict(self.values)
        for name in SECRETS:
            self.values.setdefault(name, secrets.token_urlsafe(32))
        self.values.setdefault("PAID_FIRST_PASSWORD", secrets.token_urlsafe(12))
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.values.setdefault("ENCRYPTION_KEYS", f"{secrets.token_hex(4)}:{key}")
        for name in ("POSTGRES_PORT", "REDIS_PORT", "TEMPORAL_PORT", "SCRIPTED_MODEL_PORT"):
            self._keep_or_move_port(name)
        self._derive_addresses()
        return self.values != before

    def _keep_or_move_port(self, name: str) -> None:
        taken = {value for other, value in self.values.items() if other.endswith("_PORT") and other != name}
        port = self.values.get(name)
        while port is None or port in taken or not embedded.port_is_free(int(port)):
            port = str(embedded.free_port())
        self.values[name] = port

    def _derive_addresses(self) -> None:
        values = self.values
        for name, role, password in (
            ("DATABASE_URL", "paid_app", values["PAID_APP_PASSWORD"]),
            ("DATABASE_OWNER_URL", "paid_owner", values["PAID_OWNER_PASSWORD"]),
            ("DATABASE_BACKUP_URL", "paid_backup", values["PAID_BACKUP_PASSWORD"]),
        ):
            values[name] = f"postgresql://{role}:{password}@127.0.0.1:{values['POSTGRES_PORT']}/paid_development"
        sockets = embedded.socket_directory(self.path.with_name("postgresql"))
        values["DATABASE_SOCKET_DIRECTORY"] = "" if sockets is None else str(sockets)
        values["REDIS_URL"] = f"redis://:{values['REDIS_PASSWORD']}@127.0.0.1:{values['REDIS_PORT']}/0"
        values["TEMPORAL_ADDRESS"] = f"127.0.0.1:{values['TEMPORAL_PORT']}"
        values["SCRIPTED_MODEL_URL"] = f"http://127.0.0.1:{values['SCRIPTED_MODEL_PORT']}"

    def write(self) -> None:
        """Replace the file in one step; it is never readable by others, not even for a moment."""
        self.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        scratch = self.path.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(HEADER + "".join(f"{name}={value}\n" for name, value in sorted(self.values.items())))
        scratch.replace(self.path)


def restarted_environment(former: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what settings took from the former stack.env."""
    return {name: value for name, value in os.environ.items() if former.get(name) != value}
