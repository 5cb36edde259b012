"""From assigned outcomes to one unbiased score of the effect for each subject.

The score is the augmented inverse-propensity score of Robins, Rotnitzky and Zhao (1994, JASA 89): for a subject with
outcome y in [0, 1], assigned to the treatment with known probability p, and predictions m1 and m0 that were made
before its assignment,

    z = m1 - m0 + treated * (y - m1) / p - control * (y - m0) / (1 - p).

Its expectation given the past is the treatment's effect, whatever the predictions are worth; good ones make it less
noisy. Predictions from covariates are what is known as CUPED (Deng, Xu, Kohavi and Walker 2013, WSDM).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

# A prediction begins at one half and weighs like this many subjects.
_PRIOR_MEAN = 0.5
_PRIOR_WEIGHT = 2.0
# Ridge on the slopes of the covariates, in subjects.
_RIDGE = 10.0


@dataclass(frozen=True)
class Scores:
    """`values` has shape (..., n); each lies in [`low`, `high`], bounds that were known before its subject."""

    values: Floats
    low: Floats
    high: Floats


def effect_scores(outcomes: Floats, treated: Booleans, probability: float, covariates: Floats | None = None) -> Scores:
    """Scores of shape (..., n) for outcomes in [0, 1] in the order of assignment.

    `probability` is the treatment's share of these subjects, in (0, 1). `covariates` of shape (..., n, d) are what was
    known of each subject before its assignment, each within [-1, 1]. Raises ValueError for values out of range.
    """
    if not 0 < probability < 1:
        raise ValueError(f"The probability of the treatment must lie between 0 and 1: {probability}")
    if outcomes.size and (outcomes.min() < 0 or outcomes.max() > 1):
        raise ValueError("Outcomes must lie in [0, 1].")
    adjustment = np.zeros_like(outcomes) if covariates is None else _predicted_deviations(outcomes, treated, covariates)
    mean_treated = np.clip(_earlier_means(outcomes - adjustment, treated) + adjustment, 0, 1)
    mean_control = np.clip(_earlier_means(outcomes - adjustment, ~treated) + adjustment, 0, 1)
    residual = np.where(
        treated, (outcomes - mean_treated) / probability, -(outcomes - mean_control) / (1 - probability)
    )
    base = mean_treated - mean_control
    low = base - np.maximum(mean_treated / probability, (1 - mean_control) / (1 - probability))
    high = base + np.maximum((1 - mean_treated) / probability, mean_control / (1 - probability))
    return Scores(base + residual, low, high)


def shifted(values: Floats) -> Floats:
    """`values` one place later along time, zero first: what was known before."""
    before = np.zeros_like(values)
    before[..., 1:] = values[..., :-1]
    return before


def _earlier_means(outcomes: Floats, chosen: Booleans) -> Floats:
    total = shifted(np.cumsum(np.where(chosen, outcomes, 0.0), axis=-1))
    count = shifted(np.cumsum(chosen, axis=-1, dtype=np.float64))
    means: Floats = (_PRIOR_MEAN * _PRIOR_WEIGHT + total) / (_PRIOR_WEIGHT + count)
    return means


def _predicted_deviations(outcomes: Floats, treated: Booleans, covariates: Floats) -> Floats:
    """How far each outcome is expected from its arm's mean: ridge regression on all earlier subjects, arms pooled."""
    if covariates.shape[:-1] != outcomes.shape:
        raise ValueError(f"Covariates of shape {covariates.shape} do not fit outcomes of shape {outcomes.shape}.")
    if covariates.size and np.abs(covariates).max() > 1:
        raise ValueError("Covariates must lie in [-1, 1].")
    seen = np.arange(outcomes.shape[-1], dtype=np.float64)[:, None] + _PRIOR_WEIGHT
    centred = covariates - np.cumsum(np.insert(covariates, 0, 0.0, axis=-2)[..., :-1, :], axis=-2) / seen
    arm_mean = np.where(treated, _earlier_means(outcomes, treated), _earlier_means(outcomes, ~treated))
    products = np.cumsum(centred[..., :, None] * centred[..., None, :], axis=-3)
    moments = np.cumsum(centred * (outcomes - arm_mean)[..., None], axis=-2)
    dimensions = covariates.shape[-1]
    before = np.zeros_like(products)
    before[..., 1:, :, :] = products[..., :-1, :, :]
    known = np.zeros_like(moments)
    known[..., 1:, :] = moments[..., :-1, :]
    slopes = np.linalg.solve(before + _RIDGE * np.eye(dimensions), known[..., None])[..., 0]
    deviations: Floats = np.clip((slopes * centred).sum(axis=-1), -1, 1)
    return deviations
