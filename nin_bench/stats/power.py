"""What so many seeds can decide, before any of them is trained, by the tests that will judge.

Signed ranks are simulated with normal differences, from a fixed seed; signs are exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import scipy

from nin_bench.stats.claims import ALPHA, Claim
from nin_bench.stats.looks import Look
from nin_bench.stats.paired_test import end_rank

Array = npt.NDArray[np.float64]

DRAWS = 4_000
"""Simulated experiments: a chance near one half is known to 0.8 points."""
MOST_SIMULATED = 60
"""Pairs."""


@dataclass(frozen=True)
class Chances:
    """How likely each verdict is."""

    supported: float
    refuted: float
    expected_pairs: float
    """Seeds until the verdict, on average; those of the last look where nothing is decided."""

    @property
    def decided(self) -> float:
        """The chance of a verdict at all."""
        return self.supported + self.refuted


@dataclass(frozen=True)
class Failing:
    """How often networks of A and B fail or lose a class, each on its own; such a pair is beyond every margin."""

    a: float = 0.0
    b: float = 0.0

    @property
    def none(self) -> float:
        """The chance that neither network of a pair fails."""
        return (1 - self.a) * (1 - self.b)


def chances(
    claim: Claim,
    *,
    looks: Sequence[Look],
    sd: float,
    difference: float,
    level: float = ALPHA,
    failing: Failing = Failing(),
    higher_is_better: bool = True,
) -> Chances:
    """The chances of a claim's verdicts.

    Args:
        claim: what is claimed.
        looks: when it is judged; one look with share 1 for a fixed number of seeds. Several are simulated where no
            network fails; else the last one's chances are given, which are a little less than all have together.
        sd: standard deviation of the differences between healthy networks, above 0.
        difference: the true difference between healthy networks.
        level: at which the claim is judged.
        failing: how often networks fail.
        higher_is_better: whether a failed network has the lower value.
    """
    assert sd > 0, sd
    last = looks[-1]
    if failing.none < 1:
        worse = (failing.a * (1 - failing.b), failing.b * (1 - failing.a))
        low, high = worse if higher_is_better else worse[::-1]
        signs = _by_signs(claim, last.n, level * last.share, sd, difference, failing.none, low, high)
        sound = _by_signs(claim, last.n, level * last.share, sd, difference, 1.0, 0.0, 0.0)
        ranks = _by_ranks(claim, [last], sd, difference, level)
        intact = failing.none**last.n  # then signed ranks judge
        return Chances(
            supported=signs.supported + intact * (ranks.supported - sound.supported),
            refuted=signs.refuted + intact * (ranks.refuted - sound.refuted),
            expected_pairs=last.n,
        )
    return _by_ranks(claim, looks, sd, difference, level)


def detectable_difference(*, n: int, sd: float, level: float = ALPHA, power: float = 0.8) -> float | None:
    """How far beyond a margin the truth must lie for a verdict to be this likely, by signed ranks.

    Returns:
        None where so few pairs can decide nothing.
    """
    low, _ = _simulated(n, level)
    reach = -float(np.quantile(low, 1 - power, method="lower"))
    return sd * reach if math.isfinite(reach) else None


def _by_ranks(claim: Claim, looks: Sequence[Look], sd: float, difference: float, level: float) -> Chances:
    open_, pairs = np.ones(DRAWS, dtype=bool), np.full(DRAWS, float(looks[-1].n))
    supported = refuted = 0
    for look in looks:
        low, high = (difference + sd * bound for bound in _simulated(look.n, level * look.share))
        holds, fails = claim.sides(low, high)
        supported += int((open_ & holds).sum())
        refuted += int((open_ & fails).sum())
        pairs[open_ & (holds | fails)] = look.n
        open_ &= ~(holds | fails)
    return Chances(supported / DRAWS, refuted / DRAWS, float(pairs.mean()))


@cache
def _intervals(n: int, k: int) -> tuple[Array, Array]:
    """Intervals of simulated standard normal differences, from the k-th Walsh average to the k-th last."""
    if k == 0:
        return np.full(DRAWS, -np.inf), np.full(DRAWS, np.inf)
    first, second = np.triu_indices(n)
    found = []
    for part in np.split(_draws()[:, :n], 20):
        averages = np.partition((part[:, first] + part[:, second]) / 2, [k - 1, len(first) - k], axis=1)
        found.append(averages[:, [k - 1, len(first) - k]])
    low, high = np.concatenate(found).T
    return low, high


def _simulated(n: int, level: float) -> tuple[Array, Array]:
    """The intervals of n pairs; beyond `MOST_SIMULATED` they narrow by the root of n."""
    most = min(n, MOST_SIMULATED)
    scale = math.sqrt(most / n)
    low, high = _intervals(most, end_rank("signed-rank", most, level))
    return scale * low, scale * high


@cache
def _draws() -> Array:
    """One row for each experiment; looks see its first values."""
    return np.random.default_rng(0).normal(size=(DRAWS, MOST_SIMULATED))


def _by_signs(
    claim: Claim, n: int, level: float, sd: float, difference: float, healthy: float, low: float, high: float
) -> Chances:
    """The sign test, where a pair is healthy, or beyond every margin below or above, or both have failed alike."""
    k, margin = end_rank("sign", n, level), claim.margin
    alike = 1 - healthy - low - high  # both failed: a difference of 0

    def below(bound: float) -> float:
        return low + healthy * float(scipy.stats.norm.cdf((bound - difference) / sd)) + alike * (bound > 0)

    def above(bound: float) -> float:
        return high + healthy * float(scipy.stats.norm.sf((bound - difference) / sd)) + alike * (bound < 0)

    def at_least(share: float) -> float:
        """The chance that all but k − 1 pairs at most lie where this share does."""
        return float(scipy.stats.binom.sf(n - k, n, share)) if k else 0.0

    match claim.expect:
        case "greater":
            supported, refuted = at_least(above(margin)), at_least(below(margin))
        case "less":
            supported, refuted = at_least(below(-margin)), at_least(above(-margin))
        case "equivalent":
            out = np.arange(k)  # pairs beyond one end, then beyond the other
            beyond = above(margin)
            rest = min(below(-margin) / (1 - beyond), 1.0) if beyond < 1 else 1.0
            within = scipy.stats.binom.pmf(out, n, beyond) * scipy.stats.binom.cdf(k - 1, n - out, rest)
            supported, refuted = float(within.sum()), at_least(above(margin)) + at_least(below(-margin))
    return Chances(supported, refuted, n)
