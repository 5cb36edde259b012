"""Columns that many tables share. The database fills them in, so that SQL and Python write the same row."""

from decimal import Decimal

from django.db import models
from django.db.models.functions import Now


class Created(models.Model):
    """When the row was made."""

    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True


class Changed(Created):
    """When the row was made and last changed (a trigger keeps `updated_at`)."""

    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True


def usd(**options: object) -> "models.DecimalField[Decimal | float | str, Decimal]":
    """An exact amount in USD: numeric(20,12), never rounded before it is shown."""
    return models.DecimalField(max_digits=20, decimal_places=12, **options)  # type: ignore[arg-type]  # whatever Django takes
