"""How far paired differences will lie apart, and how often networks will fail: from a pilot, or assumed."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from nin_bench.analysis.hypothesis_tests import Evidence, contrast_of
from nin_bench.analysis.lock import with_labels
from nin_bench.analysis.pairs import Pairs
from nin_bench.errors import ResultsError
from nin_bench.grid import Grid
from nin_bench.grid.file import Assumption
from nin_bench.metrics import METRICS
from nin_bench.results import Results, ResultsFolder, load_results
from nin_bench.results.schema import Hypothesis

LEAST_PAIRS = 3
"""The fewest pairs of a pilot: fewer say next to nothing of a spread."""
DEFAULT = Assumption(sd=0.01)
"""The spread of shares that is assumed if nothing else is known: one point."""


@dataclass(frozen=True)
class Spread:
    """How far paired differences lie apart, and how that is known."""

    sd: float
    """Standard deviation of the differences; of logarithms, if a factor is claimed."""
    basis: Literal["pilot", "assumed", "default"]
    pilot: str | None = None
    """The grid and profile of the pilot."""
    num_pairs: int | None = None
    """Pairs of the pilot in which no network failed or lost a class."""
    mean: float | None = None
    """The mean of the pilot's differences."""


@dataclass(frozen=True)
class Failures:
    """How often networks failed or lost a class in a pilot."""

    num_pairs: int
    num_failed: tuple[int, int]
    """Networks of A and of B."""

    @property
    def shares(self) -> tuple[float, float]:
        """The shares of A's and of B's networks that failed."""
        a, b = self.num_failed
        return a / self.num_pairs, b / self.num_pairs


def find_pilots(folder: ResultsFolder) -> list[Path]:
    """The folders that can be read and may know the spread: a run's own, then the grid's other profiles."""
    own = folder.path.resolve()
    others = sorted(path.parent for path in own.parent.glob("*/grid.json") if path.parent != own)
    return [path for path in (own, *others) if _has_grid(path)]


def _has_grid(folder: Path) -> bool:
    with suppress(ResultsError):
        return ResultsFolder(folder).find_grid() is not None
    return False


@dataclass(frozen=True)
class Pilot:
    """A results folder, some cells of which may be those of a hypothesis."""

    results: Results
    evidence: Evidence

    @classmethod
    def read(cls, folder: Path) -> "Pilot":
        """Read one; ResultsError where it cannot be used."""
        results = load_results(folder)
        return cls(results, Evidence.of(results))

    def spread(self, hypothesis: Hypothesis, grid: Grid) -> tuple[Spread | None, Failures | None]:
        """What its cells show; nothing where they are none of the hypothesis', or too few."""
        entry = self._entry(hypothesis, grid)
        if entry is None:
            return None, None
        seeds = sorted({cell.seed for cell in self.results.grid.cells})
        pairs = self.evidence.test(entry, seeds).pairs
        if pairs is None or not pairs.seeds:
            return None, None
        failures, sound = _failures(pairs), pairs.without_failures()
        test = sound.test(METRICS[hypothesis.metric], ratio=hypothesis.factor is not None)
        if isinstance(test, str) or test.n < LEAST_PAIRS or not np.ptp(test.differences):
            return None, failures
        name = f"{self.results.grid.name}/{self.results.grid.profile}"
        sd, mean = float(np.std(test.differences, ddof=1)), float(np.mean(test.differences))
        return Spread(sd, "pilot", name, test.n, mean), failures

    def _entry(self, hypothesis: Hypothesis, grid: Grid) -> Hypothesis | None:
        """The hypothesis with its variants' labels here; or, in another profile, its namesake."""
        ids = {variant.label: variant.variant_id for variant in grid.variants}
        here = {variant.variant_id: variant.label for variant in self.results.grid.variants}
        if all(ids[label] in here for label in contrast_of(hypothesis).labels):
            return with_labels(
                hypothesis, {label: here.get(variant_id, label) for label, variant_id in ids.items()}
            )
        named = (one for one in self.results.grid.hypotheses if one.id == hypothesis.id)
        return next((one for one in named if one.metric == hypothesis.metric), None)


def _failures(pairs: Pairs) -> Failures | None:
    if len(pairs.contrast.labels) > 2:
        return None
    a, b = (
        sum(networks[label].failed or networks[label].lost_classes for networks in pairs.networks)
        for label in pairs.contrast.labels
    )
    return Failures(len(pairs.seeds), (a, b))


def spread_of(
    hypothesis: Hypothesis, grid: Grid, pilots: Sequence[Pilot]
) -> tuple[Spread | None, Failures | None]:
    """The spread of the first pilot that shows one, or else as assumed; and how often networks fail."""
    failures: Failures | None = None
    for pilot in pilots:
        spread, seen = pilot.spread(hypothesis, grid)
        failures = failures or seen
        if spread is not None:
            return spread, failures
    if stated := grid.assume.get(hypothesis.metric):
        return Spread(stated.sd_of_differences, "assumed"), failures
    if METRICS[hypothesis.metric].unit == "share" and hypothesis.factor is None:
        return Spread(DEFAULT.sd_of_differences, "default"), failures
    return None, failures
