"""Differences over pairs of cells that share a seed: of means, and of shares.

For a ratio, give logarithms: the difference and its interval are then those of the logarithm of the ratio.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from nin_bench.stats.claims import ALPHA, Interval

Values = Sequence[float] | npt.NDArray[np.float64]
Flags = Sequence[bool] | npt.NDArray[np.bool_]

MOST_EXACT_PAIRS = 16
"""Up to here a sign-flip p-value enumerates every flip (65,536 of them); beyond, it draws as many."""

_ROUNDING = 1e-12
"""Differences that vary by no more than this share of the values differ by the rounding of floats alone."""

_SMALLEST_ALPHA = 1e-12
"""No p-value below half of it is told from an interval."""


@dataclass(frozen=True)
class PairedDifference:
    """The mean of A − B over pairs, with the paired t-test."""

    differences: tuple[float, ...]
    mean: float
    sd: float | None
    """Of the differences, with n − 1 degrees of freedom; None for one pair."""
    correlation: float | None
    """Of A and B over the pairs; None below three pairs, or where one of the two does not vary."""
    unpaired_error: float | None
    """The standard error that independent samples would have had; None for one pair."""

    @property
    def n(self) -> int:
        """Pairs."""
        return len(self.differences)

    @property
    def standard_error(self) -> float | None:
        """Of the mean; None where the differences show no spread (one pair, or all the same)."""
        return self.sd / math.sqrt(self.n) if self.sd else None

    @property
    def pairing_pays(self) -> bool | None:
        """Whether the interval is narrower than that of independent samples; None where there is none.

        Pairing removes what the pairs share and halves the degrees of freedom.
        """
        if self.standard_error is None or self.unpaired_error is None:
            return None
        paired = stats.t.isf(ALPHA / 2, self.n - 1) * self.standard_error
        return bool(paired < stats.t.isf(ALPHA / 2, 2 * self.n - 2) * self.unpaired_error)

    @property
    def sign_flip_p(self) -> float:
        """Two-sided p-value for no difference: how often flipped signs leave the mean as far from zero.

        Exact up to 16 pairs. With n pairs it cannot fall below 2 / 2**n, which is 0.0625 for five.
        """
        if self.n == 1:
            return 1.0
        test = stats.permutation_test(
            (np.array(self.differences), np.zeros(self.n)),  # swapping a pair flips its sign
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            n_resamples=2**MOST_EXACT_PAIRS,
            vectorized=True,
            random_state=0,
        )
        return float(test.pvalue)

    def above(self, bound: float) -> float:
        """One-sided p-value for a mean difference above the bound; 1 where the differences show no spread."""
        error = self.standard_error
        return 1.0 if error is None else float(special.stdtr(self.n - 1, (bound - self.mean) / error))

    def below(self, bound: float) -> float:
        """One-sided p-value for a mean difference below the bound; 1 where the differences show no spread."""
        error = self.standard_error
        return 1.0 if error is None else float(special.stdtr(self.n - 1, (self.mean - bound) / error))

    def interval(self, alpha: float = ALPHA) -> Interval | None:
        """The paired t-interval of confidence 1 − alpha; None where the differences show no spread."""
        error = self.standard_error
        if error is None:
            return None
        half = float(stats.t.isf(alpha / 2, self.n - 1)) * error
        return self.mean - half, self.mean + half


def paired_difference(a: Values, b: Values) -> PairedDifference:
    """Compare two variants by the mean of their paired differences.

    Args:
        a: values of A, shape (n,), n at least 1.
        b: values of B at the same seeds, in the same order.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    assert a.shape == b.shape == (a.size,), (a.shape, b.shape)
    assert a.size > 0
    differences, n = a - b, a.size
    kept, mean = tuple(differences.tolist()), float(differences.mean())
    if n == 1:
        return PairedDifference(kept, mean, sd=None, correlation=None, unpaired_error=None)
    largest = max(np.abs(a).max(), np.abs(b).max())
    spread = np.ptp(differences) > _ROUNDING * largest
    return PairedDifference(
        kept,
        mean,
        sd=float(differences.std(ddof=1)) if spread else 0.0,
        correlation=float(np.corrcoef(a, b)[0, 1]) if n > 2 and np.ptp(a) > 0 and np.ptp(b) > 0 else None,
        unpaired_error=math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / n),
    )


