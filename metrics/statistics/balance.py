"""Did the split of subjects between variants turn out as it was set? A mismatch says that something is broken.

A sequential test that may be looked at after every subject: Lindon and Malek, "Anytime-valid inference for
multinomial count data", NeurIPS 2022. The Bayes factor of a Dirichlet alternative around the set shares against the
set shares themselves is a non-negative martingale under the latter, so it passes 1/alpha with probability at most
alpha over all time.
"""

import math

import numpy as np

from metrics.statistics.scores import Floats
from metrics.statistics.special import gammaln

# How closely the alternative clings to the set shares. Larger is quicker at small mismatches in large samples.
CONCENTRATION = 700.0


def log_evidence_of_mismatch(counts: Floats, shares: Floats) -> Floats:
    """Logarithm of the Bayes factor against the set shares; shape (...) for `counts` of shape (..., variants).

    `shares` are positive and sum to one. Evidence of log(1 / alpha) or more is a mismatch at level alpha.
    """
    if (shares <= 0).any() or not math.isclose(float(shares.sum()), 1.0, abs_tol=1e-9):
        raise ValueError("Shares must be positive and sum to one.")
    prior = CONCENTRATION * shares
    total = counts.sum(axis=-1)
    evidence: Floats = (
        gammaln(CONCENTRATION)
        - gammaln(CONCENTRATION + total)
        + (gammaln(prior + counts) - gammaln(prior) - counts * np.log(shares)).sum(axis=-1)
    )
    return evidence
