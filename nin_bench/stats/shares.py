"""Shares of networks, such as those that failed: their intervals, and exact tests of two variants."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from nin_bench.stats.claims import ALPHA, Claim, Decision, Interval

Flags = Sequence[bool] | npt.NDArray[np.bool_]

CAUTION = 1 / 8
"""The one-sided p-value up to which failures that point against a verdict are worth a caution: 3 of 3 pairs."""


def wilson_interval(count: int, n: int, level: float = ALPHA) -> Interval:
    """The interval of confidence 1 − level for a share, of which count in n were seen; n at least 1.

    Source: Wilson, 1927, Journal of the American Statistical Association 22, 209–212.
    """
    found = scipy.stats.binomtest(count, n).proportion_ci(1 - level, method="wilson")
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class PairedShares:
    """Two shares over pairs, such as those of failed networks, as counts of pairs."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def counts(self) -> tuple[int, int]:
        """How many pairs have it in A, and how many in B."""
        return self.both + self.only_a, self.both + self.only_b

    @property
    def difference(self) -> float:
        """The share of A less that of B."""
        return (self.only_a - self.only_b) / self.n

    @property
    def a_greater_p(self) -> float:
        """Exact one-sided p-value for a greater share of A (McNemar, 1947)."""
        return _one_sided(self.only_a, self.only_b)

    @property
    def b_greater_p(self) -> float:
        """Exact one-sided p-value for a greater share of B."""
        return _one_sided(self.only_b, self.only_a)

    @property
    def mcnemar_p(self) -> float:
        """Exact two-sided p-value for equal shares; pairs alike in both say nothing."""
        return min(1.0, 2 * min(self.a_greater_p, self.b_greater_p))

    def interval(self, level: float = ALPHA) -> Interval:
        """Newcombe's interval for the difference, of confidence 1 − level.

        Source: Newcombe, 1998, Statistics in Medicine 17, 2635–2650, method 10.
        """
        n, (in_a, in_b) = self.n, self.counts
        (low_a, high_a), (low_b, high_b) = (wilson_interval(count, n, level) for count in (in_a, in_b))
        a, b = in_a / n, in_b / n
        product = float(self.both * self.neither - self.only_a * self.only_b)
        if product > 0:
            product = max(product - n / 2, 0.0)
        margins = in_a * (n - in_a) * in_b * (n - in_b)
        phi = product / math.sqrt(margins) if margins else 0.0

        def reach(of_a: float, of_b: float) -> float:
            return math.sqrt(max(0.0, of_a**2 - 2 * phi * of_a * of_b + of_b**2))

        return a - b - reach(a - low_a, high_b - b), a - b + reach(high_a - a, b - low_b)

    def decide(self, claim: Claim, level: float) -> Decision:
        """The verdict of the interval; one that makes a share the greater needs the exact test as well.

        At a handful of pairs Newcombe's interval alone decides too easily.
        """
        interval = self.interval(level)
        differs = interval[0] > 0 or interval[1] < 0
        return "undecided" if differs and self.mcnemar_p > level else claim.decide(interval)


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


def points_against(
    failures: PairedShares, decision: Decision, claim: Claim, estimate: float, *, higher_is_better: bool
) -> bool:
    """Whether failures speak against a verdict: the variant that it calls better, or as good, fails more often.

    This is a caution, not a test of the claim: exact and one-sided at 1/8, divided by neither family nor looks.

    Args:
        failures: shares of networks that failed, or that lost a class, of A and B.
        decision: the verdict on the claim.
        claim: what was claimed of A − B.
        estimate: of A − B, which tells the side on which an equivalence was refuted.
        higher_is_better: whether a greater value is the better one.
    """
    if decision == "undecided":
        return False
    if claim.expect == "equivalent" and decision == "supported":
        return min(failures.a_greater_p, failures.b_greater_p) <= CAUTION
    up = estimate > 0 if claim.expect == "equivalent" else (claim.expect == "greater") == (decision == "supported")
    return (failures.a_greater_p if up == higher_is_better else failures.b_greater_p) <= CAUTION


def _one_sided(favourable: int, other: int) -> float:
    return float(scipy.stats.binom.sf(favourable - 1, favourable + other, 0.5))
