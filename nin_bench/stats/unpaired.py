"""Samples that share nothing: Welch's test, and where a single value lies among others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from nin_bench.stats.claims import ALPHA, Interval


@dataclass(frozen=True)
class UnpairedDifference:
    """The mean of A less that of B, of independent samples."""

    a: tuple[float, ...]
    b: tuple[float, ...]

    @property
    def estimate(self) -> float:
        """The difference of the means."""
        return float(np.mean(self.a) - np.mean(self.b))

    @property
    def has_spread(self) -> bool:
        """Whether there is an interval: two values or more of each, not all alike."""
        return min(len(self.a), len(self.b)) > 1 and max(np.ptp(self.a), np.ptp(self.b)) > 0

    @property
    def p(self) -> float:
        """Two-sided p-value for no difference; 1 without spread."""
        if not self.has_spread:
            return 1.0
        return float(scipy.stats.ttest_ind(self.a, self.b, equal_var=False).pvalue)

    def interval(self, alpha: float = ALPHA) -> Interval | None:
        """`welch_interval` of the two; None without spread."""
        if not self.has_spread:
            return None
        (mean_a, sd_a), (mean_b, sd_b) = ((float(np.mean(x)), float(np.std(x, ddof=1))) for x in (self.a, self.b))
        return welch_interval(mean_a, sd_a, len(self.a), mean_b, sd_b, len(self.b), alpha)


def unpaired_difference(a: Sequence[float], b: Sequence[float]) -> UnpairedDifference:
    """Compare two samples, each of one value at least."""
    assert min(len(a), len(b)) > 0, (a, b)
    return UnpairedDifference(tuple(map(float, a)), tuple(map(float, b)))


def welch_interval(
    mean_a: float, sd_a: float, n_a: int, mean_b: float, sd_b: float, n_b: int, alpha: float = ALPHA
) -> Interval:
    """The interval of confidence 1 − alpha for the difference A − B of two independent samples' means.

    Deviations have n − 1 degrees of freedom, at most one of them is 0; sizes are 2 or more.

    Source: Welch, 1947, Biometrika 34, 28–35.
    """
    a, b = sd_a**2 / n_a, sd_b**2 / n_b
    freedom = (a + b) ** 2 / (a**2 / (n_a - 1) + b**2 / (n_b - 1))
    half = float(scipy.stats.t.isf(alpha / 2, freedom)) * math.sqrt(a + b)
    return mean_a - mean_b - half, mean_a - mean_b + half


def percentile_among(value: float, values: Sequence[float]) -> float:
    """The share of some values that lie below another, those equal to it counting half."""
    return float(scipy.stats.percentileofscore(values, value, kind="mean")) / 100
