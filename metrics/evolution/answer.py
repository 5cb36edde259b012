"""Reads what a model answered when it was asked for better prompts."""

from pydantic import BaseModel, ConfigDict

from prompts.answers import read_json


class Proposal(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    template: str
    system_prompt: str = ""
    reason: str = ""


class Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    analysis: str = ""
    proposals: tuple[Proposal, ...]


def read_answer(text: str) -> Answer:
    """Raises `AnswerUnreadable` with what is wrong, without the answer's own words."""
    return read_json(Answer, text)
