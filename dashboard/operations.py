"""What the host's staff and Prometheus want to know of an installation. Read as the platform."""

from collections.abc import Iterator
from dataclasses import dataclass

from asgiref.sync import async_to_sync
from django.utils import timezone
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from metrics.reconciliation import Proof, last_proof
from paid.lib import partitions, pulse, replicas, statistics
from workflows.queues import Queue, celery_queue, outbox_queue, temporal_queues

STATEMENTS = 15


@dataclass(frozen=True)
class Operations:
    """`beats` is None when Redis does not answer, `proof` before the ledger's sums were first proven."""

    beats: list[pulse.Beat] | None
    queues: list[Queue]
    tables: list[partitions.Summary]
    replicas: list[replicas.ReplicaState]
    receivers: list[statistics.Receiver]
    proof: Proof | None

    @property
    def alarms(self) -> list[partitions.Summary]:
        """Tables whose default partition holds rows: nobody expected them, and no retention reaches them."""
        return [table for table in self.tables if table.unexpected]


@dataclass(frozen=True)
class Maintenance:
    """What the next runs of `manage.py partitions` and `manage.py retention` would do."""

    missing: int
    unbuilt: int
    expired: int


def read_operations() -> Operations:
    return Operations(
        beats=pulse.beats(),
        queues=[outbox_queue(), *async_to_sync(temporal_queues)(), celery_queue()],
        tables=partitions.summaries(),
        replicas=[replicas.look(alias) for alias in replicas.aliases()],
        receivers=statistics.receivers(),
        proof=last_proof(),
    )


def read_maintenance() -> Maintenance:
    return Maintenance(len(partitions.missing()), len(partitions.unbuilt_indexes()), len(partitions.expired()))


class OperationsCollector(Collector):
    """The same as metrics of Prometheus."""

    def __init__(self, found: Operations) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from self._pools()
        waiting = GaugeMetricFamily("paid_queue_waiting", "Entries that wait in a queue.", labels=["queue"])
        oldest = GaugeMetricFamily("paid_queue_oldest_seconds", "Age of the oldest entry.", labels=["queue"])
        for queue in self._found.queues:
            if queue.waiting is not None:
                waiting.add_metric([queue.name], queue.waiting)
            if queue.oldest_at is not None:
                oldest.add_metric([queue.name], (timezone.now() - queue.oldest_at).total_seconds())
        yield from (waiting, oldest)
        yield from self._tables()
        lag = GaugeMetricFamily("paid_replica_lag_seconds", "How far a replica is behind.", labels=["replica"])
        usable = GaugeMetricFamily("paid_replica_usable", "1 when pages are read from it.", labels=["replica"])
        for replica in self._found.replicas:
            usable.add_metric([replica.alias], int(replica.is_usable))
            if replica.lag_seconds is not None:
                lag.add_metric([replica.alias], replica.lag_seconds)
        yield from (lag, usable)
        yield from self._proof()

    def _proof(self) -> Iterator[Metric]:
        drifted = GaugeMetricFamily(
            "paid_ledger_drifted_sums", "Sums that differed from the ledger when they were last proven.", labels=["of"]
        )
        age = GaugeMetricFamily("paid_ledger_proof_age_seconds", "How long ago the ledger's sums were last proven.")
        if (proof := self._found.proof) is not None:
            drifted.add_metric(["days"], proof.drifted_days)
            drifted.add_metric(["runs"], proof.drifted_runs)
            age.add_metric([], (timezone.now() - proof.proven_at).total_seconds())
        yield from (drifted, age)

    def _tables(self) -> Iterator[Metric]:
        size = GaugeMetricFamily("paid_partitioned_table_bytes", "Size of a partitioned table.", labels=["table"])
        strays = GaugeMetricFamily(
            "paid_default_partition_rows", "Rows that nobody expected, counted up to 1,000.", labels=["table"]
        )
        for table in self._found.tables:
            size.add_metric([table.parent], table.bytes)
            strays.add_metric([table.parent], table.unexpected)
        yield from (size, strays)

    def _pools(self) -> Iterator[Metric]:
        labels = ["program", "host", "pid"]
        up = GaugeMetricFamily("paid_process_uptime_seconds", "How long a process lives.", labels=labels)
        gauges = {
            name: GaugeMetricFamily(f"paid_pool_{name}", f"Database connections of a process: {text}.", labels=labels)
            for name, text in (
                ("size", "open"),
                ("most", "at most"),
                ("free", "free"),
                ("waiting", "requests that wait"),
            )
        }
        counters = {
            name: CounterMetricFamily(
                f"paid_pool_{name}", f"Requests for a database connection: {text}.", labels=labels
            )
            for name, text in (
                ("requests", "all"),
                ("waited", "that had to wait"),
                ("wait_ms", "milliseconds waited"),
                ("errors", "in vain"),
            )
        }
        for beat in self._found.beats or []:
            values = [beat.program, beat.host, str(beat.pid)]
            up.add_metric(values, beat.uptime_seconds)
            for name, family in (gauges | counters).items():
                family.add_metric(values, getattr(beat.pool, name))
        yield up
        yield from gauges.values()
        yield from counters.values()
