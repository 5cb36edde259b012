"""Models that misbehave on purpose, for tests and trials. Any other model name plays the coding agent."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    status: int
    kind: str
    message: str


@dataclass(frozen=True)
class Scenario:
    refusal: Refusal | None = None
    # Refuse each distinct request only the first time it arrives, as an overloaded provider would.
    refuses_once: bool = False
    # Send the beginning of an answer, then nothing until the client gives up.
    stalls: bool = False
    # Send the beginning of an answer, then close the connection without ending it.
    breaks_off: bool = False
    # Never finish: one more tool call after each result.
    is_endless: bool = False
    # Counted on top of what was sent, as a provider counts thinking that it does not show.
    hidden_output_tokens: int = 0


SCENARIOS = {
    "scripted-stall": Scenario(stalls=True),
    "scripted-429": Scenario(refusal=Refusal(429, "rate_limit_error", "This model always answers 429.")),
    "scripted-404": Scenario(refusal=Refusal(404, "not_found_error", "model: scripted-404")),
    "scripted-529-then-ok": Scenario(
        refusal=Refusal(529, "overloaded_error", "Overloaded. The same request is answered next time."),
        refuses_once=True,
    ),
    "scripted-break": Scenario(breaks_off=True),
    "scripted-expensive": Scenario(is_endless=True, hidden_output_tokens=16_000),
    "scripted-endless": Scenario(is_endless=True),
}


def scenario_of(model: str) -> Scenario:
    return SCENARIOS.get(model, Scenario())
