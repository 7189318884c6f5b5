"""From a test to a verdict: what is claimed of A − B, and when an interval decides it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Expectation = Literal["greater", "less", "equivalent"]
Decision = Literal["supported", "refuted", "undecided"]
Interval = tuple[float, float]

ALPHA = 0.05
"""How often any verdict of a whole family of claims may be wrong."""

DIGITS = 12
"""Differences and margins are rounded to this many decimals: 0.91 − 0.90 equals 0.01."""


@dataclass(frozen=True)
class Claim:
    """What is claimed of A − B: above the margin, below its negative, or between the two."""

    expect: Expectation
    margin: float
    """The smallest difference that matters, 0 or more; its logarithm, where the claim is a ratio."""

    def decide(self, interval: Interval) -> Decision:
        """The verdict of an interval: decided where the whole of it lies on one side of what is claimed.

        An interval that touches the margin decides nothing. For `equivalent` this is two one-sided tests
        (Schuirmann, 1987), each at half the interval's level, as for the other claims.
        """
        (low, high), margin = interval, float(np.round(self.margin, DIGITS))
        supported, refuted = {
            "greater": (low > margin, high < margin),
            "less": (high < -margin, low > -margin),
            "equivalent": (-margin < low and high < margin, low > margin or high < -margin),
        }[self.expect]
        return "supported" if supported else "refuted" if refuted else "undecided"
