"""The sequences are held against their definition: no assignment, weighed by its probability, makes a gambler rich."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.statistics.betting import confidence_sequence, log_wealth, shown
from metrics.statistics.scores import Booleans, Floats, Scores, effect_scores

SUBJECTS = 9


def every_assignment(probability: float) -> tuple[Booleans, Floats]:
    """All 2^9 assignments of nine subjects, and the probability of each."""
    treated = np.array(list(itertools.product([False, True], repeat=SUBJECTS)))
    chances = np.where(treated, probability, 1 - probability).prod(axis=1)
    return treated, chances


def scores_of(
    control: Floats, effect: float, treated: Booleans, probability: float, covariates: Floats | None
) -> Scores:
    outcomes = np.where(treated, control + effect, control)
    if covariates is not None:
        covariates = np.broadcast_to(covariates, (*outcomes.shape, covariates.shape[-1]))
    return effect_scores(outcomes, treated, probability, covariates)


controls = st.lists(st.floats(0, 0.75), min_size=SUBJECTS, max_size=SUBJECTS).map(np.array)
traits = st.none() | st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=SUBJECTS, max_size=SUBJECTS).map(
    np.array
)


@given(control=controls, probability=st.floats(0.1, 0.9), effect=st.floats(0, 0.25), covariates=traits)
@settings(max_examples=60, deadline=None)
def test_scores_are_unbiased_whatever_the_predictions_are_worth(
    control: Floats, probability: float, effect: float, covariates: Floats | None
) -> None:
    treated, chances = every_assignment(probability)
    scores = scores_of(control, effect, treated, probability, covariates)
    assert chances @ scores.values == pytest.approx(np.full(SUBJECTS, effect), abs=1e-9)
    assert (scores.values >= scores.low - 1e-9).all()
    assert (scores.values <= scores.high + 1e-9).all()


@given(control=controls, probability=st.floats(0.1, 0.9), effect=st.floats(0, 0.25), covariates=traits)
@settings(max_examples=60, deadline=None)
def test_nobody_becomes_rich_against_the_true_effect(
    control: Floats, probability: float, effect: float, covariates: Floats | None
) -> None:
    treated, chances = every_assignment(probability)
    scores = scores_of(control, effect, treated, probability, covariates)
    for direction in (1, -1):
        wealth = np.exp(log_wealth(scores, effect, direction))
        assert (wealth > 0).all()
        assert chances @ wealth == pytest.approx(np.ones(SUBJECTS), abs=1e-9)


def experiment(effect: float, subjects: int, seed: int = 7) -> tuple[Floats, Booleans]:
    random = np.random.default_rng(seed)
    treated = random.random(subjects) < 0.5
    return np.clip(random.normal(0.6, 0.2, subjects) + effect * treated, 0, 1), treated


def test_the_interval_only_shrinks_and_agrees_with_the_decision() -> None:
    scores = effect_scores(*experiment(0.08, 1500), 0.5)
    interval = confidence_sequence(scores, 0.05)
    above, below = shown(scores, 0.0, 0.05)
    assert (np.diff(interval.lower) >= 0).all()
    assert (np.diff(interval.upper) <= 0).all()
    assert below.sum() == 0
    assert np.array_equal(interval.lower >= 0, above)
    assert above[-1]
    assert interval.lower[-1] < 0.08 < interval.upper[-1]


def test_it_agrees_with_an_independent_package() -> None:
    # confseq 0.0.11 on the same scores, brought to [0, 1] by x / 4 + 1/2: `betting_cs(x, alpha=0.05, breaks=2000,
    # running_intersection=True)` ends at 0.509 and 0.5245. Its stake is another, so the ends are not quite the same.
    reference = np.array([0.509, 0.5245]) * 4 - 2
    scores = effect_scores(*experiment(0.08, 1500), 0.5)
    interval = confidence_sequence(Scores(scores.values, np.full(1500, -2.0), np.full(1500, 2.0)), 0.05)
    ours = np.array([interval.lower[-1], interval.upper[-1]])
    assert np.abs(ours - reference).max() < 0.003


def test_covariates_that_explain_the_outcome_narrow_the_interval() -> None:
    random = np.random.default_rng(3)
    subjects = 800
    treated = random.random(subjects) < 0.5
    trait = random.uniform(-1, 1, subjects)
    outcomes = np.clip(0.5 + 0.3 * trait + 0.05 * treated + random.normal(0, 0.05, subjects), 0, 1)
    plain = confidence_sequence(effect_scores(outcomes, treated, 0.5), 0.05)
    adjusted = confidence_sequence(effect_scores(outcomes, treated, 0.5, trait[:, None]), 0.05)
    widths = [interval.upper[-1] - interval.lower[-1] for interval in (plain, adjusted)]
    assert widths[1] < widths[0] / 2
    assert adjusted.lower[-1] > 0


def test_it_says_nothing_before_the_first_subject() -> None:
    interval = confidence_sequence(effect_scores(np.array([]), np.array([], dtype=bool), 0.5), 0.05)
    assert (len(interval.lower), len(interval.upper)) == (0, 0)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, 2.0])
def test_it_refuses_a_share_that_is_none(probability: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        effect_scores(np.array([0.5]), np.array([True]), probability)


def test_it_refuses_outcomes_and_covariates_out_of_range() -> None:
    treated = np.array([True, False])
    with pytest.raises(ValueError, match="Outcomes"):
        effect_scores(np.array([0.5, 1.2]), treated, 0.5)
    with pytest.raises(ValueError, match="Covariates must"):
        effect_scores(np.array([0.5, 1.0]), treated, 0.5, np.array([[2.0], [0.0]]))
    with pytest.raises(ValueError, match="do not fit"):
        effect_scores(np.array([0.5, 1.0]), treated, 0.5, np.array([[1.0]]))
