"""Periodic work on the database itself."""

import structlog
from celery import shared_task
from django.db import DatabaseError

from paid import retention
from paid.lib import partitions

log = structlog.get_logger(__name__)


@shared_task
def keep_partitions() -> list[str]:
    """Make the next partitions, and raise the alarm for rows that fell into a default one."""
    with partitions.alone() as is_alone:
        made = [f"{one.parent} {one.starts_at:%Y-%m-%d}" for one in partitions.create_missing()] if is_alone else []
        if is_alone:
            made += _indexes()
    for alarm in partitions.unexpected():
        log.error("default_partition_holds_rows", table=alarm.parent, rows=alarm.rows)
    return made


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
    """Drop the partitions and delete the rows that are no longer kept."""
    with partitions.alone() as is_alone:
        dropped = [one.name for one in partitions.drop_expired()] if is_alone else []
    return dropped + [f"{one.rows} of {one.table}" for one in retention.forget() if one.rows]
