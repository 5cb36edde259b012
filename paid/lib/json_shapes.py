"""JSON columns whose content has a shape: what does not fit it never reaches the database."""

import json
from functools import cached_property
from typing import Any

import pydantic
from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from pydantic_core import from_json

PROBLEMS_SHOWN = 3


class ShapedJSONField(models.JSONField):
    """A JSONField that checks what is written (by save, update, bulk_create and forms) against `shape`.

    `shape` is a pydantic model, or a type such as `list[str]`. It is checked as the JSON that is stored, strictly: "5"
    is no number. The value itself is written as it was given, without the model's defaults. Raises Django's
    ValidationError. Migrations see a plain JSONField: a shape is Python's, and may change without one.
    """

    def __init__(self, *args: Any, shape: Any = pydantic.JsonValue, **options: Any) -> None:
        self.shape = shape
        super().__init__(*args, **options)

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.JSONField", args, options

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        # The standard library's parser takes five times as long, which lists of rows feel.
        if isinstance(value, str) and self.decoder is None:
            try:
                return from_json(value)
            except ValueError:  # such as what is nested deeper than it goes
                pass
        return super().from_db_value(value, expression, connection)

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        super().validate(value, model_instance)
        self._check(value)

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        # An expression (a default of the database, a function of other columns) is the database's to judge.
        if value is not None and not hasattr(value, "resolve_expression"):
            self._check(value)
        return super().get_db_prep_save(value, connection)

    @cached_property
    def _adapter(self) -> pydantic.TypeAdapter[Any]:
        return pydantic.TypeAdapter(self.shape)

    def _check(self, value: Any) -> None:
        try:
            self._adapter.validate_json(json.dumps(value, cls=self.encoder), strict=True)
        except pydantic.ValidationError as error:
            problems = [
                f"{'.'.join(map(str, (self.name, *problem['loc'])))}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)[:PROBLEMS_SHOWN]
            ]
            raise ValidationError(f"This does not fit. {'; '.join(problems)}.", code="shape") from error
