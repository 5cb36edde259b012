"""Writes on the model registry. A price is never changed: a new one starts."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from accounts.models import User
from accounts.operations import record_audit_event
from prompts.models import LanguageModel, ModelPrice, TokenClass


@transaction.atomic
def start_price(
    *,
    language_model: LanguageModel,
    token_class: TokenClass | str,
    usd_per_million: Decimal,
    starts_at: datetime,
    threshold_tokens: int = 0,
    actor: User | None,
) -> ModelPrice:
    """A price from a date on. What calls cost before it stays as it was; `sync_models` leaves it in force."""
    price = ModelPrice.objects.create(
        account_id=language_model.account_id,
        language_model=language_model,
        token_class=token_class,
        threshold_tokens=threshold_tokens,
        usd_per_million=usd_per_million,
        starts_at=starts_at,
    )
    record_audit_event(
        account_id=language_model.account_id,
        actor=actor,
        action="model.price_started",
        object_type="language_model",
        object_id=language_model.pk,
        data={
            "model": str(language_model),
            "token_class": str(token_class),
            "threshold_tokens": threshold_tokens,
            "usd_per_million": str(usd_per_million),
            "starts_at": starts_at.isoformat(),
        },
    )
    return price
