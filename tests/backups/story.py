"""What happened to the cluster of these tests: rows, a backup, more rows, a moment, still more rows."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import psycopg

from paid.backups import figures
from paid.backups.figures import Figures
from paid.backups.manifest import Manifest
from tests.backups.cluster import Cluster
from tests.factories.accounts import GithubTokenFactory
from tests.factories.metrics import TokenUsageFactory

ARCHIVE_SECONDS = 300
TOKEN = "ghp_what-nobody-may-read-in-a-backup"
# Twelve places: a float would lose the last ones.
BEFORE, BETWEEN, AFTER = Decimal("0.123456789012"), Decimal("1000000.000000000001"), Decimal("7")


@dataclass(frozen=True)
class Story:
    backup: Manifest
    at_backup: Figures
    moment: datetime
    at_moment: Figures
    at_end: Figures

    @classmethod
    def told(cls, cluster: Cluster, backup: Callable[[], Manifest]) -> "Story":
        GithubTokenFactory(token=TOKEN)
        TokenUsageFactory(cost_usd=BEFORE)
        at_backup = count(cluster)
        made = backup()
        TokenUsageFactory(cost_usd=BETWEEN)
        at_moment = count(cluster)
        moment = cluster.execute("SELECT clock_timestamp()")
        TokenUsageFactory.create_batch(3, cost_usd=AFTER)
        GithubTokenFactory()
        at_end = count(cluster)
        archive(cluster)
        return cls(made, at_backup, moment, at_moment, at_end)


def count(cluster: Cluster) -> Figures:
    with psycopg.connect(cluster.url("backup"), autocommit=True) as connection:
        return figures.count(connection)


def archive(cluster: Cluster) -> None:
    """Wait until what has been written so far is in the archive."""
    last = cluster.execute("SELECT pg_walfile_name(pg_switch_wal())")
    deadline = time.monotonic() + ARCHIVE_SECONDS
    while not (cluster.wal / last).exists():
        assert time.monotonic() < deadline, "the archiver does not come to it"
        time.sleep(0.02)
        assert cluster.execute("SELECT failed_count FROM pg_stat_archiver") == 0
