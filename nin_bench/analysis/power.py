"""The chance of a verdict on each hypothesis at the planned seeds, and the smallest detectable difference.

The spread over seeds comes from a pilot's records; without one, from what the grid assumes; and where it assumes
nothing, from a default that is named. How often networks fail comes from a pilot alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nin_bench.analysis.hypothesis_tests import claim_of, contrast_of
from nin_bench.analysis.lock import Lock
from nin_bench.analysis.spread import Failures, Pilot, Spread, spread_of
from nin_bench.grid import Grid
from nin_bench.looks import needs_seeds
from nin_bench.metrics import METRICS
from nin_bench.results.schema import Hypothesis
from nin_bench.stats.claims import ALPHA, Claim
from nin_bench.stats.looks import Look, looks
from nin_bench.stats.paired_test import least_pairs
from nin_bench.stats.power import Failing, chances, detectable_difference

POWER = 0.8
"""The chance of a verdict that is called enough."""

_UNTESTED = {
    "architecture": "no seed changes it: two counts decide",
    "observed": "not testable: seen while cells train side by side",
    "measured": "decided by rounds of measuring, to which seeds add nothing",
    "rate": "shares are decided by exact tests",
}
"""Why there are no chances of a hypothesis, by its metric's kind."""


@dataclass(frozen=True)
class Scenario:
    """The chances of a claim's verdicts, supposing a truth."""

    truth: float
    """The supposed difference, where no network fails, in the metric's unit; the ratio, for a factor."""
    why: str
    supported: float
    refuted: float
    expected_seeds: float
    """Until the verdict, on average; all that are planned, unless seeds are trained until claims are decided."""

    @property
    def decided(self) -> float:
        """The chance of a verdict at all."""
        return self.supported + self.refuted


@dataclass(frozen=True)
class Power:
    """What the planned seeds can decide of one hypothesis."""

    id: str
    metric: str
    factor: bool
    """Whether a ratio is claimed, so that what follows are factors and not differences."""
    num_seeds: int
    """Planned for both variants."""
    level: float
    """At which it is decided: 5 % divided by the number of primary claims with a test, for each of those."""
    least_pairs: int
    """The fewest pairs that can decide anything at this level; at the last look, where there are several."""
    untested: str | None = None
    """Why there are no chances. Nothing below is known then."""
    spread: Spread | None = None
    failures: Failures | None = None
    """How often networks failed in the pilot; None without one."""
    detectable: float | None = None
    """How far beyond the margin the truth must lie for a verdict with a chance of `POWER`, if no network fails.

    None where so few seeds can decide nothing."""
    detectable_sds: float | None = None
    """`detectable` in standard deviations of the differences, for which no spread needs to be known."""
    scenarios: tuple[Scenario, ...] = ()
    """Empty where no spread is known; the summary goes by the first."""

    @property
    def can_decide(self) -> bool:
        """Whether the planned seeds are enough, supposing the first truth."""
        return bool(self.scenarios) and self.scenarios[0].decided >= POWER

    def as_dict(self) -> dict[str, Any]:
        """The power as `plan --json` prints it."""
        scenarios = [{**asdict(scenario), "decided": scenario.decided} for scenario in self.scenarios]
        return {**asdict(self), "scenarios": scenarios}


def power_analysis(
    grid: Grid,
    pilots: Sequence[Path],
    untestable: Mapping[str, str] = MappingProxyType({}),
    lock: Lock | None = None,
) -> list[Power]:
    """What the planned seeds can decide of each of the grid's hypotheses, in its order.

    Args:
        grid: the question.
        pilots: results folders that may know the spread; the first that does is believed.
        untestable: hypotheses whose metric no network of theirs will have, by id, and why.
        lock: of the folder, if it has one; seeds that came after it do not count for its claims.

    Raises:
        ResultsError: a pilot cannot be read.
    """
    read = [Pilot.read(folder) for folder in pilots] if grid.hypotheses else []
    family = [one for one in grid.hypotheses if one.primary and not METRICS[one.metric].deterministic]
    seeds: dict[str, set[int]] = {}
    for cell in grid.cells:
        seeds.setdefault(cell.label, set()).add(cell.seed)
    found = []
    for one in grid.hypotheses:
        level, kind = ALPHA / len(family) if one in family else ALPHA, METRICS[one.metric].kind
        common = set.intersection(*(seeds[label] for label in contrast_of(one).labels))
        num_seeds = len(common if lock is None else common & lock.counted_seeds(one, grid.seeds))
        untested = untestable.get(one.id) or _UNTESTED.get(
            "measured" if one.kinds and kind == "observed" else kind
        )
        planned = Power(
            id=one.id,
            metric=one.metric,
            factor=one.factor is not None,
            num_seeds=num_seeds,
            level=level,
            least_pairs=least_pairs(level * looks(len(grid.seeds))[-1].share if grid.until_decided else level),
            untested=untested if num_seeds or untested else "not testable: its variants have no common seed",
        )
        at = looks(num_seeds) if grid.until_decided and num_seeds else [Look(num_seeds, 1.0)]
        spread = spread_of(one, grid, read)
        found.append(planned if planned.untested else _with_chances(planned, one, at, *spread))
    return found


def expected_seeds(grid: Grid, powers: Sequence[Power]) -> dict[str, float]:
    """How many seeds each variant is expected to need, by its id, where they are trained until claims are decided.

    Supposes the first scenario of each primary claim; one of which no spread is known takes all seeds.
    """
    assert grid.until_decided is not None
    ids = {variant.label: variant.variant_id for variant in grid.variants}
    expected = dict.fromkeys(ids.values(), float(grid.until_decided.looks[0]))
    for one, power in zip(grid.hypotheses, powers, strict=True):
        if one.primary and needs_seeds(one):
            seeds = power.scenarios[0].expected_seeds if power.scenarios else power.num_seeds
            for label in one.compared_labels:
                expected[ids[label]] = max(expected[ids[label]], seeds)
    return expected


def _with_chances(
    planned: Power, hypothesis: Hypothesis, at: Sequence[Look], spread: Spread | None, failures: Failures | None
) -> Power:
    as_said: Callable[[float], float] = math.exp if planned.factor else float
    last = planned.level * at[-1].share
    sds = detectable_difference(n=planned.num_seeds, sd=1.0, level=last, power=POWER)
    known = replace(planned, spread=spread, failures=failures, detectable_sds=sds)
    if spread is None:
        return known
    claim, scenarios = claim_of(hypothesis), []
    for truth, why in _truths(claim, spread):
        found = chances(
            claim,
            looks=at,
            sd=spread.sd,
            difference=truth,
            level=planned.level,
            failing=Failing(*failures.shares) if failures else Failing(),
            higher_is_better=METRICS[planned.metric].higher_is_better,
        )
        scenarios.append(Scenario(as_said(truth), why, found.supported, found.refuted, found.expected_pairs))
    detectable = None if sds is None else as_said(sds * spread.sd)
    return replace(known, detectable=detectable, scenarios=tuple(scenarios))


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
