"""Comparisons in which some network failed: three answers side by side, because no mean gives one.

A mean over accuracies of .90 and .10 describes no network, and its t-interval covers far less than it says.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy import stats

from nin_bench.stats.claims import Claim, Decision, Interval
from nin_bench.stats.paired import (
    Flags,
    PairedDifference,
    PairedShares,
    Values,
    paired_difference,
    paired_shares,
)

Variant = Literal["A", "B"]

_ROUNDING = 1e-9
"""Less than any two accuracies or losses can be told apart by: 0.91 − 0.90 is not beyond 0.01."""


@dataclass(frozen=True)
class Ranking:
    """Who does better in each pair, failures ranked last and differences within the margin as ties."""

    differences: tuple[float, ...]
    """A − B of each pair; infinite where one of the two failed, NaN where both did: such a pair is a tie, and
    speaks for no difference above or below anything."""
    margin: float
    higher_is_better: bool

    @property
    def wins(self) -> int:
        """Pairs in which A is better by more than the margin."""
        return self._num_above(self.margin) if self.higher_is_better else self._num_below(-self.margin)

    @property
    def losses(self) -> int:
        """Pairs in which B is better by more than the margin."""
        return self._num_below(-self.margin) if self.higher_is_better else self._num_above(self.margin)

    @property
    def ties(self) -> int:
        """The other pairs, those in which both failed among them."""
        return len(self.differences) - self.wins - self.losses

    @property
    def chance(self) -> float:
        """The chance that A beats B, a tie counting half."""
        return (self.wins + self.ties / 2) / len(self.differences)

    @property
    def sign_test_p(self) -> float:
        """Exact two-sided p-value for A and B winning equally often; ties are left out."""
        decided = self.wins + self.losses
        return _fair_coin_p(self.wins, decided, "two-sided") if decided else 1.0

    def num_holding(self, claim: Claim) -> int:
        """Pairs in which what is claimed of the difference holds; none of those in which both failed."""
        match claim.expect:
            case "greater":
                return self._num_above(claim.margin)
            case "less":
                return self._num_below(-claim.margin)
            case "equivalent":
                return sum(abs(difference) <= claim.margin + _ROUNDING for difference in self.differences)

    def leaning(self, claim: Claim) -> tuple[float, Decision]:
        """The largest share of pairs that speaks for a verdict on the claim, and for which."""
        margin = claim.margin
        above, below = self._num_above, self._num_below
        support, *refute = {
            "greater": (above(margin), below(margin)),
            "less": (below(-margin), above(-margin)),
            "equivalent": (min(above(-margin), below(margin)), above(margin), below(-margin)),
        }[claim.expect]
        most = max(support, *refute)
        return most / len(self.differences), "supported" if support == most else "refuted"

    def above(self, bound: float) -> float:
        """Exact one-sided sign test for a median difference above the bound; other pairs speak against it."""
        return self._majority_p(self._num_above(bound))

    def below(self, bound: float) -> float:
        """Exact one-sided sign test for a median difference below the bound; other pairs speak against it."""
        return self._majority_p(self._num_below(bound))

    def _majority_p(self, count: int) -> float:
        return _fair_coin_p(count, len(self.differences), "greater")

    def _num_above(self, bound: float) -> int:
        return sum(difference > bound + _ROUNDING for difference in self.differences)

    def _num_below(self, bound: float) -> int:
        return sum(difference < bound - _ROUNDING for difference in self.differences)


@cache
def _fair_coin_p(heads: int, tosses: int, alternative: Literal["two-sided", "greater"]) -> float:
    return float(stats.binomtest(heads, tosses, alternative=alternative).pvalue)


@dataclass(frozen=True)
class ThreeParts:
    """A comparison in which some network failed."""

    ranking: Ranking
    health: PairedShares
    """How often each variant gives a healthy network."""
    given_healthy: PairedDifference | None
    """Over the pairs in which both are healthy; descriptive, because failing chose those pairs."""
    bounds: Interval | None
    """What the difference among healthy networks may be, whichever of them are healthy by the variant's grace."""

    def decide(self, claim: Claim, alpha: float) -> Decision | Literal["trade-off"]:
        """The verdict of the ranking, unless another part contradicts it or leaves it open.

        The ranking and the health favour a variant where their exact tests say so at level alpha; the difference
        among healthy networks does where its bounds lie wholly beyond the margin. It is a trade-off where parts
        favour different variants, or one that the ranking's verdict calls no better than the other. Where neither
        variant is favoured by rank, that verdict rests on ties, and stands only if no such variant was healthy
        where the other failed: a difference in health that is not significant is not proven absent.
        """
        decision = claim.evidence(self.ranking).decide(alpha)
        no_better = self._called_no_better(claim, decision)
        by_rank = self._by_ranking(alpha)
        favoured = {by_rank, self._by_health(alpha), self._by_healthy_networks()} - {None}
        if len(favoured) == 2 or favoured & no_better:
            return "trade-off"
        outlived = {"A": self.health.only_a, "B": self.health.only_b}
        if by_rank is None and any(outlived[variant] for variant in no_better):
            return "undecided"
        return decision

    @property
    def points_both_ways(self) -> bool:
        """Whether one variant failed less often and the other did better when healthy, proven or not."""
        by_number = _sign_to_variant(self.health.difference)
        return None not in (by_number, self._by_healthy_networks()) and by_number != self._by_healthy_networks()

    def _called_no_better(self, claim: Claim, decision: Decision) -> set[Variant]:
        """The variants that a verdict calls no better than the other."""
        if claim.expect == "equivalent":
            return {"A", "B"} if decision == "supported" else set()
        claimed: Variant = "A" if (claim.expect == "greater") == self.ranking.higher_is_better else "B"
        return {claimed} if decision == "refuted" else set()

    def _by_ranking(self, alpha: float) -> Variant | None:
        significant = self.ranking.sign_test_p <= alpha
        return _sign_to_variant(self.ranking.wins - self.ranking.losses) if significant else None

    def _by_health(self, alpha: float) -> Variant | None:
        return _sign_to_variant(self.health.difference) if self.health.mcnemar_p <= alpha else None

    def _by_healthy_networks(self) -> Variant | None:
        if self.bounds is None:
            return None
        low, high = self.bounds
        beyond = low > self.ranking.margin or high < -self.ranking.margin
        return _sign_to_variant(low if self.ranking.higher_is_better else -low) if beyond else None


