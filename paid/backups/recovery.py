"""A server that only recovers: no network, a socket nobody else may open, no settings of the former server."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

import psycopg

from paid.backups.figures import Connection
from paid.backups.manifest import BackupError, Manifest
from paid.stack import embedded

STOP_SECONDS = 120
STOPPED = re.compile(r"recovery stopping (?:before|after) .*")
LAST = re.compile(r"last completed transaction was at log time (.+)")
TOO_LATE = "recovery ended before configured recovery target was reached"
PREPARED = "# By `manage.py restore --prepare`; of no effect after the recovery."
OF_AN_EARLIER_RECOVERY = re.compile(rf"\s*(?:restore_command|recovery_\w+)\b|{re.escape(PREPARED)}", re.IGNORECASE)
UNTARGETED = {
    "recovery_target": "",
    "recovery_target_lsn": "",
    "recovery_target_name": "",
    "recovery_target_xid": "",
    "recovery_target_time": "",
    "recovery_target_inclusive": "on",
    "recovery_target_timeline": "latest",
    "recovery_min_apply_delay": "0",
}
Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Reached:
    """PostgreSQL's own words: where it stopped, and when the last transaction that it replayed was committed."""

    stopped: str
    last_transaction_at: str


@dataclass(frozen=True)
class Recovered(Generic[Seen]):
    found: Seen
    reached: Reached


def recover(
    data: Path,
    binaries: Path,
    made: Manifest,
    restore_command: str | None,
    moment: datetime | None,
    *,
    look: Callable[[Connection], Seen],
) -> Recovered[Seen]:
    """Replay WAL until `moment` (or its end), leave recovery, `look`, and stop the server in order."""
    account = embedded.Account.for_postgresql()
    with tempfile.TemporaryDirectory(prefix="paid-restore-") as name:
        directory = Path(name)
        _write_files(directory)
        settings = _settings(directory, restore_command, moment)
        (data / "recovery.signal").touch(mode=0o600)
        if account is not None:
            for path in (directory, *directory.iterdir(), data / "recovery.signal"):
                os.chown(path, account.uid, account.gid)
        with _server(data, directory / "log", binaries, settings, account) as log:
            with _connect(directory, made, log) as connection:
                found = look(connection)
            words = log.text()
    last = LAST.search(words)
    stopped = STOPPED.search(words)
    return Recovered(found, Reached(stopped[0] if stopped else "end of the WAL", last[1] if last else ""))


def prepare_settings(data: Path, restore_command: str | None, moment: datetime | None) -> None:
    """Leave recovery to the server that will be started in `data`; it removes the signal file itself."""
    path = data / "postgresql.auto.conf"
    # A server that was itself prepared so passes its lines on with every later backup.
    path.touch(mode=0o600)
    former = path.read_text(errors="surrogateescape").rstrip("\n").split("\n")
    kept = [line for line in former if line and not OF_AN_EARLIER_RECOVERY.match(line)]
    settings = _recovery_settings(restore_command, moment)
    lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
    path.write_text("\n".join([*kept, PREPARED, *lines]) + "\n", errors="surrogateescape")
    (data / "recovery.signal").touch(mode=0o600)
    if (account := embedded.Account.for_postgresql()) is not None:
        for left in (path, data / "recovery.signal"):
            os.chown(left, account.uid, account.gid)


def _recovery_settings(restore_command: str | None, moment: datetime | None) -> dict[str, str]:
    # Without an archive there is only the backup's own WAL, all of which it needs.
    settings = {"restore_command": restore_command or "false", "recovery_target_action": "promote"}
    if moment is not None:
        settings["recovery_target_time"] = moment.isoformat(" ")
    return settings


def _settings(directory: Path, restore_command: str | None, moment: datetime | None) -> dict[str, str]:
    """For the command line: the copy's postgresql.auto.conf overrides every file, and only that overrides it."""
    return {
        "config_file": str(directory / "postgresql.conf"),
        "hba_file": str(directory / "pg_hba.conf"),
        "listen_addresses": "",
        "unix_socket_directories": str(directory),
        "archive_mode": "off",
        "hot_standby": "off",  # it would ask for as many connections as the former server had
        "log_min_messages": "log",
        "logging_collector": "off",
        # Would act on the archive of the former server.
        "archive_cleanup_command": "",
        "recovery_end_command": "",
        # In this order: after a recovery_target_time PostgreSQL refuses every other target, even an empty one.
        **UNTARGETED,
        **_recovery_settings(restore_command, moment),
    }


def _write_files(directory: Path) -> None:
    # Nothing of the copy's own postgresql.conf: on Debian it has none, elsewhere it would archive and listen.
    (directory / "postgresql.conf").write_text("# All settings are on the command line.\n")
    (directory / "pg_hba.conf").write_text("local all all trust\n")


@dataclass
class _Log:
    path: Path
    process: subprocess.Popen[bytes]

    def text(self) -> str:
        return self.path.read_text(errors="replace")


@contextmanager
def _server(
    data: Path, log: Path, binaries: Path, settings: dict[str, str], account: embedded.Account | None
) -> Iterator[_Log]:
    argv = [str(binaries / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            **embedded.run_as(account),
        )
    try:
        yield _Log(log, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _connect(directory: Path, made: Manifest, log: _Log) -> Connection:
    """As soon as recovery is over; however long it takes, as long as the server lives."""
    while True:
        try:
            return psycopg.connect(
                host=str(directory), user=made.server.superuser, dbname=made.database, autocommit=True
            )
        except psycopg.OperationalError:
            if log.process.poll() is not None:
                raise BackupError(_why(log.text())) from None
            time.sleep(0.05)


def _why(words: str) -> str:
    if TOO_LATE in words:
        last = LAST.search(words)
        until = f" Its last transaction is of {last[1]}." if last else ""
        return f"The archived WAL does not reach that moment.{until} Leave --to out to recover all there is."
    return f"PostgreSQL did not recover:\n{words[-2000:]}"
