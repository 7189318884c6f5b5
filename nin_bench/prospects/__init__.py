"""What the planned seeds can decide, before any of them is trained, and what more of them would cost.

The spread over seeds comes from a pilot's records; where there are none, from what the grid assumes; and where it
assumes nothing, from a default that is named. Chances are those of the paired t-test, so they hold where every
network is healthy; how likely that is, a pilot tells as well.
"""

from nin_bench.prospects.foresee import POWER, MoreSeeds, Outlook, Prospect, foresee, more_seeds
from nin_bench.prospects.spread import Collapse, Spread, find_pilots

__all__ = [
    "POWER",
    "Collapse",
    "MoreSeeds",
    "Outlook",
    "Prospect",
    "Spread",
    "find_pilots",
    "foresee",
    "more_seeds",
]
