"""How factories write: as the platform, whatever the test acts as."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from factory.django import DjangoModelFactory

from paid.lib.tenancy import platform

_is_together: ContextVar[bool] = ContextVar("is_together", default=False)


@contextmanager
def together() -> Iterator[None]:
    """The rows of the block are written as the platform at once: one transaction, not one and four statements a row.

    Within it nothing may act as a tenant.
    """
    if _is_together.get():
        yield
        return
    with platform():
        token = _is_together.set(True)
        try:
            yield
        finally:
            _is_together.reset(token)


class PlatformFactory(DjangoModelFactory):  # type: ignore[misc]  # factory-boy has no types
    """Rows of any tenant. Reads of what it made need `tenant(...)` or `platform()` as in the application."""

    class Meta:
        abstract = True

    @classmethod
    def _generate(cls, strategy: Any, params: Any) -> Any:
        """A row and what it hangs on, together."""
        with together():
            return super()._generate(strategy, params)

    @classmethod
    def _after_postgeneration(cls, instance: Any, create: bool, results: Any = None) -> None:
        """Post-generation hooks save for themselves."""

    @classmethod
    def create_batch(cls, size: int, **kwargs: Any) -> Sequence[Any]:
        return [cls.create(**kwargs) for _ in range(size)]
