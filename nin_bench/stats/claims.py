"""From a test to a verdict: what is claimed of A − B, how the data weigh on it, and at which level it is decided.

A claim comes down to one-sided statements about the difference, "it lies above x" and "it lies below x", and every
test gives p-values for those. At level alpha a claim is decided when its p-value for or against is at most
alpha / 2: for the paired t-test, when the whole interval of confidence 1 − alpha lies on one side of the margin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Expectation = Literal["greater", "less", "equivalent"]
Decision = Literal["supported", "refuted", "undecided"]
Interval = tuple[float, float]

ALPHA = 0.05
"""How often any verdict of a whole family of claims may be wrong."""


class PairedTest(Protocol):
    """Anything that tests where the difference A − B lies."""

    def above(self, bound: float) -> float:
        """The one-sided p-value that speaks for a difference above the bound."""

    def below(self, bound: float) -> float:
        """The one-sided p-value that speaks for a difference below the bound."""


@dataclass(frozen=True)
class Evidence:
    """How surprising the data would be if the claim were false, and if it were true."""

    support_p: float
    refute_p: float

    @property
    def p(self) -> float:
        """The smallest level at which the claim is decided, one way or the other."""
        return min(1.0, 2 * min(self.support_p, self.refute_p))

    def decide(self, alpha: float) -> Decision:
        """The verdict at a level, that of the interval of confidence 1 − alpha."""
        if self.p > alpha:
            return "undecided"
        return "supported" if self.support_p < self.refute_p else "refuted"


@dataclass(frozen=True)
class Claim:
    """What is claimed of A − B: above the margin, below its negative, or between the two."""

    expect: Expectation
    margin: float
    """The smallest difference that matters, 0 or more; its logarithm, where the claim is a ratio."""

    def decide(self, interval: Interval) -> Decision:
        """The verdict of an interval: decided where the whole of it lies on one side of what is claimed.

        An interval that touches the margin decides nothing. For `equivalent` this is two one-sided tests, each at
        half the interval's level (Schuirmann, 1987, with the interval of confidence 1 − level).
        """
        (low, high), margin = interval, np.round(self.margin, 10)
        supported, refuted = {
            "greater": (low > margin, high < margin),
            "less": (high < -margin, low > -margin),
            "equivalent": (-margin < low and high < margin, low > margin or high < -margin),
        }[self.expect]
        return "supported" if supported else "refuted" if refuted else "undecided"

    def evidence(self, test: PairedTest) -> Evidence:
        """Weigh the claim; equivalence by two one-sided tests, both of which must agree (Schuirmann, 1987)."""
        above, below, margin = test.above, test.below, self.margin
        match self.expect:
            case "greater":
                return Evidence(support_p=above(margin), refute_p=below(margin))
            case "less":
                return Evidence(support_p=below(-margin), refute_p=above(-margin))
            case "equivalent":
                return Evidence(
                    support_p=max(above(-margin), below(margin)), refute_p=min(above(margin), below(-margin))
                )


def holm_levels(p_values: Sequence[float], alpha: float = ALPHA) -> list[float]:
    """The level at which each claim of a family is decided, so that the family errs at most alpha.

    Holm's steps are alpha/m, alpha/(m − 1), …, in the order of the p-values; he stops at the first that exceeds
    its step, and here all that follow are held to that same step. So a claim is decided at its level exactly when
    Holm rejects it, and its interval of confidence 1 − level says what its verdict says.

    Args:
        p_values: `Evidence.p` of each claim; 1 for one that could not be tested.
        alpha: of the whole family.

    Source: Holm, 1979, Scandinavian Journal of Statistics 6, 65–70.
    """
    if not p_values:
        return []
    steps = alpha / (len(p_values) - np.arange(len(p_values)))
    order = np.argsort(p_values, kind="stable")
    num_decided = int(np.cumprod(np.take(p_values, order) <= steps).sum())
    levels = np.empty(len(p_values))
    levels[order] = np.minimum(steps, steps[min(num_decided, len(p_values) - 1)])
    return [float(level) for level in levels]
