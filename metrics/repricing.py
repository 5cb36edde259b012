"""Prices what could not be priced when it was called, by rows of its own: the ledger's rows never change."""

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import DataError, connection

from metrics.operations import correct_usage
from paid.lib.tenancy import platform

logger = logging.getLogger(__name__)

PAGE = 500
FIRST = uuid.UUID(int=0)
# Whoever prices a call books it under the same id, so that two at once, or one that was killed, price it once.
_PRICING = uuid.UUID("6f0a3c1e-52d8-5b0e-9d4e-2b3f2c6f7a10")


@dataclass(frozen=True)
class Unpriced:
    """One call without a price. `cost_usd` is what today's prices say of its moment, or None."""

    run_created_at: datetime
    request_id: uuid.UUID
    account_id: int
    model_name: str
    called_at: datetime
    tokens: int
    cost_usd: Decimal | None

    @property
    def pricing_id(self) -> uuid.UUID:
        return uuid.uuid5(_PRICING, str(self.request_id))


@dataclass(frozen=True)
class RepricedModel:
    """One account's calls to one model. `first_at` is the moment from which a price is needed."""

    account_id: int
    model_name: str
    priced_calls: int
    priced_usd: Decimal
    left_calls: int
    left_tokens: int
    first_at: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """Money and dates as text: JSON numbers would round."""
        values = asdict(self)
        return values | {"priced_usd": str(self.priced_usd), "first_at": self.first_at and self.first_at.isoformat()}


@dataclass
class _Sums:
    priced_calls: int = 0
    priced_usd: Decimal = Decimal(0)
    left_calls: int = 0
    left_tokens: int = 0
    first_at: datetime | None = None

    def add(self, call: Unpriced) -> None:
        if call.cost_usd is not None:
            self.priced_calls += 1
            self.priced_usd += call.cost_usd
            return
        self.left_calls += 1
        self.left_tokens += call.tokens
        self.first_at = min(self.first_at or call.called_at, call.called_at)


def reprice(*, is_dry_run: bool, progress: Callable[[int], None] | None = None) -> list[RepricedModel]:
    """Price every call that has a price by now; gives what came of it, by account and model.

    Each call is a transaction of its own: nothing waits for a long one, and one that is killed goes on where it was.
    """
    sums: dict[tuple[int, str], _Sums] = defaultdict(_Sums)
    for seen, call in enumerate(unpriced_calls(), start=1):
        if call.cost_usd is not None and not is_dry_run and not _is_booked(call, call.cost_usd):
            call = replace(call, cost_usd=None)
        sums[call.account_id, call.model_name].add(call)
        if progress:
            progress(seen)
    return [RepricedModel(*key, **vars(found)) for key, found in sorted(sums.items())]


def _is_booked(call: Unpriced, cost_usd: Decimal) -> bool:
    """False where the ledger cannot take it: that is one account's, and calls of others wait behind it."""
    try:
        correct_usage(
            run_created_at=call.run_created_at,
            request_id=call.request_id,
            corrected_cost_usd=cost_usd,
            correction_id=call.pricing_id,
        )
    except DataError:
        logger.exception("call %s of account %s cannot be booked as %s USD", call.request_id, call.account_id, cost_usd)
        return False
    return True


def unpriced_calls() -> Iterator[Unpriced]:
    """By request id, in pages that are read in short transactions."""
    after = FIRST
    while True:
        with platform(), connection.cursor() as cursor:
            cursor.execute("SELECT * FROM ledger_unpriced(%s, %s)", [after, PAGE])
            page = [Unpriced(*row) for row in cursor.fetchall()]
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].request_id
