"""Periodic work on the database itself."""

import structlog
from celery import shared_task
from django.db import DatabaseError

from paid import retention
from paid.lib import partitions

log = structlog.get_logger(__name__)


@shared_task
def keep_partitions() -> list[str]:
    """Make the next partitions, and raise the alarm for rows that fell into a default one.

    Also for those that have a partition now: somebody wrote them. Raises PartitionInUse at the end for what could not
    be made.
    """
    found = partitions.unexpected()
    done: list[str] = []
    in_use = None
    with partitions.alone() as is_alone:
        if is_alone:
            made, in_use = partitions.gather(partitions.create_missing())
            done = [f"{one.parent} {one.starts_at:%Y-%m-%d}" for one in made] + _indexes()
    left = {alarm.parent: alarm.rows for alarm in partitions.unexpected()}
    for alarm in found:
        log.error("default_partition_holds_rows", table=alarm.parent, rows=alarm.rows, left=left.get(alarm.parent, 0))
    if in_use is not None:
        raise in_use
    return done


def _indexes() -> list[str]:
    """Build what closed partitions lack. Searches go on without it, only slower: a failure is told and not raised."""
    built = []
    for index in partitions.unbuilt_indexes():
        try:
            partitions.build_index(index)
        except DatabaseError as error:
            log.error("partition_index_failed", index=index.name, error=str(error))  # noqa: TRY400 - no traceback: its words say all
        else:
            built.append(index.name)
    return built


@shared_task
def apply_retention() -> list[str]:
    """Drop the partitions and delete the rows that are no longer kept.

    Raises PartitionInUse at the end for what could not be dropped.
    """
    gone: list[partitions.Expired] = []
    in_use = None
    with partitions.alone() as is_alone:
        if is_alone:
            gone, in_use = partitions.gather(partitions.drop_expired())
    rows = [f"{one.rows} of {one.table}" for one in retention.forget() if one.rows]
    if in_use is not None:
        raise in_use
    return [one.name for one in gone] + rows
