"""Exact sign tests: how sure a share of pairs is, and how many pairs they take."""

import numpy as np
from scipy import stats

from nin_bench.stats.claims import ALPHA, Interval
from nin_bench.stats.power import MOST_SEEDS


def share_interval(count: int, n: int, alpha: float = ALPHA) -> Interval:
    """The exact interval of confidence 1 − alpha for a share, of which count in n were seen.

    It lies wholly above 1/2 exactly when the one-sided sign test rejects at alpha / 2.

    Source: Clopper and Pearson, 1934, Biometrika 26, 404–413.
    """
    found = stats.binomtest(count, n).proportion_ci(1 - alpha, method="exact")
    return float(found.low), float(found.high)


def least_pairs(alpha: float = ALPHA) -> int:
    """The fewest pairs with which an exact sign test can say anything at a level: all must agree."""
    return int(np.ceil(np.log2(2 / alpha)))


def pairs_needed(share: float, alpha: float = ALPHA, power: float = 0.8) -> int | None:
    """The fewest pairs with which an exact sign test decides with this chance.

    Args:
        share: how often a pair speaks for what is to be shown.
        alpha: of two sides.
        power: the chance.

    Returns:
        None where a thousand pairs would not do.
    """
    n = np.arange(1, MOST_SEEDS + 1)
    most_by_luck = stats.binom.isf(alpha / 2, n, 0.5)
    enough = np.flatnonzero(stats.binom.sf(most_by_luck, n, share) >= power)
    return int(n[enough[0]]) if len(enough) else None
