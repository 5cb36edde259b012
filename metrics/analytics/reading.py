"""How named queries are asked: within the caller's tenancy context, with the account said twice, to the policy and to
the index."""

from typing import Any

from django.db import connection

from paid.lib.sql import statement


def ask(file: str, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of the statement `name` of `metrics/analytics/sql/<file>.sql`."""
    with connection.cursor() as cursor:
        cursor.execute(statement("metrics.analytics", file, name).rstrip(";"), parameters)
        return list(cursor.fetchall())
