"""How far paired differences will lie apart, and how often networks will fail: from a pilot, or assumed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from nin_bench.analysis.hypothesis_tests import Evidence
from nin_bench.grid import Assumption, Grid
from nin_bench.metrics import METRICS
from nin_bench.results import Results, ResultsFolder, load_results
from nin_bench.results.schema import Hypothesis

LEAST_PAIRS = 3
"""Of a pilot: fewer say next to nothing of a spread."""
DEFAULT = Assumption(sd=0.01)
"""Of shares, where nothing else is known: one point."""


@dataclass(frozen=True)
class Spread:
    """How far paired differences lie apart, and how that is known."""

    sd: float
    """Of the differences; of logarithms, where a factor is claimed."""
    basis: Literal["pilot", "assumed", "default"]
    pilot: str | None = None
    """The grid and profile of the pilot."""
    num_pairs: int | None = None
    """Of the pilot: those in which no network failed or lost a class."""
    mean: float | None = None
    """Of the pilot's differences."""


@dataclass(frozen=True)
class Failures:
    """How often networks failed or lost a class in a pilot."""

    num_pairs: int
    num_failed: tuple[int, int]
    """Networks of A and of B."""

    @property
    def shares(self) -> tuple[float, float]:
        """Of A's and of B's networks."""
        a, b = self.num_failed
        return a / self.num_pairs, b / self.num_pairs


def find_pilots(folder: ResultsFolder) -> list[Path]:
    """The folders beside a run's own that may know the spread: first itself, then the grid's other profiles."""
    own = folder.path.resolve()
    others = sorted(path.parent for path in own.parent.glob("*/grid.json") if path.parent != own)
    return [path for path in (own, *others) if (path / "grid.json").is_file()]


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
        labels = self._labels(hypothesis, grid)
        if labels is None:
            return None, None
        seeds = sorted({cell.seed for cell in self.results.grid.cells})
        pairs = self.evidence.test(hypothesis.model_copy(update={"compare": tuple(labels)}), seeds).pairs
        if pairs is None or not pairs.seeds:
            return None, None
        metric = METRICS[hypothesis.metric]
        bad = np.array([[one.failed or one.lost_classes for one in pair.values()] for pair in pairs.networks])
        a, b = np.array([[one.judged(metric) for one in pair.values()] for pair in pairs.networks])[
            ~bad.any(axis=1)
        ].T
        failures = Failures(len(bad), (int(bad[:, 0].sum()), int(bad[:, 1].sum())))
        if hypothesis.factor is not None:
            positive = (a > 0) & (b > 0)
            a, b = np.log(a[positive]), np.log(b[positive])
        differences = np.round(a - b, 9)
        if len(differences) < LEAST_PAIRS or not np.ptp(differences):
            return None, failures
        name = f"{self.results.grid.name}/{self.results.grid.profile}"
        sd = float(differences.std(ddof=1))
        return Spread(sd, "pilot", name, len(differences), float(differences.mean())), failures

    def _labels(self, hypothesis: Hypothesis, grid: Grid) -> list[str] | None:
        """What its variants are called here; or, in another profile, those that its namesake compares."""
        ids = {variant.label: variant.variant_id for variant in grid.variants}
        here = {variant.variant_id: variant.label for variant in self.results.grid.variants}
        wanted = [ids[label] for label in hypothesis.compare]
        if all(variant_id in here for variant_id in wanted):
            return [here[variant_id] for variant_id in wanted]
        return next(
            (
                list(entry.compare)
                for entry in self.results.grid.hypotheses
                if (entry.id, entry.metric) == (hypothesis.id, hypothesis.metric)
            ),
            None,
        )


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
