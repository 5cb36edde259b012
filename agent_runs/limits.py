"""How far a run may go: frozen on the run when it starts."""

from decimal import Decimal

from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field


class RunLimits(BaseModel):
    """`AgentRun.limits`. The gateway holds `cost_usd`, the supervisor the two times, the agent the turns."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    turns: int = Field(default=50, ge=1, le=1_000)
    wall_seconds: int = Field(default=3_600, ge=10, le=86_400)
    stall_seconds: int = Field(default=600, ge=10, le=86_400)
    cost_usd: Decimal = Field(default_factory=lambda: settings.RUN_COST_LIMIT_USD, ge=0)
