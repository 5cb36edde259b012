"""How factories write: as the platform, whatever the test acts as."""

from collections.abc import Sequence
from typing import Any

from factory.django import DjangoModelFactory

from paid.lib.tenancy import platform


class PlatformFactory(DjangoModelFactory):  # type: ignore[misc]  # factory-boy has no types
    """Rows of any tenant. Reads of what it made need `tenant(...)` or `platform()` as in the application."""

    class Meta:
        abstract = True

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
        with platform():
            return super()._create(model_class, *args, **kwargs)

    @classmethod
    def _after_postgeneration(cls, instance: Any, create: bool, results: Any = None) -> None:
        """Post-generation hooks save for themselves."""

    @classmethod
    def create_batch(cls, size: int, **kwargs: Any) -> Sequence[Any]:
        return [cls.create(**kwargs) for _ in range(size)]
