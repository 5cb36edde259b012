"""Shapes of `projects.labels` (which label of the forge stands for what) and of `issues.labels` (their names)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

DEFAULT_TRIGGER = "paid"

LabelName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
IssueLabels = list[LabelName]


class ProjectLabels(BaseModel):
    """What a label is for → its name on the forge. `trigger` asks for a run; others are the project's own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, LabelName]

    trigger: LabelName = DEFAULT_TRIGGER
