"""From a test to a verdict: what is claimed of A − B, and when an interval decides it."""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

Expectation = Literal["greater", "less", "equivalent"]
Decision = Literal["supported", "refuted", "undecided"]
Interval = tuple[float, float]
Ends = TypeVar("Ends", float, npt.NDArray[np.float64])

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
        supported, refuted = self.sides(*interval)
        return "supported" if supported else "refuted" if refuted else "undecided"

    def sides(self, low: Ends, high: Ends) -> tuple[Any, Any]:
        """Whether intervals support the claim, and whether they refute it.

        Args:
            low: the lower end of one interval, or of many, (n,).
            high: the upper ends.

        Returns:
            Two answers for each interval, of the shape of its ends.
        """
        margin = float(np.round(self.margin, DIGITS))
        return {
            "greater": (low > margin, high < margin),
            "less": (high < -margin, low > -margin),
            "equivalent": ((low > -margin) & (high < margin), (low > margin) | (high < -margin)),
        }[self.expect]
