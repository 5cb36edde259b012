import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from metrics.statistics import balance


def multinomial(counts: tuple[int, ...], shares: list[float]) -> float:
    ways = math.factorial(sum(counts)) // math.prod(map(math.factorial, counts))
    return ways * math.prod(share**count for share, count in zip(shares, counts, strict=True))


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.2, 0.3, 0.5], [0.9, 0.1]])
def test_the_evidence_averages_to_one_when_the_split_is_as_set(shares: list[float]) -> None:
    every = [c for c in itertools.product(range(13), repeat=len(shares)) if sum(c) == 12]
    evidence = np.exp(balance.log_evidence_of_mismatch(np.array(every, dtype=float), np.array(shares)))
    assert sum(multinomial(c, shares) * e for c, e in zip(every, evidence, strict=True)) == pytest.approx(1, abs=1e-9)


def test_it_is_the_ratio_of_the_two_likelihoods() -> None:
    # Dirichlet-multinomial with prior (350, 350) at counts (3, 1), in fractions.
    exact = Fraction(350 * 351 * 352 * 350, 700 * 701 * 702 * 703) / Fraction(1, 16)
    found = balance.log_evidence_of_mismatch(np.array([3.0, 1.0]), np.array([0.5, 0.5]))
    assert float(found) == pytest.approx(math.log(exact), abs=1e-9)


@pytest.mark.parametrize("shares", [[0.5, 0.6], [1.0, 0.0]])
def test_it_refuses_shares_that_are_none(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="sum to one"):
        balance.log_evidence_of_mismatch(np.array([1.0, 1.0]), np.array(shares))
