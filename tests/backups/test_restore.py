"""A restore reaches the moment that was asked for, to the last digit, and never writes over anything."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from paid.backups import figures, manifest, restoring
from paid.backups.manifest import BackupError
from paid.backups.programs import server_binaries
from paid.backups.recovery import prepare_settings, recover
from paid.backups.restoring import TargetNotEmptyError, UnsoundError
from paid.stack import embedded
from tests.backups.cluster import DATABASE, Cluster
from tests.backups.story import AFTER, BEFORE, BETWEEN, Story
from tests.servers import READY_SECONDS


def restore(*arguments: object) -> dict[str, Any]:
    out = StringIO()
    call_command("restore", *map(str, arguments), "--json", stdout=out)
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


@pytest.fixture
def target(directory: Path) -> Any:
    """Where to restore to; what is there and beside it goes away after the test."""
    parent = directory / "restored"
    parent.mkdir(mode=0o711)
    parent.chmod(0o711)
    yield parent / "data"
    shutil.rmtree(parent)


def backup_of(directory: Path, story: Story) -> Path:
    return directory / "backups" / story.backup.name


def test_a_moment_between_is_restored_to_the_last_digit(cluster: Cluster, story: Story, directory: Path, target: Path):
    report = restore(directory / "backups", "--into", target, "--wal", cluster.wal, "--to", story.moment.isoformat())
    assert report["figures"] == story.at_moment.as_dict()
    assert Decimal(report["figures"]["ledger_usd"]) == BEFORE + BETWEEN == Decimal("1000000.123456789013")
    assert report["days_that_differ_from_the_ledger"] == 0
    assert report["stopped"].startswith("recovery stopping before commit of transaction")
    assert story.at_end.tables["token_usages"] == report["figures"]["tables"]["token_usages"] + 3

    # The directory starts as any other, under the former passwords, and takes new rows.
    server = embedded.start_postgresql(
        target, directory / "restored.log", port=(port := embedded.free_port()), superuser_password=""
    )
    try:
        server.wait_until_ready(READY_SECONDS)
        with psycopg.connect(
            cluster.url("backup").replace(f":{cluster.port}/", f":{port}/"), autocommit=True
        ) as connection:
            assert figures.count(connection) == story.at_moment
        with psycopg.connect(cluster.superuser_url(DATABASE).replace(f":{cluster.port}/", f":{port}/")) as connection:
            connection.execute("INSERT INTO accounts (name, slug) VALUES ('After', 'after')")
    finally:
        server.stop()


def test_without_a_moment_all_that_was_archived_comes_back(
    cluster: Cluster, story: Story, directory: Path, target: Path
):
    report = restore(directory / "backups", "--into", target, "--wal", cluster.wal)
    tables = report["figures"]["tables"]
    assert {name: tables[name] for name in ("token_usages", "github_tokens")} == {"token_usages": 5, "github_tokens": 2}
    assert Decimal(report["figures"]["ledger_usd"]) == BEFORE + BETWEEN + 3 * AFTER


def test_without_archived_wal_the_backup_itself_comes_back_from_a_store(story: Story, directory: Path, target: Path):
    fetch = f"cat {directory}/backups/{{path}}"
    report = restore(story.backup.name, "--into", target, "--fetch-command", fetch)
    assert report["figures"] == story.at_backup.as_dict()
    assert [path.name for path in target.parent.iterdir()] == ["data"]


def test_a_dry_run_prints_the_plan_and_touches_nothing(cluster: Cluster, story: Story, directory: Path, target: Path):
    target.mkdir()
    (target / "precious").write_text("mine")
    out = StringIO()
    arguments = [str(directory / "backups"), "--into", str(target), "--wal", str(cluster.wal), "--replace", "--dry-run"]
    call_command("restore", *arguments, "--to", "2999-01-01", stdout=out)
    assert f"Backup {story.backup.name} would be restored into {target}:" in out.getvalue()
    assert f"REPLACE {target}: what is there now is renamed to {target}.before-" in out.getvalue()
    assert "recover it to 2999-01-01 00:00:00.000000 UTC with: cp " in out.getvalue()
    assert (target / "precious").read_text() == "mine"
    assert [path.name for path in target.parent.iterdir()] == ["data"]


def test_a_directory_that_holds_something_is_refused(story: Story, directory: Path, target: Path):
    target.mkdir()
    (target / "precious").write_text("mine")
    with pytest.raises(CommandError, match="is not empty: nothing was changed") as refusal:
        restore(directory / "backups", "--into", target)
    assert refusal.value.returncode == 4
    assert [path.name for path in target.iterdir()] == ["precious"]


def test_replace_renames_what_was_there(story: Story, directory: Path, target: Path):
    target.mkdir()
    (target / "precious").write_text("mine")
    restore(directory / "backups", "--into", target, "--replace", "--prepare")
    (aside,) = target.parent.glob("data.before-*")
    assert (aside / "precious").read_text() == "mine"
    assert (target / "PG_VERSION").exists()


def test_a_running_server_is_never_replaced(cluster: Cluster, story: Story, directory: Path):
    with pytest.raises(TargetNotEmptyError, match="stop it first"):
        restoring.plan(directory / "backups", cluster.data, moment=None, restore_command=None, replaces=True)


def test_an_empty_directory_is_filled_where_it_is(story: Story, directory: Path, target: Path):
    target.mkdir(mode=0o755)
    inode = target.stat().st_ino
    restore(directory / "backups", "--into", target, "--prepare")
    assert (target.stat().st_ino, (target / "PG_VERSION").exists()) == (inode, True)


def test_a_moment_before_every_backup_is_refused(story: Story, directory: Path, target: Path):
    moment = story.backup.ended_at - timedelta(seconds=1)
    with pytest.raises(BackupError, match="WAL leads forwards only"):
        restoring.plan(directory / "backups", target, moment=moment, restore_command="cp")


def test_a_moment_without_archived_wal_is_refused(story: Story, directory: Path, target: Path):
    with pytest.raises(CommandError, match="reached by archived WAL only"):
        restore(directory / "backups", "--into", target, "--to", datetime.now(UTC).isoformat())


def test_a_moment_that_the_archive_does_not_reach_is_told_and_nothing_is_put_in_place(
    cluster: Cluster, story: Story, directory: Path, target: Path
):
    with pytest.raises(CommandError, match=r"does not reach that moment. Its last transaction is of \d{4}-"):
        restore(directory / "backups", "--into", target, "--wal", cluster.wal, "--to", "2999-01-01")
    assert not target.exists()


def test_a_damaged_backup_is_refused_before_anything_is_unpacked(
    story: Story, directory: Path, target: Path, tmp_path: Path
):
    damaged = Path(shutil.copytree(backup_of(directory, story), tmp_path / "damaged"))
    with (damaged / "base" / "pg_wal.tar.gz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(CommandError, match="damaged, and nothing was restored"):
        restore(damaged, "--into", target)
    assert not any(target.parent.iterdir())


def test_a_copy_with_fewer_ledger_rows_than_an_old_backup_had_is_not_put_in_place(
    story: Story, directory: Path, target: Path, tmp_path: Path
):
    """One from before rows were counted by month and account."""
    forged = Path(shutil.copytree(backup_of(directory, story), tmp_path / "forged"))
    values = story.backup.as_dict()
    values["figures"]["tables"] |= {"token_usages": 9}
    del values["figures"]["append_only"]
    (forged / manifest.NAME).write_text(json.dumps(values))
    plan = restoring.plan(forged, target, moment=None, restore_command=None)
    with pytest.raises(UnsoundError, match="token_usages has 1 rows, and had 9 when the backup was made"):
        restoring.restore(plan)
    assert not target.exists()
    assert plan.scratch.exists()


def test_the_latest_backup_before_the_moment_is_taken(story: Story, directory: Path, target: Path, tmp_path: Path):
    for name, age in (("one", 2), ("two", 1), ("three", 0)):
        held = tmp_path / name
        held.mkdir()
        values = story.backup.as_dict() | {"name": name}
        values["ended_at"] = (story.backup.ended_at - timedelta(hours=age)).isoformat()
        (held / manifest.NAME).write_text(json.dumps(values))
    moment = story.backup.ended_at - timedelta(minutes=30)
    assert restoring.plan(tmp_path, target, moment=moment, restore_command="cp").made.name == "two"
    assert restoring.plan(tmp_path, target, moment=None, restore_command=None).made.name == "three"


def test_a_prepared_directory_is_recovered_by_the_server_that_starts_in_it(
    cluster: Cluster, story: Story, directory: Path, target: Path
):
    moment = story.moment.isoformat()
    restore(directory / "backups", "--into", target, "--wal", cluster.wal, "--to", moment, "--prepare")
    server = embedded.start_postgresql(
        target, directory / "restored.log", port=(port := embedded.free_port()), superuser_password=""
    )
    try:
        server.wait_until_ready(READY_SECONDS)
        url = cluster.url("backup").replace(f":{cluster.port}/", f":{port}/")
        with psycopg.connect(url, autocommit=True) as connection:
            while connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
                continue
            assert figures.count(connection) == story.at_moment
    finally:
        server.stop()
    assert not (target / "recovery.signal").exists()


def test_what_alter_system_or_an_earlier_restore_left_in_the_backup_neither_stops_recovery_nor_archives(
    cluster: Cluster, story: Story, directory: Path, target: Path
):
    archive = target.parent / "archive-of-production"
    archive.mkdir()
    archive.chmod(0o777)
    command = restoring.copy_from(cluster.wal)
    plan = restoring.plan(directory / "backups", target, moment=None, restore_command=command)
    restoring.unpack(plan, lambda _: None, major_matches=True)
    with (plan.scratch / "postgresql.auto.conf").open("a") as file:
        file.write("archive_mode = 'on'\n")
        file.write(f"archive_command = 'cp %p {archive}/%f'\n")
        file.write(f"recovery_end_command = 'touch {archive}/ended'\n")
        file.write(f"restore_command = '{command}'\n")
        file.write("recovery_target_action = 'promote'\n")
        file.write(f"recovery_target_time = '{story.moment.isoformat()}'\n")
    binaries = server_binaries(plan.made.server.major, None)
    outcome = recover(plan.scratch, binaries, plan.made, command, None, look=figures.count)
    assert outcome.reached.stopped == "end of the WAL"
    assert outcome.found.tables["token_usages"] == 5
    assert list(archive.iterdir()) == []


def test_preparing_drops_what_an_earlier_restore_left_and_keeps_the_other_settings(tmp_path: Path):
    settings = tmp_path / "postgresql.auto.conf"
    settings.write_text("work_mem = '8MB'\nrecovery_target_xid = '7'\n")
    prepare_settings(tmp_path, "cp /old/%f %p", datetime(2026, 1, 2, tzinfo=UTC))
    prepare_settings(tmp_path, "cp /new/%f %p", None)
    assert settings.read_text() == (
        "work_mem = '8MB'\n"
        "# By `manage.py restore --prepare`; of no effect after the recovery.\n"
        "restore_command = 'cp /new/%f %p'\n"
        "recovery_target_action = 'promote'\n"
    )
