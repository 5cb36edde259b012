"""A PostgreSQL that is reached by TLS alone, as docker-compose.yml has it: its certificates, options and pg_hba.conf.

The wheel's is built without TLS, so it is another one of this machine.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import environ
import psycopg
import yaml
from django.db import connections

from paid.stack import embedded
from tests.other_postgresql import BINARIES_VARIABLE, OtherPostgresql

ROOT = Path(__file__).resolve().parents[1]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DATABASE = "paid_development"


def binaries_with_tls() -> Path | None:
    """Of the server that `make test-on` chose, or of one that this machine has."""
    if BINARIES_VARIABLE in os.environ:
        candidates = [Path(os.environ[BINARIES_VARIABLE])]
    else:
        candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        if (found := shutil.which("postgres")) is not None:
            candidates.append(Path(found).resolve().parent)
    return next((directory for directory in candidates if _links_openssl(directory / "postgres")), None)


def _links_openssl(program: Path) -> bool:
    return b"libssl" in subprocess.run(["ldd", program], capture_output=True, check=False).stdout


class TlsPostgresql:
    """Starts in a directory of its own; its certificate is for `postgres` and 127.0.0.1, not for `localhost`."""

    def __init__(self, binaries: Path) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="paid-tls-"))
        self._directory.chmod(0o711)  # PostgreSQL walks through it as nobody
        self.authority = self._directory / "tls" / "public" / "ca.crt"
        self._server = OtherPostgresql(binaries, self._directory, self._compose_options())

    def _compose_options(self) -> dict[str, str]:
        """What the compose file's command says of TLS and logins, with its mounts at our paths."""
        (self._directory / "pg_hba.conf").write_bytes((ROOT / "pg_hba.conf").read_bytes())
        mounts = {
            "/etc/postgresql/tls": str(self._directory / "tls" / "server"),
            "/etc/postgresql/pg_hba.conf": str(self._directory / "pg_hba.conf"),
        }
        assert set(mounts) <= {volume.split(":")[1] for volume in SERVICES["postgres"]["volumes"]}
        said = dict(word.split("=", 1) for word in SERVICES["postgres"]["command"] if "=" in word)
        options = {name: value for name, value in said.items() if name == "hba_file" or name.startswith("ssl")}
        for there, here in mounts.items():
            options = {name: value.replace(there, here) for name, value in options.items()}
        return options

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def temporal_password(self) -> str:
        return self._server.passwords["TEMPORAL_DATABASE_PASSWORD"]

    def start(self) -> None:
        """Again after `stop` as often as one likes, as `docker compose up` does."""
        self.run_certificate_step()
        self._server.start()

    def fill(self, dump: bytes) -> None:
        # Of a newer program than this server may be.
        (self._directory / "dump.sql").write_bytes(dump.replace(b"SET transaction_timeout = 0;\n", b""))
        self._server.psql("-d", DATABASE, "-o", "/dev/null", "-f", str(self._directory / "dump.sql"))

    def stop(self) -> None:
        self._server.stop()

    def remove(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def run_certificate_step(self) -> str:
        """The compose file's own command, with one more name and the owner that a server of ours has."""
        account = embedded.Account.for_postgresql()
        owner = f"{account.uid}:{account.gid}" if account else f"{os.getuid()}:{os.getgid()}"
        ours = {"python": sys.executable, "/tls": str(self._directory / "tls"), "999:999": owner}
        argv = [ours.get(word, word) for word in SERVICES["certificates"]["command"]]
        # None of the application's settings, as in its container.
        environment = {"PATH": os.environ["PATH"], "PAID_STATE_DIR": str(self._directory / "state")}
        done = subprocess.run(
            [*argv, "--name", "127.0.0.1"], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def url(
        self, role: str, *, host: str = "127.0.0.1", authority: Path | None = None, database: str = DATABASE
    ) -> str:
        password = self._server.passwords[f"PAID_{role.upper()}_PASSWORD"]
        verified = f"sslmode=verify-full&sslrootcert={authority or self.authority}"
        return f"postgresql://paid_{role}:{password}@{host}:{self._server.port}/{database}?{verified}"

    def uses_tls(self, backend: int) -> bool:
        """Whether the server says so of this process of its own."""
        superuser = psycopg.connect(
            host="127.0.0.1",
            port=self._server.port,
            user="postgres",
            password=self._server.superuser_password,
            dbname=DATABASE,
            sslmode="verify-full",
            sslrootcert=str(self.authority),
        )
        with superuser as connection:
            row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = %s", [backend]).fetchone()
            assert row is not None
            return bool(row[0])

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Django's models read and write here meanwhile, by an address as DATABASE_URL has it."""
        default: Any = connections["default"]
        former = dict(default.settings_dict)
        said: dict[str, Any] = dict(environ.Env.db_url_config(self.url("app")))
        options = {"pool": {"min_size": 1, "max_size": 4, "timeout": 10}, **said["OPTIONS"]}
        default.close()
        default.close_pool()
        default.settings_dict.update(
            {name: said[name] for name in ("HOST", "PORT", "USER", "PASSWORD", "NAME")}, OPTIONS=options
        )
        try:
            yield
        finally:
            default.close()
            default.close_pool()
            default.settings_dict.clear()
            default.settings_dict.update(former)
