"""Database connections of threads that serve Temporal: each use gives its connection back to the pool."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.db import connections
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)


@contextmanager
def released_connections() -> Iterator[None]:
    """A thread of a pool keeps Django's connection for ever unless it is closed around each use."""
    connections.close_all()
    try:
        yield
    finally:
        connections.close_all()


class ReleaseConnections(Interceptor):
    """Every synchronous activity of a worker starts and ends without a database connection."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _ReleasingInbound(next)


class _ReleasingInbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        if not iscoroutinefunction(input.fn):
            input.fn = _releasing(input.fn)
        return await super().execute_activity(input)


def _releasing(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any) -> Any:
        with released_connections():
            return function(*args)

    return wrapper
