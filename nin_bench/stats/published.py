"""Values of ours against what others published: a mean with its spread, or a single run."""

import math
from collections.abc import Sequence

from scipy import stats

from nin_bench.stats.claims import ALPHA, Interval


def welch_interval(
    mean_a: float, sd_a: float, n_a: int, mean_b: float, sd_b: float, n_b: int, alpha: float = ALPHA
) -> Interval:
    """The interval of confidence 1 − alpha for the difference A − B of two independent samples' means.

    Args:
        mean_a: of A.
        sd_a: of A, with n − 1 degrees of freedom, above 0.
        n_a: size of A, 2 or more.
        mean_b: likewise of B.
        sd_b: likewise of B.
        n_b: likewise of B.
        alpha: one less the confidence.

    Source: Welch, 1947, Biometrika 34, 28–35.
    """
    a, b = sd_a**2 / n_a, sd_b**2 / n_b
    freedom = (a + b) ** 2 / (a**2 / (n_a - 1) + b**2 / (n_b - 1))
    half = float(stats.t.isf(alpha / 2, freedom)) * math.sqrt(a + b)
    return mean_a - mean_b - half, mean_a - mean_b + half


def percentile_among(value: float, values: Sequence[float]) -> float:
    """The share of some values that lie below another, those equal to it counting half."""
    return float(stats.percentileofscore(values, value, kind="mean")) / 100
