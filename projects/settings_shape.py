"""Shape of `projects.settings`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from accounts.settings_shape import SettingName

Limit = Literal["turns", "wall_seconds", "stall_seconds", "cost_usd"]


class ProjectSettings(BaseModel):
    """What Paid reads has a type, other settings are kept as they are. Bounds of limits: `agent_runs.limits`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[SettingName, JsonValue]

    is_demo: bool = False
    language: str = ""
    limits: dict[Limit, int | float | str] = {}
