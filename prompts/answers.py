"""Reads the JSON that a model was asked for."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from prompts.context import Untrusted

MAX_REASON_CHARACTERS = 300
_FENCE = "```"

Shape = TypeVar("Shape", bound=BaseModel)


class AnswerUnreadable(Exception):
    """The model's answer is not the JSON that was asked for."""


class ModelChoice(BaseModel):
    """The answer to the seeded prompt `meta.select_model`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

    @property
    def reason_in_a_line(self) -> str:
        """Somebody else's words, fit to be shown: one line, not too long, nothing that only a machine reads."""
        line = " ".join(Untrusted(self.reason, "model's reason").split()).rstrip(".")
        return line if len(line) <= MAX_REASON_CHARACTERS else f"{line[:MAX_REASON_CHARACTERS]}…"


def read_json(shape: type[Shape], text: str) -> Shape:
    """The whole text has to be one JSON value of that shape. Raises `AnswerUnreadable` with what is wrong, without the
    answer's own words.
    """
    try:
        return shape.model_validate_json(_unfenced(text.strip()), strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the answer"
        raise AnswerUnreadable(f"{AnswerUnreadable.__doc__} In {where}: {problem['msg']}.") from error


def _unfenced(text: str) -> str:
    """Models put a fence around JSON although they were asked for nothing else.

    Without a regular expression: its tries multiply with each line break of an answer that is nothing else.
    """
    opening, is_broken, rest = text.partition("\n")
    if is_broken and opening.rstrip() in (_FENCE, f"{_FENCE}json") and rest.endswith(_FENCE):
        return rest.removesuffix(_FENCE).strip()
    return text
