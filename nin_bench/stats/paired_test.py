"""One exact test for paired values: where the typical difference A − B lies.

The signed-rank test counts Walsh averages: those of each two differences, and each difference itself. The sign
test counts differences. For both, the interval is cut from the ordered values that are counted, so that interval
and verdict agree by construction. For a ratio, give differences of logarithms.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

from nin_bench.stats.claims import ALPHA, DIGITS, Claim, Interval

TestName = Literal["signed-rank", "sign"]
Values = Sequence[float] | npt.NDArray[np.float64]

MAX_SPREAD = 0.05
"""Where the accuracies of one variant spread over more than this, the sign test judges."""


@dataclass(frozen=True)
class PValues:
    """How surprising the data would be if a claim were false, and if it were true; one-sided."""

    support: float
    refute: float


@dataclass(frozen=True)
class PairedTest:
    """The exact signed-rank test or the exact sign test of paired differences, with its interval and estimate."""

    test: TestName
    differences: tuple[float, ...]
    """A − B of each pair; infinite where one of two values is, 0 where both are."""

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.differences)

    @property
    def estimate(self) -> float:
        """The median difference; for signed ranks the median Walsh average (Hodges and Lehmann, 1963)."""
        low, high = self._counted[(len(self._counted) - 1) // 2], self._counted[len(self._counted) // 2]
        return 0.0 if low == -high else float((low + high) / 2)  # the middle of −∞ and ∞ is 0

    def interval(self, level: float = ALPHA) -> Interval:
        """The exact interval of confidence 1 − level at least; (−∞, ∞) where so few pairs bound nothing.

        Source: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 2014, sections 3.3 and 3.6.
        """
        k = end_rank(self.test, self.n, level)
        return (float(self._counted[k - 1]), float(self._counted[-k])) if k else (-np.inf, np.inf)

    def bounded(self, level: float = ALPHA) -> Interval | None:
        """The interval; None where so few pairs bound nothing."""
        interval = self.interval(level)
        return interval if math.isfinite(interval[0]) or math.isfinite(interval[1]) else None

    def above(self, bound: float) -> float:
        """One-sided p-value for a typical difference above the bound; what equals the bound speaks against it."""
        return self._tail(int((self._counted <= np.round(bound, DIGITS)).sum()))

    def below(self, bound: float) -> float:
        """One-sided p-value for a typical difference below the bound; what equals the bound speaks against it."""
        return self._tail(int((self._counted >= np.round(bound, DIGITS)).sum()))

    def p_values(self, claim: Claim) -> PValues:
        """The p-values of a claim; one at most half its level decides it, as its interval does."""
        margin = claim.margin
        match claim.expect:
            case "greater":
                return PValues(support=self.above(margin), refute=self.below(margin))
            case "less":
                return PValues(support=self.below(-margin), refute=self.above(-margin))
            case "equivalent":
                within = max(self.above(-margin), self.below(margin))
                return PValues(support=within, refute=min(self.above(margin), self.below(-margin)))

    @cached_property
    def _counted(self) -> npt.NDArray[np.float64]:
        differences = np.array(self.differences)
        if self.test == "sign":
            return np.sort(differences)
        first, second = np.triu_indices(self.n)
        return np.sort(np.round((differences[first] + differences[second]) / 2, DIGITS))

    def _tail(self, num_against: int) -> float:
        return float(null_distribution(self.test, self.n)[num_against])


def paired_test(differences: Values, *, heavy_tailed: bool) -> PairedTest:
    """Test paired differences: by signed ranks, or by signs where differences are heavy-tailed or infinite.

    Args:
        differences: A − B by pair, shape (n,), n at least 1, without NaN; see `paired_differences`.
        heavy_tailed: see `is_heavy_tailed`.
    """
    found = np.round(np.asarray(differences, dtype=float), DIGITS) + 0.0  # no −0
    assert found.shape == (found.size,), found.shape
    assert found.size > 0
    assert not np.isnan(found).any()
    by_sign = heavy_tailed or not np.isfinite(found).all()
    return PairedTest("sign" if by_sign else "signed-rank", tuple(found.tolist()))


def paired_differences(a: Values, b: Values) -> npt.NDArray[np.float64]:
    """A − B by pair; 0 where both are infinite alike, as two failed networks are: neither is better."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    assert a.shape == b.shape == (a.size,), (a.shape, b.shape)
    alike = np.isinf(a) & (a == b)
    return np.where(alike, 0.0, a) - np.where(alike, 0.0, b)


def is_heavy_tailed(accuracies: Sequence[Values], failed: Iterable[bool]) -> bool:
    """Whether the sign test has to judge: some network failed, or accuracies of a variant spread over 5 points.

    Args:
        accuracies: of each variant's networks, test accuracies; NaN where not known.
        failed: whether each network failed or lost a class.
    """
    return any(failed) or any(np.round(np.ptp(values), DIGITS) > MAX_SPREAD for values in accuracies)


def least_pairs(level: float = ALPHA) -> int:
    """The fewest pairs that can decide a claim at a level: 6 at 5 %, if all agree."""
    return int(np.ceil(np.log2(2 / level)))


def end_rank(test: TestName, n: int, level: float) -> int:
    """Which of the ordered values, from either end, bounds the interval; 0 where so few pairs bound nothing."""
    return int(np.searchsorted(null_distribution(test, n), level / 2, side="right"))


@cache
def null_distribution(test: TestName, n: int) -> npt.NDArray[np.float64]:
    """The chance that at most 0, 1, 2, … of the counted values lie beyond the true centre, without ties.

    Returns:
        Cumulative probabilities: n + 1 of them for signs, n(n + 1)/2 + 1 for signed ranks.
    """
    if test == "sign":
        return np.asarray(scipy.stats.binom.cdf(np.arange(n + 1), n, 0.5))
    mass = np.ones(1)
    for rank in range(1, n + 1):  # each rank is positive or negative with equal chance
        mass = (np.pad(mass, (0, rank)) + np.pad(mass, (rank, 0))) / 2
    return np.cumsum(mass)
