import numpy as np
import pytest
from scipy import stats

from metrics.statistics.classical import welch


@pytest.mark.parametrize(("sizes", "seed"), [((5, 9), 1), ((40, 12), 2), ((300, 280), 3)])
def test_it_agrees_with_scipys_own_test(sizes: tuple[int, int], seed: int) -> None:
    random = np.random.default_rng(seed)
    treatment, control = random.normal(0.55, 0.1, sizes[0]), random.normal(0.5, 0.3, sizes[1])
    ours = welch(treatment, control)
    theirs = stats.ttest_ind(treatment, control, equal_var=False)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    one_sided = stats.ttest_ind(treatment, control, equal_var=False, alternative="greater")
    assert ours.probability_to_beat == pytest.approx(1 - one_sided.pvalue, rel=1e-9)
    assert ours.difference == pytest.approx(treatment.mean() - control.mean())


def test_it_says_nothing_from_one_subject_an_arm() -> None:
    found = welch(np.array([0.7]), np.array([0.5, 0.6]))
    assert (found.p_value, found.probability_to_beat) == (None, None)
    assert welch(np.array([]), np.array([])).difference == 0


def test_outcomes_that_never_differ_have_no_error() -> None:
    same = welch(np.ones(4), np.ones(4))
    assert (same.difference, same.p_value, same.probability_to_beat) == (0, 1, 0.5)
    apart = welch(np.ones(4), np.zeros(4))
    assert (apart.difference, apart.p_value, apart.probability_to_beat) == (1, 0, 1)
