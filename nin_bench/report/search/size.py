"""Whether variants with fewer parameters are easier to tune, by rank over a search's variants."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nin_bench.analysis.search.rates import RateCurve
from nin_bench.stats import Interval

LEAST_VARIANTS = 5
"""Of four, one order in twelve is wholly that of their sizes, or its reverse: too many to tell it from luck."""

Measure = Literal["width", "chance"]
"""Of how easily a variant is tuned: the width of its curve, or the chance to learn at a value drawn at random."""


@dataclass(frozen=True)
class SizeAndEase:
    """Whether ease goes with few parameters, by one measure, over all pairs of variants."""

    measure: Measure
    num_variants: int
    easier: int
    """Pairs in which the variant with fewer parameters is easier to tune."""
    harder: int
    """Pairs in which it is harder."""
    untold: int
    """Pairs of different sizes whose widths are not known well enough to say which is easier.

    In those that are left the two are alike in size or ease.
    """
    tau: float
    """Kendall's τ-b of ease and few parameters: 1 where fewer always means easier, −1 where never."""
    p: float
    """Two-sided; exact without ties and untold pairs, else by the normal approximation."""


def size_and_ease(curves: Sequence[RateCurve]) -> list[SizeAndEase]:
    """Set sizes against both measures of ease; one that is known of fewer than `LEAST_VARIANTS` is left out.

    So is one in which all are alike. Source: Kendall, A New Measure of Rank Correlation, Biometrika 30, 1938.
    """
    widths = [
        (curve.num_params, (curve.width.size, curve.width.bound))
        for curve in curves
        if curve.width and curve.connected
    ]
    chances = [
        (curve.num_params, (curve.chance.share, curve.chance.share))
        for curve in curves
        if curve.chance is not None
    ]
    found = [_compared("width", widths), _compared("chance", chances)]
    return [one for one in found if one is not None]


def _compared(measure: Measure, known: Sequence[tuple[int | None, Interval]]) -> SizeAndEase | None:
    sized = [(size, _rounded(ease)) for size, ease in known if size is not None]
    n = len(sized)
    fewer = np.array([[(other > size) - (other < size) for other, _ in sized] for size, _ in sized])
    easier = np.array([[_order(ease, other) for _, other in sized] for _, ease in sized])
    if n < LEAST_VARIANTS or not fewer.any() or not easier.any():
        return None
    agreed = (fewer * easier)[np.triu_indices(n, 1)]
    tau = agreed.sum() / math.sqrt(np.abs(fewer).sum() / 2 * np.abs(easier).sum() / 2)
    pairs = itertools.combinations(sized, 2)
    untold = sum(a != b and _order(x, y) == 0 and (*x, *y) != (x[0],) * 4 for (a, x), (b, y) in pairs)
    return SizeAndEase(
        measure=measure,
        num_variants=n,
        easier=int((agreed > 0).sum()),
        harder=int((agreed < 0).sum()),
        untold=untold,
        tau=float(tau),
        p=_p_value(fewer, easier),
    )


def _rounded(ease: Interval) -> Interval:
    """0.7 may be 0.7 and a rounding."""
    low, high = ease
    return round(low, 12), round(high, 12)


def _order(ease: Interval, other: Interval) -> int:
    """1 where a first measure, known within bounds, is surely the larger, −1 where the second, 0 where neither."""
    return (ease[0] > other[1]) - (ease[1] < other[0])


def _p_value(fewer: NDArray[np.int_], easier: NDArray[np.int_]) -> float:
    """The chance of so strong an agreement, either way, were eases dealt to sizes at random.

    Args:
        fewer: shape (n, n); for each pair 1, −1 or 0, and the opposite for the pair turned round.
        easier: likewise.

    Source: Kendall, Rank Correlation Methods, 1948, whose variance holds for any such scores.
    """
    n = len(fewer)
    if np.abs(fewer).sum() == np.abs(easier).sum() == n * (n - 1):
        # a score's row sums are its ranks, but for a constant
        return float(stats.kendalltau(fewer.sum(axis=1), easier.sum(axis=1)).pvalue)
    squares = [(scores**2).sum() for scores in (fewer, easier)]
    chains = [(scores.sum(axis=1) ** 2).sum() - (scores**2).sum() for scores in (fewer, easier)]
    variance = 4 * math.prod(chains) / (n * (n - 1) * (n - 2)) + 2 * math.prod(squares) / (n * (n - 1))
    return float(2 * stats.norm.sf(abs((fewer * easier).sum()) / math.sqrt(variance)))