@dataclass(frozen=True)
class PairedShares:
    """Two shares over pairs, such as those of healthy networks, as counts of pairs."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def n(self) -> int:
        """Pairs."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def difference(self) -> float:
        """The share of A less that of B."""
        return (self.only_a - self.only_b) / self.n

    @property
    def mcnemar_p(self) -> float:
        """Exact two-sided p-value for equal shares (McNemar, 1947)."""
        return _mcnemar_p(self.only_a, self.only_b)

    def above(self, bound: float) -> float:
        """One-sided p-value for a difference above the bound, read off Newcombe's interval.

        Where that makes A's share the greater, the exact McNemar test must agree: at a handful of pairs the
        interval alone decides too easily.
        """
        tail = self._tail(bound)
        p = tail if bound < self.difference else 1 - tail
        return max(p, self._discordant_p(self.only_a)) if bound >= 0 else p

    def below(self, bound: float) -> float:
        """One-sided p-value for a difference below the bound, likewise."""
        return PairedShares(self.both, self.only_b, self.only_a, self.neither).above(-bound)

    def interval(self, alpha: float = ALPHA) -> Interval:
        """Newcombe's interval for the difference, of confidence 1 − alpha.

        Source: Newcombe, 1998, Statistics in Medicine 17, 2635–2650, method 10.
        """
        n, in_a, in_b = self.n, self.both + self.only_a, self.both + self.only_b
        low_a, high_a = proportion_confint(in_a, n, alpha, method="wilson")
        low_b, high_b = proportion_confint(in_b, n, alpha, method="wilson")
        a, b = in_a / n, in_b / n
        product = float(self.both * self.neither - self.only_a * self.only_b)
        if product > 0:
            product = max(product - n / 2, 0.0)
        margins = in_a * (n - in_a) * in_b * (n - in_b)
        phi = product / math.sqrt(margins) if margins else 0.0

        def reach(of_a: float, of_b: float) -> float:
            return math.sqrt(max(0.0, of_a**2 - 2 * phi * of_a * of_b + of_b**2))

        return a - b - reach(a - low_a, high_b - b), a - b + reach(high_a - a, b - low_b)

    def _tail(self, bound: float) -> float:
        """Half the alpha whose interval just reaches the bound: from 0 (far away) to 1/2 (at the difference)."""

        def distance(alpha: float) -> float:
            low, high = self.interval(alpha)
            return low - bound if bound < self.difference else bound - high

        if distance(1 - _SMALLEST_ALPHA) <= 0:
            return 0.5
        if distance(_SMALLEST_ALPHA) >= 0:
            return _SMALLEST_ALPHA / 2
        return float(optimize.brentq(distance, _SMALLEST_ALPHA, 1 - _SMALLEST_ALPHA)) / 2

    def _discordant_p(self, favourable: int) -> float:
        discordant = self.only_a + self.only_b
        return float(stats.binomtest(favourable, discordant, alternative="greater").pvalue) if discordant else 1.0


@cache
def _mcnemar_p(only_a: int, only_b: int) -> float:
    """The pairs in which both or neither has it say nothing."""
    return float(mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue)


def paired_shares(a: Flags, b: Flags) -> PairedShares:
    """Count the pairs in which A, B, both or neither has it; a and b have shape (n,), n at least 1."""
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    assert a.shape == b.shape == (a.size,), (a.shape, b.shape)
    assert a.size > 0
    return PairedShares(
        both=int((a & b).sum()),
        only_a=int((a & ~b).sum()),
        only_b=int((~a & b).sum()),
        neither=int((~a & ~b).sum()),
    )
