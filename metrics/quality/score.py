"""One score from what is known of a run, by weights that are data."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Weight = Annotated[Decimal, Field(ge=0, le=1000, max_digits=7, decimal_places=3)]

# A run of so many turns is worth half of what one without any would be, as far as turns go.
_HALF_TURNS = 20


class QualityWeights(BaseModel):
    """`quality_weights` in the settings of a project, of its account, or of account 0; the nearest one counts.

    What is not known of a run is left out of its score, so only the weights' ratios matter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    merged: Weight = Decimal(4)
    ci: Weight = Decimal(2)
    tests: Weight = Decimal(2)
    review: Weight = Decimal(2)
    votes: Weight = Decimal(2)
    lint: Weight = Decimal(1)
    turns: Weight = Decimal("0.5")


@dataclass(frozen=True)
class Signals:
    """None is not known (yet)."""

    has_completed: bool
    turns: int
    has_ended: bool = True
    is_merged: bool | None = None
    has_passing_ci: bool | None = None
    has_passing_tests: bool | None = None
    is_approved: bool | None = None
    has_clean_lint: bool | None = None
    votes_up: int = 0
    votes_down: int = 0


@dataclass(frozen=True)
class Part:
    """What one signal contributes: a value in [0, 1] and its weight."""

    name: str
    value: Decimal
    weight: Decimal


def parts(signals: Signals, weights: QualityWeights) -> list[Part]:
    """The known signals, in the order in which they are shown. A run that did not complete has none."""
    if not signals.has_completed:
        return []
    votes = signals.votes_up + signals.votes_down
    known = [
        ("Merged", signals.is_merged, weights.merged),
        ("CI", signals.has_passing_ci, weights.ci),
        ("Tests", signals.has_passing_tests, weights.tests),
        ("Review", signals.is_approved, weights.review),
        ("Votes", Decimal(signals.votes_up) / votes if votes else None, weights.votes),
        ("Lint", signals.has_clean_lint, weights.lint),
        ("Turns", Decimal(_HALF_TURNS) / (_HALF_TURNS + signals.turns), weights.turns),
    ]
    return [Part(name, Decimal(value), weight) for name, value, weight in known if value is not None and weight]


def score(signals: Signals, weights: QualityWeights) -> Decimal | None:
    """The weighted mean of what is known, on [0, 1] with five decimals; a run that failed is worth 0.

    None while the run goes on, and for one that a person stopped: neither says anything about its worth.
    """
    if not signals.has_ended:
        return None
    known = parts(signals, weights)
    total = sum((part.weight for part in known), Decimal(0))
    if not total:
        return Decimal(0)
    weighted = sum((part.value * part.weight for part in known), Decimal(0))
    return (weighted / total).quantize(Decimal("0.00001"))
