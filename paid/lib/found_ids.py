"""Searches by operators that row-level security keeps from their indexes, as conditions of a queryset.

`@>` and `@@` are not leakproof: under a policy PostgreSQL reads every row before it asks them. So the owner searches,
in a function that filters by `current_account()` itself, and hands out ids; the queryset then reads these rows under
its own policy.
"""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, Value
from django.db.models.sql.compiler import SQLCompiler


class IsFound(Func):
    """Whether one of our set-returning SQL functions finds the row's id, for `filter()`."""

    output_field = models.BooleanField()

    def __init__(self, function: str, *arguments: Value) -> None:
        super().__init__(F("pk"), *arguments, function=function)

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: Any, **options: Any
    ) -> tuple[str, tuple[Any, ...]]:
        (identity, _), *arguments = [compiler.compile(expression) for expression in self.get_source_expressions()]
        call = f"{self.extra['function']}({', '.join(sql for sql, _ in arguments)})"
        # An array is looked up in the primary key whatever its length. IN (SELECT ...) would be joined, and the
        # planner, which cannot know how many rows a function returns, at times reads the whole table for it.
        return f"{identity} = ANY (ARRAY(SELECT {call}))", tuple(value for _, values in arguments for value in values)
