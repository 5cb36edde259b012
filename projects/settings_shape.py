"""Shape of `projects.settings`."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from accounts.settings_shape import SettingName

Limit = Literal["turns", "wall_seconds", "stall_seconds", "cost_usd"]


class MetaAgentSettings(BaseModel):
    """Whether a model is asked which model a run shall have, and what one question may cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    is_on: bool = False
    cap_usd: Annotated[Decimal, Field(gt=0, le=10)] = Decimal("0.10")


class ProjectSettings(BaseModel):
    """What Paid reads has a type, other settings are kept as they are. Bounds of limits: `agent_runs.limits`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[SettingName, JsonValue]

    is_demo: bool = False
    language: str = ""
    limits: dict[Limit, int | float | str] = {}
    meta_agent: MetaAgentSettings = MetaAgentSettings()
    # Lines of shell that Paid runs on a clean copy of what an agent committed, sealed; empty runs none.
    test_command: Annotated[str, StringConstraints(max_length=2_000)] = ""
    lint_command: Annotated[str, StringConstraints(max_length=2_000)] = ""
    check_seconds: Annotated[int, Field(ge=1, le=600)] = 300
