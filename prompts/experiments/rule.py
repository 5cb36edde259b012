"""How an experiment is decided, as data. Fixed when it starts."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]


class Guardrail(BaseModel):
    """What must not get worse. `tolerance` is in shares: of failed runs, or of the cap for costs.

    A variant breaks it when it is shown, at any look, to be worse than the control by more than the tolerance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: Literal["cost", "failure_rate"]
    tolerance: Share = 0.02
    cap_usd: Decimal | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _costs_have_a_cap(self) -> Self:
        if (self.metric == "cost") != (self.cap_usd is not None):
            raise ValueError(
                "A guardrail on costs needs `cap_usd`, the largest cost of a run that counts; others none."
            )
        return self


class DecisionRule(BaseModel):
    """`alpha` is the chance, over all looks and variants, of showing an effect that is not there.

    Effects are in the metric's own units on [0, 1]: quality score, share of merges, or share of the cap. An outcome
    counts `maturity_hours` after its run's end at the latest. Nothing is decided before each arm has
    `minimum_subjects`; with `maximum_subjects` altogether the experiment ends in any case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: Annotated[float, Field(ge=0.001, le=0.2)] = 0.05
    smallest_worthwhile_effect: Share = 0.0
    minimum_subjects: Annotated[int, Field(ge=2, le=100_000)] = 30
    maximum_subjects: Annotated[int, Field(ge=10, le=1_000_000)] = 5_000
    maturity_hours: Annotated[int, Field(ge=0, le=24 * 90)] = 24 * 7
    is_adjusted: bool = True
    promotes_automatically: bool = False
    guardrails: tuple[Guardrail, ...] = ()

    @model_validator(mode="after")
    def _maximum_is_larger(self) -> Self:
        if self.maximum_subjects < 2 * self.minimum_subjects:
            raise ValueError("`maximum_subjects` must be at least twice `minimum_subjects`: there are two arms.")
        return self
