"""Differences between samples that share nothing: Welch's test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from nin_bench.stats.claims import ALPHA, Interval


@dataclass(frozen=True)
class UnpairedDifference:
    """The mean of A less that of B, of independent samples."""

    a: tuple[float, ...]
    b: tuple[float, ...]

    @property
    def mean(self) -> float:
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
        return float(stats.ttest_ind(self.a, self.b, equal_var=False).pvalue)

    def interval(self, alpha: float = ALPHA) -> Interval | None:
        """Welch's interval of confidence 1 − alpha; None without spread.

        Source: Welch, 1947, Biometrika 34, 28–35.
        """
        if not self.has_spread:
            return None
        found = stats.ttest_ind(self.a, self.b, equal_var=False).confidence_interval(1 - alpha)
        return float(found.low), float(found.high)


def unpaired_difference(a: Sequence[float], b: Sequence[float]) -> UnpairedDifference:
    """Compare two samples, each of one value at least."""
    assert min(len(a), len(b)) > 0, (a, b)
    return UnpairedDifference(tuple(map(float, a)), tuple(map(float, b)))
