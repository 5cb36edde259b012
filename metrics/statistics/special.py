"""The special functions of scipy that we use, loaded with the first call.

Every process imports the code around them and few ever compare an experiment's variants, while scipy is a good part of
what a process imports.
"""

from typing import Any


def gammaln(values: Any) -> Any:
    """Logarithm of the gamma function."""
    from scipy import special  # noqa: PLC0415 - optional weight

    return special.gammaln(values)


def stdtr(freedom: float, t: float) -> float:
    """Student's t distribution with `freedom` degrees: the probability of a value up to `t`."""
    from scipy import special  # noqa: PLC0415 - optional weight

    return float(special.stdtr(freedom, t))
