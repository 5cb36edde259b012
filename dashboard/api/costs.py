"""What was spent, over HTTP."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from accounts.api_tokens import TokenHolder
from accounts.models import ApiScope
from dashboard.api.endpoints import Query, operation
from dashboard.api.shapes import Usd
from dashboard.forms.analytics import MOST_DAYS, USUAL_DAYS
from metrics.analytics.spend import spend_by

By = Literal["project", "model", "prompt", "person", "day"]


class CostsQuery(Query):
    by: By
    since: date | None = Field(None, description="The first day (UTC): 30 days up to `until` when it is not said.")
    until: date | None = Field(None, description="The last day (UTC): today when it is not said.")

    @model_validator(mode="after")
    def holds_days(self) -> Self:
        since, until = self.span()
        if not 0 <= (until - since).days < MOST_DAYS:
            raise ValueError(f"`since` to `until` must be 1 to {MOST_DAYS} days")
        return self

    def span(self) -> tuple[date, date]:
        until = self.until or datetime.now(UTC).date()
        return self.since or until - timedelta(days=min(USUAL_DAYS - 1, (until - date.min).days)), until


class CostLine(BaseModel):
    id: int = Field(description="Of the project, model, prompt version or person; by day, days since 1970.")
    name: str
    cost_usd: Usd
    calls: int
    unpriced_calls: int = Field(description="Calls whose price is not known yet: they are missing in `cost_usd`.")


class Costs(BaseModel):
    by: By
    since: date
    until: date
    total_usd: Usd
    lines: list[CostLine] = Field(description="The dearest first; by day, all days in order.")


@operation("GET", scope=ApiScope.COSTS_READ, takes=CostsQuery, gives=Costs)
def read_costs(who: TokenHolder, asked: CostsQuery) -> Costs:
    """What was spent in a span of days, by project, model, prompt version, person or day.

    The same figures as the page of costs: the ledger's, by the day of each call. Every breakdown adds up to the total.
    """
    since, until = asked.span()
    spent = spend_by(asked.by, who.account_id, since=since, until=until)
    lines = [
        CostLine(
            id=line.id,
            name=line.name,
            cost_usd=line.cost_usd,
            calls=line.calls,
            unpriced_calls=line.unpriced_calls,
        )
        for line in spent
    ]
    total_usd = sum((line.cost_usd for line in spent), Decimal(0))
    return Costs(by=asked.by, since=since, until=until, total_usd=total_usd, lines=lines)
