"""The exact paired test, shares, survival and power: pure functions over arrays. Imports no torch.

docs/statistics.md says how often they err, and how often they decide.
"""

from nin_bench.stats.claims import ALPHA, DIGITS, Claim, Decision, Expectation, Interval
from nin_bench.stats.images import ImageError, image_error
from nin_bench.stats.looks import Look, looks
from nin_bench.stats.paired_test import (
    PairedTest,
    TestName,
    is_heavy_tailed,
    least_pairs,
    paired_differences,
    paired_test,
)
from nin_bench.stats.power import Chances, Failing, chances, detectable_difference
from nin_bench.stats.shares import PairedShares, paired_shares, points_against, wilson_interval
from nin_bench.stats.survival import Step, Survival, survival
from nin_bench.stats.unpaired import UnpairedDifference, percentile_among, unpaired_difference, welch_interval

__all__ = [
    "ALPHA",
    "DIGITS",
    "Chances",
    "Claim",
    "Decision",
    "Expectation",
    "Failing",
    "ImageError",
    "Interval",
    "Look",
    "PairedShares",
    "PairedTest",
    "Step",
    "Survival",
    "TestName",
    "UnpairedDifference",
    "chances",
    "detectable_difference",
    "image_error",
    "is_heavy_tailed",
    "least_pairs",
    "looks",
    "paired_differences",
    "paired_shares",
    "paired_test",
    "percentile_among",
    "points_against",
    "survival",
    "unpaired_difference",
    "welch_interval",
    "wilson_interval",
]
