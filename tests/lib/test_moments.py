"""Moments that are read as text are the very ones that Django reads."""

from typing import Any

import pytest
from django.db import connection

from agent_runs.models import AgentRun
from paid.lib.moments import Moment
from paid.lib.tenancy import platform
from tests.factories.agent_runs import AgentRunFactory

MOMENTS = (
    "2026-11-29 15:35:03+00",
    "2026-11-29 15:35:03.1+00",
    "2026-11-29 15:35:03.000001+00",
    "2026-11-29 15:35:03.999999+14:30",
    "0001-01-01 00:00:00+00",
    "9999-12-31 23:59:59.999999+00",
)


@pytest.mark.django_db
def test_a_moment_is_what_django_reads_whatever_its_fraction_and_zone():
    runs = [AgentRunFactory() for _ in MOMENTS]
    with platform():
        with connection.cursor() as cursor:
            for run, moment in zip(runs, MOMENTS, strict=True):
                cursor.execute("UPDATE agent_runs SET stop_requested_at = %s WHERE id = %s", [moment, run.pk])
        read = AgentRun.objects.annotate(at=Moment("stop_requested_at"), never=Moment("paused_at"))
        rows: list[Any] = list(read.order_by("pk").values_list("stop_requested_at", "at", "never"))
    assert [at for _, at, _ in rows] == [moment for moment, _, _ in rows]
    assert {(at.utcoffset().total_seconds(), never) for _, at, never in rows} == {(0.0, None)}
