"""Shape of `projects.labels`: which label asks for a run."""

from pydantic import BaseModel, ConfigDict

DEFAULT_TRIGGER = "paid"


class ProjectLabels(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    trigger: str = DEFAULT_TRIGGER
