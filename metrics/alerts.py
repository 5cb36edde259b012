"""Alerts about budgets: raised once by the database, then told by mail and webhook until they are told."""

from decimal import Decimal

from django.db import connection

from agent_runs.models import AgentRun
from paid.lib.tenancy import platform


def raise_alerts() -> int:
    """Write down every budget that has passed a threshold of its period; gives how many are new."""
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT budget_alerts_raise()")
        return int(cursor.fetchone()[0])


def alert_of_pause(*, run: AgentRun, limit_usd: Decimal) -> None:
    """Write down what is used up for a run that has just paused: its budgets, or else its own limit."""
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT budget_alert_of_pause(%s, %s)", [run.pk, limit_usd])
