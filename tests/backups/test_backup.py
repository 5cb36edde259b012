"""A backup is complete or none, holds no key, and says when it is damaged."""

import gzip
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.conf import settings as configured
from django.core.management import CommandError, call_command

from paid.backups import making, manifest, pruning
from paid.backups.manifest import BackupError
from paid.lib.encryption import ring
from tests.backups.cluster import Cluster
from tests.backups.story import BEFORE, TOKEN, Story, count


def run_command(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("backup", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def backups(directory: Path, story: Story, tmp_path: Path) -> Path:
    """A copy of the directory of backups, for tests that change it."""
    return Path(shutil.copytree(directory / "backups", tmp_path / "backups"))


def contents(directory: Path) -> bytes:
    """All that a thief of the backup would have, unpacked."""
    read = (
        gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in files(directory)
    )
    return b"\n".join(read)


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_its_manifest_says_what_it_is_of_and_what_it_holds(cluster: Cluster, story: Story, directory: Path):
    made = manifest.read(directory / "backups" / story.backup.name)
    assert made == story.backup
    assert made.server.system_identifier == cluster.execute("SELECT system_identifier::text FROM pg_control_system()")
    assert made.is_archiving
    assert made.figures == story.at_backup
    assert made.figures.ledger_usd == BEFORE
    assert made.figures.tables["token_usages"] == 1
    assert set(made.files) == {"base/base.tar.gz", "base/pg_wal.tar.gz", "base/backup_manifest"}


def test_neither_a_key_nor_what_it_opens_is_in_it(cluster: Cluster, story: Story, directory: Path):
    held = contents(directory / "backups" / story.backup.name)
    assert b"github_tokens" in held
    keys = [key for _, key in ring().keys]
    encoded = [entry.partition(":")[2].encode() for entry in configured.ENCRYPTION_KEYS]
    assert len(keys) == len(encoded) >= 1
    unwanted = [*keys, *encoded, TOKEN.encode(), configured.SECRET_KEY.encode()]
    unwanted += [password.encode() for password in (*cluster.passwords.values(), cluster.superuser_password)]
    assert [value for value in unwanted if value in held] == []


def test_only_its_owner_may_read_it(story: Story, directory: Path):
    assert (directory / "backups" / story.backup.name).stat().st_mode & 0o077 == 0


def test_the_command_makes_one_and_tells_where_it_is(cluster: Cluster, story: Story, tmp_path: Path, settings):
    settings.DATABASE_BACKUP_URL = cluster.url("backup")
    code, out = run_command(str(tmp_path), "--json")
    assert code == 0
    report = json.loads(out)
    assert Path(report["path"]).parent == tmp_path
    assert report["figures"] == count(cluster).as_dict()
    assert run_command(str(tmp_path), "--verify") == (0, f"{report['path']}: every file is as it was written\n")


def test_its_manifest_is_on_the_disk_before_it_has_its_name(cluster: Cluster, tmp_path: Path, monkeypatch):
    flushed: list[str] = []
    flush = os.fsync

    def noted(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    made = making.make(cluster.url("backup"), tmp_path)
    assert flushed == ["manifest.json", f"{made.name}.part", tmp_path.name]


def test_the_backups_role_reads_every_row_and_changes_none(cluster: Cluster, story: Story):
    with psycopg.connect(cluster.url("backup"), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM github_tokens").fetchone() == (2,)
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM github_tokens")


def test_a_login_that_may_not_copy_leaves_nothing_and_says_what_it_needs(
    cluster: Cluster, story: Story, tmp_path: Path
):
    with pytest.raises(BackupError, match="needs REPLICATION"):
        making.make(cluster.url("owner"), tmp_path)
    assert manifest.all_in(tmp_path) == []


def test_a_server_that_does_not_answer_is_named_by_its_setting(tmp_path: Path, settings):
    settings.DATABASE_BACKUP_URL = "postgresql://paid_backup@127.0.0.1:1/paid_development"
    with pytest.raises(CommandError, match="DATABASE_BACKUP_URL does not open"):
        run_command(str(tmp_path))


def test_one_changed_byte_is_found(backups: Path, story: Story):
    path = backups / story.backup.name / "base" / "base.tar.gz"
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)
    code, out = run_command(str(backups), "--verify", "--json")
    assert code == 3
    size = len(held)
    told = [f"base/base.tar.gz has changed ({size} bytes, {size} were written)"]
    assert json.loads(out) == {"damage": {str(backups / story.backup.name): told}}


def test_a_file_that_is_missing_or_too_much_is_found(backups: Path, story: Story):
    held = backups / story.backup.name
    (held / "base" / "pg_wal.tar.gz").rename(held / "base" / "other")
    assert making.verify(held) == ["base/pg_wal.tar.gz is missing", "base/other does not belong there"]


def test_files_that_postgresql_did_not_write_are_found_although_our_checksums_fit(backups: Path, story: Story):
    held = backups / story.backup.name
    (held / "base" / "base.tar.gz").write_bytes((held / "base" / "pg_wal.tar.gz").read_bytes())
    forged = {name: vars(file) for name, file in manifest.checksums(held)}
    (held / manifest.NAME).write_text(json.dumps(story.backup.as_dict() | {"files": forged}))
    assert "PG_VERSION is missing in base.tar.gz" in making.verify(held)


def test_what_was_not_finished_is_no_backup(backups: Path, story: Story):
    (backups / story.backup.name / manifest.NAME).unlink()
    assert manifest.all_in(backups) == []
    with pytest.raises(CommandError, match="holds no complete backup"):
        run_command(str(backups), "--verify")


def test_a_store_gets_every_file_by_its_command_and_the_manifest_last(cluster: Cluster, tmp_path: Path, settings):
    settings.DATABASE_BACKUP_URL = cluster.url("backup")
    store = tmp_path / "store"
    command = (
        f"""sh -c 'mkdir -p "$(dirname "$1")" && cat > "$1" && echo "$1" >> {tmp_path}/order' - {store}/{{path}}"""
    )
    code, out = run_command(str(tmp_path / "backups"), "--store-command", command, "--json")
    assert code == 0
    made = Path(json.loads(out)["path"])
    assert making.verify(store / made.name) == []
    order = (tmp_path / "order").read_text().split()
    assert order[-1].endswith("/manifest.json")
    assert len(order) == 4


def test_a_store_that_refuses_is_an_error_with_its_words(cluster: Cluster, tmp_path: Path, settings):
    settings.DATABASE_BACKUP_URL = cluster.url("backup")
    with pytest.raises(CommandError, match=r"ended with 7 for .*: no such bucket"):
        run_command(str(tmp_path), "--store-command", "sh -c 'echo no such bucket >&2; exit 7' - {path}")


class TestPruning:
    """Three backups, ten days apart, and the WAL since the first one."""

    @pytest.fixture
    def kept(self, backups: Path, story: Story) -> tuple[Path, Path]:
        wal = backups / "wal"
        wal.mkdir()
        for number, age in ((1, 20), (2, 10), (3, 0)):
            held = backups / f"backup-{number}"
            shutil.copytree(backups / story.backup.name, held)
            values = story.backup.as_dict() | {"name": held.name, "first_wal": f"0000000100000000000000{number}0"}
            values["ended_at"] = (story.backup.ended_at - timedelta(days=age)).isoformat()
            (held / manifest.NAME).write_text(json.dumps(values))
        for name in ("0F", "10", "1F", "20", "20.00000028.backup", "30"):
            (wal / f"0000000100000000000000{name}").touch()
        (wal / "00000002.history").touch()
        shutil.rmtree(backups / story.backup.name)
        return backups, wal

    def test_a_dry_run_names_what_would_go_and_keeps_it(self, kept: tuple[Path, Path]):
        backups, wal = kept
        before = files(backups)
        arguments = (str(backups), "--prune", "--keep-days", "15", "--keep-at-least", "1", "--wal", str(wal))
        report = json.loads(run_command(*arguments, "--dry-run", "--json")[1])
        assert (report["backups"], report["wal_files"], report["is_dry_run"]) == (["backup-1"], 3, True)
        assert files(backups) == before

    def test_old_ones_go_with_the_wal_that_only_they_needed(self, kept: tuple[Path, Path]):
        backups, wal = kept
        run_command(str(backups), "--prune", "--keep-days", "15", "--keep-at-least", "1", "--wal", str(wal))
        assert [made.name for made in manifest.all_in(backups)] == ["backup-2", "backup-3"]
        left = sorted(path.name[-2:] for path in wal.iterdir() if path.suffix != ".history")
        assert left == ["20", "30", "up"]
        assert (wal / "00000002.history").exists()

    def test_the_latest_ones_are_kept_however_old_they_are(self, kept: tuple[Path, Path]):
        plan = pruning.plan(kept[0], keep_days=0, keep_at_least=3, wal=kept[1])
        assert (plan.backups, [path.name for path in plan.wal]) == ((), ["00000001000000000000000F"])

    def test_one_that_is_still_being_made_is_left_however_long_ago_it_began(self, kept: tuple[Path, Path]):
        two_days_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
        for name in ("running.part", "killed.part"):
            archive = kept[0] / name / "base" / "base.tar.gz"
            archive.parent.mkdir(parents=True)
            archive.touch()
            for path in (archive, archive.parent, archive.parent.parent):
                os.utime(path, (two_days_ago, two_days_ago))
        with (kept[0] / "running.part" / "base" / "base.tar.gz").open("ab") as file:
            file.write(b"more")
        run_command(str(kept[0]), "--prune", "--keep-days", "365")
        assert [path.name for path in kept[0].glob("*.part")] == ["running.part"]

    def test_without_any_backup_no_wal_goes(self, kept: tuple[Path, Path], tmp_path: Path):
        assert pruning.plan(tmp_path / "none", keep_days=0, keep_at_least=1, wal=kept[1]).wal == ()
