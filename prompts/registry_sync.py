"""Writes the registry into the global account: models, and prices that start when they changed."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from paid.lib.tenancy import GLOBAL_ACCOUNT_ID
from prompts.models import LanguageModel, ModelPreference, ModelPrice, Stance
from prompts.registry import Registry, RegistryModel, RegistryPrice


@dataclass(frozen=True)
class SyncedPrice:
    model: str
    token_class: str
    threshold_tokens: int
    usd_per_million: str
    starts_at: str


@dataclass(frozen=True)
class SyncOutcome:
    """`kept` are prices of the registry that a person's newer price stands before."""

    models_added: tuple[str, ...]
    models_changed: tuple[str, ...]
    prices_added: tuple[SyncedPrice, ...]
    prices_kept: tuple[SyncedPrice, ...]
    preferences_added: tuple[str, ...]


@transaction.atomic
def sync_registry(*, registry: Registry, now: datetime) -> SyncOutcome:
    """Bring the global account's models to what the registry says. Call it inside of `platform()`.

    Adds models and prices and corrects names and sizes; never deletes, never switches on what a person switched
    off, and never puts a price before one that a person entered.
    """
    sync = _Sync(now)
    for model in sorted(registry.models, key=lambda model: (model.provider, model.model_id)):
        sync.model(model)
    ModelPrice.objects.bulk_create(sync.new_prices)
    for category, names in registry.preferences.items():
        sync.preferences(category, names)
    return SyncOutcome(
        tuple(sync.added), tuple(sync.changed), tuple(sync.prices), tuple(sync.kept), tuple(sync.preferred)
    )


class _Sync:
    def __init__(self, now: datetime) -> None:
        self.now = now
        self.added: list[str] = []
        self.changed: list[str] = []
        self.prices: list[SyncedPrice] = []
        self.new_prices: list[ModelPrice] = []
        self.kept: list[SyncedPrice] = []
        self.preferred: list[str] = []

    def model(self, wanted: RegistryModel) -> None:
        described = {
            "name": wanted.name,
            "context_window": wanted.context_window,
            "abilities": list(wanted.abilities),
            "agents": list(wanted.agents),
            "is_scripted": wanted.is_scripted,
        }
        # Two syncs at once: the first to insert the model's row makes the second wait, and then find it.
        model, is_new = LanguageModel.objects.select_for_update().get_or_create(
            account_id=GLOBAL_ACCOUNT_ID,
            provider=wanted.provider,
            model_id=wanted.model_id,
            defaults=described,
        )
        if is_new:
            self.added.append(str(model))
        elif any(getattr(model, field) != value for field, value in described.items()):
            LanguageModel.objects.filter(pk=model.pk).update(**described)
            self.changed.append(str(model))
        stored = [] if is_new else list(ModelPrice.objects.filter(language_model=model).order_by("starts_at"))
        for key in dict.fromkeys((price.token_class, price.threshold_tokens) for price in wanted.prices):
            self._prices(
                model,
                wanted.source,
                [price for price in wanted.prices if (price.token_class, price.threshold_tokens) == key],
                [price for price in stored if (price.token_class, price.threshold_tokens) == key],
            )

    def _prices(self, model: LanguageModel, source: str, wanted: list[RegistryPrice], stored: list[ModelPrice]) -> None:
        """Prices of one class and tier, both lists oldest first."""
        due = [price for price in wanted if price.starts_at <= self.now]
        if any(price.source != source for price in stored):
            if due and _in_force(stored, self.now) != due[-1].usd_per_million:
                self.kept.append(_shown(model, due[-1], due[-1].starts_at))
            return
        newest = stored[-1].starts_at if stored else None
        later = [price for price in wanted if newest is None or price.starts_at > newest]
        timeline = [*stored, *(self._add(model, price, price.starts_at, source) for price in later)]
        if due and _in_force(timeline, self.now) != due[-1].usd_per_million:
            # It changed without a date of its own: it starts now, and what was paid before stays.
            self._add(model, due[-1], self.now, source)

    def _add(self, model: LanguageModel, price: RegistryPrice, starts_at: datetime, source: str) -> ModelPrice:
        self.prices.append(_shown(model, price, starts_at))
        added = ModelPrice(
            account_id=GLOBAL_ACCOUNT_ID,
            language_model=model,
            token_class=price.token_class,
            threshold_tokens=price.threshold_tokens,
            usd_per_million=price.usd_per_million,
            starts_at=starts_at,
            source=source,
        )
        self.new_prices.append(added)
        return added

    def preferences(self, category: str, names: tuple[str, ...]) -> None:
        """Only for a category of which the host has said nothing yet."""
        if ModelPreference.objects.filter(account_id=GLOBAL_ACCOUNT_ID, category=category).exists():
            return
        by_name = {str(model): model for model in LanguageModel.objects.filter(account_id=GLOBAL_ACCOUNT_ID)}
        for position, name in enumerate(names):
            if name in by_name:
                ModelPreference.objects.create(
                    account_id=GLOBAL_ACCOUNT_ID,
                    category=category,
                    stance=Stance.PREFER,
                    model_account_id=GLOBAL_ACCOUNT_ID,
                    language_model=by_name[name],
                    position=position,
                )
                self.preferred.append(f"{category}: {name}")


def _shown(model: LanguageModel, price: RegistryPrice, starts_at: datetime) -> SyncedPrice:
    return SyncedPrice(
        str(model), price.token_class, price.threshold_tokens, str(price.usd_per_million), starts_at.isoformat()
    )


def _in_force(prices: list[ModelPrice], at: datetime) -> object:
    started = [price.usd_per_million for price in prices if price.starts_at <= at]
    return started[-1] if started else None
