"""A restore past an erasure and past retention goes through and says so; rows that are missing otherwise stop it."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_django
from django.core.management import CommandError, call_command
from psycopg import sql

from paid import erasure
from paid.backups import making
from paid.lib import partitions
from paid.lib.partitions import Missing
from tests.backups.cluster import DATABASE, Cluster, dump_of_test_database
from tests.backups.story import archive
from tests.factories.accounts import AccountFactory, AuditEventFactory
from tests.factories.agent_runs import finished_run
from tests.factories.metrics import TokenUsageFactory
from tests.factories.projects import ProjectFactory

LONG_AGO = datetime(2024, 2, 29, 12, tzinfo=UTC)
KEPT = Decimal("5")


@dataclass(frozen=True)
class Ending:
    """What one account's erasure, retention and a fault left; a moment after each of them."""

    directory: Path
    wal: Path
    erased: int
    bystander: int
    half_erased_at: datetime
    erased_at: datetime
    forgotten_at: datetime

    def restore(self, *arguments: object) -> dict[str, Any]:
        out = StringIO()
        target = self.directory / "restored" / "data"
        where = (self.directory / "backups", "--into", target, "--wal", self.wal)
        call_command("restore", *map(str, (*where, *arguments)), "--json", stdout=out)
        report: dict[str, Any] = json.loads(out.getvalue())
        return report


@pytest.fixture(scope="module")
def ending(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> Iterator[Ending]:
    """A cluster of its own: what goes away here would be missed by the other tests."""
    directory = Path(tempfile.mkdtemp(prefix="paid-losses-"))
    directory.chmod(0o711)
    cluster = Cluster(directory)
    cluster.start()
    try:
        cluster.fill(dump_of_test_database())
        with django_db_blocker.unblock(), cluster.as_default():
            yield tell(cluster, directory)
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


def tell(cluster: Cluster, directory: Path) -> Ending:
    leaving, staying = AccountFactory(slug="leaving"), AccountFactory(slug="staying")
    partitions.create(Missing("token_usages", LONG_AGO))
    for account in (leaving, staying):
        AuditEventFactory.create_batch(3, account=account)
        of_now = finished_run(project=ProjectFactory(account=account))
        TokenUsageFactory(run=of_now, cost_usd=KEPT)
        of_then = finished_run(project=of_now.project, created_at=LONG_AGO)
        TokenUsageFactory.create_batch(2, run=of_then, created_at=LONG_AGO)
    making.make(cluster.url("backup"), directory / "backups")

    plan = erasure.plan("leaving")
    erasure._close(plan, "somebody")
    half_erased_at = cluster.execute("SELECT clock_timestamp()")
    erasure.erase(erasure.plan("leaving"), actor="somebody", say=lambda _: None)
    erased_at = cluster.execute("SELECT clock_timestamp()")
    dropped = [one.name for one in partitions.drop_expired()]
    assert dropped == ["token_usages_p202402"]
    forgotten_at = cluster.execute("SELECT clock_timestamp()")
    lose(cluster, "audit_events", staying.pk)
    archive(cluster)
    return Ending(directory, cluster.wal, leaving.pk, staying.pk, half_erased_at, erased_at, forgotten_at)


def lose(cluster: Cluster, table: str, account_id: int) -> None:
    """One row, past every trigger."""
    with psycopg.connect(cluster.superuser_url(DATABASE)) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        query = "DELETE FROM {0} WHERE id = (SELECT id FROM {0} WHERE account_id = %s LIMIT 1)"
        assert connection.execute(sql.SQL(query).format(sql.Identifier(table)), [account_id]).rowcount == 1


@pytest.fixture
def restored(ending: Ending) -> Iterator[Ending]:
    """A directory to restore into, which goes away."""
    parent = ending.directory / "restored"
    parent.mkdir()
    parent.chmod(0o711)
    yield ending
    shutil.rmtree(parent)


def test_a_moment_in_the_middle_of_an_erasure_is_restored(restored: Ending):
    report = restored.restore("--to", restored.half_erased_at.isoformat())
    assert report["days_that_differ_from_the_ledger"] == 0
    assert report["fewer_rows"] == []


def test_a_moment_after_an_erasure_is_restored_and_says_whose_rows_went(restored: Ending):
    report = restored.restore("--to", restored.erased_at.isoformat())
    assert report["fewer_rows"] == [
        f"audit_events: 3 rows of account {restored.erased}, which was erased",
        f"token_usages: 3 rows of account {restored.erased}, which was erased",
    ]


def test_a_moment_after_retention_is_restored_and_says_which_month_went(restored: Ending):
    report = restored.restore("--to", restored.forgotten_at.isoformat())
    assert report["fewer_rows"] == [
        f"audit_events: 3 rows of account {restored.erased}, which was erased",
        f"token_usages: 3 rows of account {restored.erased}, which was erased",
        "token_usages: 2 rows of 2024-02, which retention dropped",
    ]
    assert report["days_that_differ_from_the_ledger"] == 0
    assert Decimal(report["figures"]["ledger_usd"]) == KEPT


def test_a_row_that_went_without_such_a_cause_stops_the_restore_without_a_moment_too(restored: Ending):
    month = f"{datetime.now(UTC):%Y-%m}"
    loss = f"audit_events has 2 rows of account {restored.bystander} in {month}, and had 3 when the backup was made"
    with pytest.raises(CommandError, match=loss) as refusal:
        restored.restore()
    assert refusal.value.returncode == 3
    assert [path.name for path in (restored.directory / "restored").iterdir()] == ["data.restoring"]
