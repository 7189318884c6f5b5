"""Effects, intervals, equivalence, collapse and power, for two variants whose cells share their seeds.

Pure functions over arrays; they know no grid and import no torch.
"""

from nin_bench.stats.claims import ALPHA, Claim, Decision, Evidence, Expectation, Interval, holm_levels
from nin_bench.stats.collapse import Ranking, ThreeParts, selection_bounds, three_parts
from nin_bench.stats.images import ImageError, image_error
from nin_bench.stats.interaction import interaction
from nin_bench.stats.paired import (
    PairedDifference,
    PairedShares,
    paired_difference,
    paired_shares,
)
from nin_bench.stats.power import MOST_SEEDS, Chances, chances, detectable_difference, seeds_needed
from nin_bench.stats.published import percentile_among
from nin_bench.stats.ranks import least_pairs, pairs_needed, share_interval
from nin_bench.stats.survival import Step, Survival, survival
from nin_bench.stats.unpaired import UnpairedDifference, unpaired_difference, welch_interval

__all__ = [
    "ALPHA",
    "MOST_SEEDS",
    "Chances",
    "Claim",
    "Decision",
    "Evidence",
    "Expectation",
    "ImageError",
    "Interval",
    "PairedDifference",
    "PairedShares",
    "Ranking",
    "Step",
    "Survival",
    "ThreeParts",
    "UnpairedDifference",
    "chances",
    "detectable_difference",
    "holm_levels",
    "image_error",
    "interaction",
    "least_pairs",
    "paired_difference",
    "paired_shares",
    "pairs_needed",
    "percentile_among",
    "seeds_needed",
    "selection_bounds",
    "share_interval",
    "survival",
    "three_parts",
    "unpaired_difference",
    "welch_interval",
]
