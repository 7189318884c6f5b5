"""What so many seeds can decide, before any of them is trained. Holds for the paired t-test."""

import math
from bisect import bisect_left
from dataclasses import dataclass

from scipy import integrate, stats
from statsmodels.stats.power import TTestPower

from nin_bench.stats.claims import ALPHA, Claim

MOST_SEEDS = 1000
"""Beyond this, `seeds_needed` calls a question out of reach."""


@dataclass(frozen=True)
class Chances:
    """How likely each verdict is."""

    supported: float
    refuted: float

    @property
    def decided(self) -> float:
        """The chance of a verdict at all."""
        return self.supported + self.refuted


def chances(claim: Claim, *, n: int, sd: float, difference: float, alpha: float = ALPHA) -> Chances:
    """The chances of a claim's verdicts.

    Args:
        claim: what is claimed.
        n: pairs; fewer than two give no verdict.
        sd: standard deviation of the differences, above 0.
        difference: the true mean difference.
        alpha: the level at which the claim is decided; for the first of m claims in Holm's order, alpha / m.

    Source: noncentral t; for equivalence the exact integral over the sample's deviation (Phillips, 1990).
    """
    assert sd > 0, sd
    if n < 2:
        return Chances(0.0, 0.0)
    error, margin = sd / math.sqrt(n), claim.margin

    def beyond(distance: float) -> float:
        """The chance that the whole interval lies beyond a bound, the truth being so far beyond it."""
        return float(TTestPower().power(distance / sd, n, alpha / 2, alternative="larger"))

    match claim.expect:
        case "greater":
            return Chances(beyond(difference - margin), beyond(margin - difference))
        case "less":
            return Chances(beyond(-margin - difference), beyond(margin + difference))
        case "equivalent":
            return Chances(
                _chance_within(margin, difference, error, n - 1, alpha),
                beyond(difference - margin) + beyond(-margin - difference),
            )


def detectable_difference(*, n: int, sd: float, alpha: float = ALPHA, power: float = 0.8) -> float | None:
    """How far beyond a margin the truth must lie for a verdict to be this likely; None below two pairs.

    Source: noncentral t.
    """
    if n < 2:
        return None
    return sd * float(TTestPower().solve_power(nobs=n, alpha=alpha / 2, power=power, alternative="larger"))


def seeds_needed(
    claim: Claim, *, sd: float, difference: float, alpha: float = ALPHA, power: float = 0.8
) -> int | None:
    """The fewest seeds that give a verdict with this chance; None where a thousand would not do."""
    counts = range(2, MOST_SEEDS + 1)

    def chance(n: int) -> float:
        return chances(claim, n=n, sd=sd, difference=difference, alpha=alpha).decided

    index = bisect_left(counts, power, key=chance)
    return counts[index] if index < len(counts) else None


def _chance_within(margin: float, difference: float, error: float, df: int, alpha: float) -> float:
    """The chance that a t-interval lies wholly within ±margin, given the true standard error of its centre."""
    half_per_ratio = float(stats.t.isf(alpha / 2, df)) * error

    def at(ratio: float) -> float:
        """Of the sample's deviation being this multiple of the true one, and the centre near enough to zero."""
        room = margin - half_per_ratio * ratio
        near = stats.norm.cdf((room - difference) / error) - stats.norm.cdf((-room - difference) / error)
        return float(near * stats.chi.pdf(ratio * math.sqrt(df), df) * math.sqrt(df))

    # a wider interval has no room; a greater deviation does not happen
    most = min(margin / half_per_ratio, float(stats.chi.isf(1e-12, df)) / math.sqrt(df))
    return float(integrate.quad(at, 0, most)[0])
