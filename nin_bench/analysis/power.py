"""The chance of a verdict on each hypothesis, the difference that can be detected, the seeds that would do.

The spread over seeds comes from a pilot's records; where there are none, from what the grid assumes; and where it
assumes nothing, from a default that is named. Chances are those of the paired t-test, so they hold where every
network is healthy; how likely that is, a pilot tells as well.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nin_bench.analysis.hypothesis_tests import claim_of
from nin_bench.analysis.spread import Collapse, Pilot, Spread, spread_of
from nin_bench.grid import Grid, Hypothesis
from nin_bench.metrics import METRICS
from nin_bench.results.schema import Hypothesis as LockedHypothesis
from nin_bench.stats import ALPHA, Claim, chances, detectable_difference, least_pairs, seeds_needed

POWER = 0.8
"""The chance of a verdict that is called enough."""

_UNTESTED = {
    "architecture": "no seed changes it: two counts decide",
    "observed": "not testable: seen while cells train side by side",
    "measured": "decided by rounds of measuring, to which seeds add nothing",
}
"""Why seeds do not decide a hypothesis, by its metric's kind."""


@dataclass(frozen=True)
class Outlook:
    """The chances of a claim's verdicts, supposing a truth."""

    truth: float
    """The difference supposed, in the metric's unit; the ratio, where a factor is claimed."""
    why: str
    supported: float
    refuted: float
    seeds_needed: int | None
    """For a verdict with a chance of `POWER`; None where a thousand would not do."""

    @property
    def decided(self) -> float:
        """The chance of a verdict at all."""
        return self.supported + self.refuted


@dataclass(frozen=True)
class Prospect:
    """What the planned seeds can decide of one hypothesis."""

    id: str
    metric: str
    factor: bool
    """Whether a ratio is claimed, so that what follows are factors and not differences."""
    num_seeds: int
    """Planned for both variants."""
    level: float
    """At which it is decided: Holm's first and strictest step, where it is one of several primary ones."""
    untested: str | None = None
    """Where seeds do not decide it: why. Nothing below is known then."""
    least_pairs: int | None = None
    """The fewest that can decide it where networks collapse, because ranks do then."""
    spread: Spread | None = None
    collapse: Collapse | None = None
    """None without a pilot."""
    detectable: float | None = None
    """How far beyond the margin the truth must lie for a verdict with a chance of `POWER`."""
    detectable_sds: float | None = None
    """The same in standard deviations of the differences, for which no spread needs to be known."""
    outlooks: tuple[Outlook, ...] = ()
    """None where no spread is known; the summary goes by the first."""

    @property
    def can_decide(self) -> bool:
        """Whether the planned seeds are enough, supposing the first truth."""
        return bool(self.outlooks) and self.outlooks[0].decided >= POWER

    def as_dict(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        collapse = self.collapse and {
            **asdict(self.collapse), "chance": self.collapse.chance(self.num_seeds)
        }  # fmt: skip
        outlooks = [{**asdict(outlook), "decided": outlook.decided} for outlook in self.outlooks]
        return {**asdict(self), "collapse": collapse, "outlooks": outlooks}


def foresee(grid: Grid, pilots: Sequence[Path]) -> list[Prospect]:
    """What the planned seeds can decide of each of the grid's hypotheses, in its order.

    Args:
        grid: the question.
        pilots: results folders that may know the spread; the first that does is believed.

    Raises:
        ResultsError: a pilot cannot be read.
    """
    read = [Pilot.read(folder) for folder in pilots] if grid.hypotheses else []
    family = [one for one in grid.hypotheses if one.primary and not METRICS[one.metric].deterministic]
    seeds: dict[str, set[int]] = {}
    for cell in grid.cells:
        seeds.setdefault(cell.label, set()).add(cell.seed)
    return [
        _foresee(
            Prospect(
                id=one.id,
                metric=one.metric,
                factor=one.factor is not None,
                num_seeds=len(seeds[one.compare[0]] & seeds[one.compare[1]]),
                level=ALPHA / len(family) if one in family else ALPHA,
            ),
            one,
            *spread_of(one, grid, read),
        )
        for one in grid.hypotheses
    ]


def _foresee(bare: Prospect, hypothesis: Hypothesis, spread: Spread | None, collapse: Collapse | None) -> Prospect:
    kind = METRICS[bare.metric].kind
    if kind in _UNTESTED:
        return replace(bare, untested=_UNTESTED[kind])
    bare = replace(bare, least_pairs=least_pairs(bare.level))
    if kind == "rate":
        return replace(bare, untested="shares are decided by exact tests")
    as_said: Callable[[float], float] = math.exp if bare.factor else float
    sds = detectable_difference(n=bare.num_seeds, sd=1.0, alpha=bare.level, power=POWER)
    known = replace(bare, spread=spread, collapse=collapse, detectable_sds=sds)
    if spread is None:
        return known
    claim = claim_of(LockedHypothesis.model_validate(hypothesis.model_dump()))
    outlooks = []
    for truth, why in _truths(claim, spread):
        found = chances(claim, n=bare.num_seeds, sd=spread.sd, difference=truth, alpha=bare.level)
        needed = seeds_needed(claim, sd=spread.sd, difference=truth, alpha=bare.level, power=POWER)
        outlooks.append(Outlook(as_said(truth), why, found.supported, found.refuted, needed))
    return replace(
        known,
        detectable=None if sds is None else as_said(sds * spread.sd),
        outlooks=tuple(outlooks),
    )


def _truths(claim: Claim, spread: Spread) -> list[tuple[float, str]]:
    """Differences that it makes sense to suppose; a truth at the margin itself no number of seeds decides."""
    sign = -1 if claim.expect == "less" else 1
    if claim.expect == "equivalent":
        supposed = [(0.0, "no difference")]
    elif claim.margin:
        supposed = [(sign * 2 * claim.margin, "twice the margin")]
    else:
        supposed = [(sign * spread.sd, "one standard deviation")]
    return supposed if spread.mean is None else [*supposed, (spread.mean, "as in the pilot")]
