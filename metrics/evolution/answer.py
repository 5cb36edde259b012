"""Reads what a model answered when it was asked for better prompts."""

import re

from pydantic import BaseModel, ConfigDict, ValidationError

# Models put a fence around JSON although they were asked for nothing else.
_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)


class Proposal(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    template: str
    system_prompt: str = ""
    reason: str = ""


class Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    analysis: str = ""
    proposals: tuple[Proposal, ...]


class AnswerUnreadable(Exception):
    """The model's answer is not the JSON that was asked for."""


def read_answer(text: str) -> Answer:
    """Raises `AnswerUnreadable` with what is wrong, without the answer's own words."""
    fenced = _FENCED.match(text)
    try:
        return Answer.model_validate_json(fenced.group(1) if fenced else text.strip())
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the answer"
        raise AnswerUnreadable(f"{AnswerUnreadable.__doc__} In {where}: {problem['msg']}.") from error
