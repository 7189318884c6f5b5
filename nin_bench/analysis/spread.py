"""How far paired differences will lie apart, and how often networks will fail: from a pilot, or assumed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from nin_bench.analysis.hypothesis_tests import Known
from nin_bench.grid import Assumption, Grid, Hypothesis
from nin_bench.metrics import METRICS
from nin_bench.results import Results, ResultsFolder, load_results
from nin_bench.results.schema import Hypothesis as LockedHypothesis
from nin_bench.stats import paired_difference

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
    """Of the pilot: those in which both networks were healthy."""
    mean: float | None = None
    """Of the pilot's differences."""


@dataclass(frozen=True)
class Collapse:
    """How often networks failed in a pilot."""

    num_pairs: int
    num_healthy: int
    """Pairs in which both networks were healthy."""

    def chance(self, num_pairs: int) -> float:
        """That of so many pairs at least one has a network that fails, at the pilot's share."""
        return 1 - (self.num_healthy / self.num_pairs) ** num_pairs


def find_pilots(folder: ResultsFolder) -> list[Path]:
    """The folders beside a run's own that may know the spread: first itself, then the grid's other profiles."""
    own = folder.path.resolve()
    others = sorted(path.parent for path in own.parent.glob("*/grid.json") if path.parent != own)
    return [path for path in (own, *others) if (path / "grid.json").is_file()]


@dataclass(frozen=True)
class Pilot:
    """A results folder, some cells of which may be those of a hypothesis."""

    results: Results
    known: Known

    @classmethod
    def read(cls, folder: Path) -> "Pilot":
        """Read one; ResultsError where it cannot be used."""
        results = load_results(folder)
        return cls(results, Known.of(results))

    def spread(self, hypothesis: Hypothesis, grid: Grid) -> tuple[Spread | None, Collapse | None]:
        """What its cells show; nothing where they are none of the hypothesis', or too few."""
        labels = self._labels(hypothesis, grid)
        if labels is None:
            return None, None
        claimed = LockedHypothesis.model_validate(hypothesis.model_dump())
        seeds = sorted({cell.seed for cell in self.results.grid.cells})
        pairs = self.known.open_case(claimed.model_copy(update={"compare": tuple(labels)}), seeds).pairs
        if not pairs.numbers:
            return None, None
        healthy = pairs.healthy_a & pairs.healthy_b
        collapse = Collapse(len(pairs.numbers), int(healthy.sum()))
        a, b = pairs.a[healthy], pairs.b[healthy]
        if hypothesis.factor is not None:
            positive = (a > 0) & (b > 0)
            a, b = np.log(a[positive]), np.log(b[positive])
        if len(a) < LEAST_PAIRS:
            return None, collapse
        found = paired_difference(a, b)
        if not found.sd:
            return None, collapse
        name = f"{self.results.grid.name}/{self.results.grid.profile}"
        return Spread(found.sd, "pilot", name, found.n, found.mean), collapse

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
) -> tuple[Spread | None, Collapse | None]:
    """The spread of the first pilot that shows one, or else as assumed; and how often networks fail."""
    collapse: Collapse | None = None
    for pilot in pilots:
        spread, seen = pilot.spread(hypothesis, grid)
        collapse = collapse or seen
        if spread is not None:
            return spread, collapse
    if stated := grid.assume.get(hypothesis.metric):
        return Spread(stated.sd_of_differences, "assumed"), collapse
    if METRICS[hypothesis.metric].unit == "share" and hypothesis.factor is None:
        return Spread(DEFAULT.sd_of_differences, "default"), collapse
    return None, collapse
