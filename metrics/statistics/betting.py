"""Confidence sequences that hold at every look: valid however often and whenever somebody decides.

A gambler bets against each candidate effect m, never more than the wealth at hand, before each score is seen. If m is
the true mean, the wealth is a non-negative martingale and by Ville's inequality passes 1/alpha with probability at
most alpha, over all time. The candidates that no gambler has become rich against form the confidence sequence:
Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024), section 4. The
stake is their approximately growth-rate-optimal one (aGRAPA, appendix B.3), from predictable means and variances.
"""

import math
from dataclasses import dataclass

import numpy as np

from metrics.statistics.scores import Booleans, Floats, Scores, shifted

# The stake stays below this share of what would ruin the gambler in the worst case.
_BOLDNESS = 0.5
# The variance begins at this value, of scores around a mean of zero, and weighs like this many subjects.
_PRIOR_VARIANCE = 0.5
_PRIOR_WEIGHT = 5.0
# Candidate effects are looked at in columns of about this many numbers at once: 64 MB.
_CHUNK_NUMBERS = 8_000_000


@dataclass(frozen=True)
class Interval:
    """`lower` and `upper` of shape (n,): the interval after each subject; it only ever shrinks."""

    lower: Floats
    upper: Floats


def log_wealth(scores: Scores, effect: float, direction: int) -> Floats:
    """Logarithm of the wealth after each score, shape (..., n), of who bets that the true effect is not `effect`.

    `direction` +1 bets that it is larger, -1 that it is smaller. Starts from a wealth of one.
    """
    mean, variance = _before(scores.values)
    return _log_wealth(scores, mean, variance, effect, direction)


def shown(scores: Scores, effect: float, alpha: float) -> tuple[Booleans, Booleans]:
    """Whether, by each time, the effect was shown to be above and to be below `effect`; shape (..., n) each.

    The chance that either is ever said of an effect that equals `effect` is at most `alpha`.
    """
    mean, variance = _before(scores.values)
    threshold = math.log(2 / alpha)
    above, below = (
        np.maximum.accumulate(_log_wealth(scores, mean, variance, effect, side), axis=-1) >= threshold
        for side in (1, -1)
    )
    return above, below


def confidence_sequence(scores: Scores, alpha: float, steps: int = 400) -> Interval:
    """The interval for the mean effect after each score of one experiment (shape (n,)), at level 1 - `alpha`.

    Ends are rounded outwards to multiples of 1 / `steps`. The chance that the true effect is ever outside of it, over
    all times together, is at most `alpha`.
    """
    count = scores.values.shape[-1]
    candidates = np.arange(-steps, steps + 1) / steps
    mean, variance = _before(scores.values)
    threshold = math.log(2 / alpha)
    lower, upper = np.full(count, -1.0), np.full(count, 1.0)
    rows = max(1, _CHUNK_NUMBERS // max(count, 1))
    # A candidate below the interval's lower end is one that the upward gambler became rich against, and so is
    # every smaller one; the ends are therefore the outermost candidates that stand.
    for start in range(0, len(candidates), rows):
        column = candidates[start : start + rows, None]
        up = np.maximum.accumulate(_log_wealth(scores, mean, variance, column, 1), axis=-1) >= threshold
        down = np.maximum.accumulate(_log_wealth(scores, mean, variance, column, -1), axis=-1) >= threshold
        lower = np.maximum(lower, np.where(up, column, -1.0).max(axis=0))
        upper = np.minimum(upper, np.where(down, column, 1.0).min(axis=0))
    return Interval(lower, upper)


def _before(values: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of the scores, each from those before it alone."""
    seen = np.arange(values.shape[-1], dtype=np.float64)
    mean = shifted(np.cumsum(values, axis=-1)) / (_PRIOR_WEIGHT + seen)
    squares = np.square(values - mean)
    variance = (_PRIOR_VARIANCE * _PRIOR_WEIGHT + shifted(np.cumsum(squares, axis=-1))) / (_PRIOR_WEIGHT + seen)
    return mean, variance


def _log_wealth(scores: Scores, mean: Floats, variance: Floats, effect: float | Floats, direction: int) -> Floats:
    distance = mean - effect
    stake = np.maximum(direction * distance / (variance + np.square(distance)), 0.0)
    # The worst score for who bets upwards is the lowest possible one, and the other way round.
    worst = effect - scores.low if direction > 0 else scores.high - effect
    stake = np.minimum(stake, _BOLDNESS / np.maximum(worst, 1e-12))
    wealth: Floats = np.cumsum(np.log1p(direction * stake * (scores.values - effect)), axis=-1)
    return wealth
