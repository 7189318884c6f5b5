"""Whether variants with fewer parameters are easier to tune, by rank over a search's variants."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from nin_bench.report.search.rates import RateCurve

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
    """Pairs in which it is harder; in the others the two are alike in size or ease."""
    tau: float
    """Kendall's τ-b of ease and few parameters: 1 where fewer always means easier, −1 where never."""
    p: float
    """Two-sided; exact without ties."""
    num_at_least: int
    """Widths that may go on beyond what was searched; they are taken as they stand."""


def size_and_ease(curves: Sequence[RateCurve]) -> list[SizeAndEase]:
    """Set sizes against both measures of ease; one that is known of fewer than `LEAST_VARIANTS` is left out.

    So is one in which all are alike. Source: Kendall, A New Measure of Rank Correlation, Biometrika 30, 1938.
    """
    widths = [(curve.num_params, curve.width.size) for curve in curves if curve.width and curve.connected]
    chances = [(curve.num_params, curve.chance.share) for curve in curves if curve.chance]
    num_at_least = sum(curve.width.at_least for curve in curves if curve.width and curve.connected)
    found = [_compared("width", widths, num_at_least), _compared("chance", chances, 0)]
    return [one for one in found if one is not None]


def _compared(
    measure: Measure, known: Sequence[tuple[int | None, float]], num_at_least: int
) -> SizeAndEase | None:
    sized = [(-size, round(ease, 12)) for size, ease in known if size is not None]  # 0.7 may be 0.7 and a rounding
    fewness, eases = [fewness for fewness, _ in sized], [ease for _, ease in sized]
    if len(sized) < LEAST_VARIANTS or len(set(fewness)) == 1 or len(set(eases)) == 1:
        return None
    signs = [(a - c) * (b - d) for (a, b), (c, d) in itertools.combinations(sized, 2)]
    tau = stats.kendalltau(fewness, eases)
    return SizeAndEase(
        measure=measure,
        num_variants=len(sized),
        easier=sum(sign > 0 for sign in signs),
        harder=sum(sign < 0 for sign in signs),
        tau=float(tau.statistic),
        p=float(tau.pvalue),
        num_at_least=num_at_least,
    )
