"""What readers know from elsewhere, beside the sequences: valid for one look at a size that was fixed before."""

import math
from dataclasses import dataclass

from metrics.statistics.scores import Floats
from metrics.statistics.special import stdtr


@dataclass(frozen=True)
class Welch:
    """`difference` is treatment minus control. Both p-value and probability are None below two subjects an arm."""

    difference: float
    p_value: float | None
    probability_to_beat: float | None


def welch(treatment: Floats, control: Floats) -> Welch:
    """Welch's t-test (Biometrika 34, 1947), two-sided, and the probability that the treatment's mean is larger.

    The probability is Bayesian: the posterior's under Jeffreys' prior, the Behrens-Fisher distribution, in Welch and
    Satterthwaite's approximation by Student's t.
    """
    if len(treatment) == 0 or len(control) == 0:
        return Welch(0.0, None, None)
    difference = float(treatment.mean() - control.mean())
    if len(treatment) < 2 or len(control) < 2:
        return Welch(difference, None, None)
    parts = [float(arm.var(ddof=1)) / len(arm) for arm in (treatment, control)]
    error = math.sqrt(sum(parts))
    if error == 0:
        even = 0.5 if difference == 0 else float(difference > 0)
        return Welch(difference, 1.0 if difference == 0 else 0.0, even)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(arm) - 1) for part, arm in zip(parts, (treatment, control), strict=True)
    )
    t = difference / error
    return Welch(difference, 2 * stdtr(freedom, -abs(t)), stdtr(freedom, t))
