"""What the registry of models should hold: read from prompts/seeds/models.toml and the package genai-prices."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from genai_prices import data
from genai_prices.types import ConditionalPrice, ModelInfo, StartDateConstraint, TieredPrices

from prompts.files import SEEDS
from prompts.models import TokenClass

GENAI_PRICES = "genai-prices"
SCRIPTED = "scripted"
# Prices without a date of their own hold from before the first run that there can be.
BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)
PRICE_FIELDS: Mapping[TokenClass, str] = {
    TokenClass.INPUT: "input_mtok",
    TokenClass.OUTPUT: "output_mtok",
    TokenClass.CACHE_READ: "cache_read_mtok",
    TokenClass.CACHE_WRITE: "cache_write_mtok",
    TokenClass.CACHE_WRITE_1H: "cache_write_1h_mtok",
}


@dataclass(frozen=True)
class RegistryPrice:
    """USD per million tokens of one class, for calls whose input passes `threshold_tokens`, from a date on."""

    token_class: TokenClass
    threshold_tokens: int
    starts_at: datetime
    usd_per_million: Decimal


@dataclass(frozen=True)
class RegistryModel:
    provider: str
    model_id: str
    name: str
    context_window: int
    abilities: tuple[str, ...]
    agents: tuple[str, ...]
    is_scripted: bool
    prices: tuple[RegistryPrice, ...]
    source: str


@dataclass(frozen=True)
class Registry:
    """`preferences` maps a category to `provider/model id`s, the best first."""

    models: tuple[RegistryModel, ...]
    preferences: Mapping[str, tuple[str, ...]]


def read_registry() -> Registry:
    described = tomllib.loads((SEEDS / "models.toml").read_text(encoding="utf-8"))
    models = [model for provider in described["provider"] for model in _models_of(provider)]
    models += _scripted_models(described["scripted"])
    preferences = {category: tuple(names) for category, names in described["preferences"].items()}
    return Registry(tuple(models), preferences)


def _models_of(described: Mapping[str, Any]) -> Iterator[RegistryModel]:
    wanted = re.compile(described["models"])
    provider = next(provider for provider in data.providers if provider.id == described["id"])
    for info in provider.models:
        if not wanted.match(info.id):
            continue
        yield RegistryModel(
            provider=provider.id,
            model_id=info.id,
            name=info.name or info.id,
            context_window=info.context_window or 0,
            abilities=tuple(described["abilities"]),
            agents=tuple(described["agents"]),
            is_scripted=False,
            prices=tuple(prices_of(info)),
            source=GENAI_PRICES,
        )


def prices_of(info: ModelInfo) -> Iterator[RegistryPrice]:
    """The dated prices. A tier that a later price no longer has gets that price's base: the old one must not stay."""
    periods = list(_periods(info))
    for token_class, field in PRICE_FIELDS.items():
        dated = [(starts_at, getattr(prices, field, None)) for starts_at, prices in periods]
        tiers = {tier.start for _, price in dated if isinstance(price, TieredPrices) for tier in price.tiers}
        for starts_at, price in dated:
            if price is None:
                continue
            for threshold in sorted({0, *tiers}):
                yield RegistryPrice(token_class, threshold, starts_at, _at(price, threshold))


def _periods(info: ModelInfo) -> Iterator[tuple[datetime, Any]]:
    """Prices that hold at certain hours only are left out: what a call cost must not depend on the clock."""
    if not isinstance(info.prices, list):
        yield BEGINNING, info.prices
        return
    for entry in info.prices:
        assert isinstance(entry, ConditionalPrice)  # noqa: S101 - the package's own type
        if entry.constraint is None:
            yield BEGINNING, entry.prices
        elif isinstance(entry.constraint, StartDateConstraint):
            yield max(BEGINNING, datetime.combine(entry.constraint.start_date, time(), UTC)), entry.prices


def _at(price: Decimal | TieredPrices, threshold: int) -> Decimal:
    if not isinstance(price, TieredPrices):
        return price
    reached: list[Decimal] = [tier.price for tier in price.tiers if tier.start <= threshold]
    base: Decimal = price.base
    return reached[-1] if reached else base


def _scripted_models(described: Mapping[str, Any]) -> list[RegistryModel]:
    prices = tuple(
        RegistryPrice(TokenClass(token_class), 0, BEGINNING, Decimal(usd))
        for token_class, usd in described["usd_per_million"].items()
    )
    return [
        RegistryModel(
            provider=SCRIPTED,
            model_id=model_id,
            name=model["name"],
            context_window=described["context_window"],
            abilities=tuple(model["abilities"]),
            agents=tuple(described["agents"]),
            is_scripted=True,
            prices=prices,
            source=SCRIPTED,
        )
        for model_id, model in described["models"].items()
    ]