def _sign_to_variant(advantage: float) -> Variant | None:
    return None if advantage == 0 else "A" if advantage > 0 else "B"


def three_parts(
    a: Values, b: Values, healthy_a: Flags, healthy_b: Flags, *, margin: float, higher_is_better: bool
) -> ThreeParts:
    """Compare two variants of which some cells failed.

    Args:
        a: values of A, shape (n,); those of failed cells are not looked at and may be NaN.
        b: values of B at the same seeds.
        healthy_a: which cells of A did not fail, shape (n,).
        healthy_b: which cells of B did not fail.
        margin: the smallest difference that matters, 0 or more.
        higher_is_better: whether a failure ranks below every value, or above.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    healthy_a, healthy_b = np.asarray(healthy_a, dtype=bool), np.asarray(healthy_b, dtype=bool)
    both = healthy_a & healthy_b
    a_best = math.inf if higher_is_better else -math.inf
    differences = np.select([both, healthy_a, healthy_b], [a - b, a_best, -a_best], default=math.nan)
    return ThreeParts(
        ranking=Ranking(tuple(differences.tolist()), margin, higher_is_better),
        health=paired_shares(healthy_a, healthy_b),
        given_healthy=paired_difference(a[both], b[both]) if both.any() else None,
        bounds=selection_bounds(a[healthy_a], b[healthy_b]),
    )


def selection_bounds(a: Values, b: Values) -> Interval | None:
    """Bounds on the difference of means among networks that would be healthy under either variant.

    The variant with more healthy networks is cut to the other's number, once by its best and once by its worst:
    the surplus is healthy by the variant's grace, and nobody knows which it is. Equal numbers give one point.

    Args:
        a: values of A's healthy cells, out of as many cells as B has.
        b: values of B's healthy cells.

    Returns:
        Lower and upper bound, or None where one of the two has no healthy cell.

    Source: Lee, 2009, Review of Economic Studies 76, 1071–1102.
    """
    a, b = np.sort(np.asarray(a, dtype=float)), np.sort(np.asarray(b, dtype=float))
    kept = min(a.size, b.size)
    if kept == 0:
        return None
    return float(a[:kept].mean() - b[-kept:].mean()), float(a[-kept:].mean() - b[:kept].mean())
