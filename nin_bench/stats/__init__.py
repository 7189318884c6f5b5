"""Effects, intervals, equivalence, collapse and power, for two variants whose cells share their seeds.

Pure functions over arrays; they know no grid and import no torch.
"""

from nin_bench.stats.claims import ALPHA, Claim, Decision, Evidence, Expectation, Interval, holm_levels
from nin_bench.stats.collapse import Ranking, ThreeParts, selection_bounds, three_parts
from nin_bench.stats.paired import (
    PairedDifference,
    PairedShares,
    paired_difference,
    paired_shares,
)
from nin_bench.stats.power import Chances, chances, detectable_difference, least_pairs_by_rank, seeds_needed
from nin_bench.stats.published import percentile_among, welch_interval

__all__ = [
    "ALPHA",
    "Chances",
    "Claim",
    "Decision",
    "Evidence",
    "Expectation",
    "Interval",
    "PairedDifference",
    "PairedShares",
    "Ranking",
    "ThreeParts",
    "chances",
    "detectable_difference",
    "holm_levels",
    "least_pairs_by_rank",
    "paired_difference",
    "paired_shares",
    "percentile_among",
    "seeds_needed",
    "selection_bounds",
    "three_parts",
    "welch_interval",
]
