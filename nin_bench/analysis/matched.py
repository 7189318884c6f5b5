"""A variant as two results folders have it: what is asked of both is computed once."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nin_bench.analysis.hypothesis_tests import Evidence
from nin_bench.analysis.pairs import Network
from nin_bench.analysis.tables import Tally
from nin_bench.metrics import METRICS
from nin_bench.results import Record, Results
from nin_bench.results.cost_entry import CostEntry
from nin_bench.stats.claims import Interval
from nin_bench.stats.paired_test import PairedTest, is_heavy_tailed, paired_test
from nin_bench.stats.unpaired import UnpairedDifference, unpaired_difference

COUNTS = ("num_params", "num_macs")
_ACCURACY = METRICS["test_accuracy"]


@dataclass(frozen=True)
class CostRatio:
    """A measured cost in B over that in A."""

    estimate: float
    interval: Interval | None
    """95 %, Welch's, of logarithms."""
    num_rounds: tuple[int, int]
    """In A and B."""


@dataclass(frozen=True)
class Side:
    """A variant as one folder has it."""

    label: str
    networks: dict[int, Network]
    """The networks that were trained to their end or diverged and whose accuracy is known, by seed."""
    records: dict[str, Record]
    """The records of cells that ran to their end, by cell id."""
    counts: dict[str, int | None]
    cost: CostEntry | None

    @property
    def accuracies(self) -> list[float]:
        """Test accuracies, of failed networks too."""
        return [network.accuracy for network in self.networks.values()]

    @property
    def failed(self) -> Tally:
        """Networks that failed."""
        return Tally(sum(network.failed for network in self.networks.values()), len(self.networks))


def sides_of(results: Results) -> dict[str, Side]:
    """Every variant of a results folder, by its id."""
    networks: defaultdict[str, dict[int, Network]] = defaultdict(dict)
    for (label, seed), network in Evidence.of(results).cells.items():
        if network.why_missing(_ACCURACY) is None:
            networks[label][seed] = network
    variants = {cell.cell_id: cell.variant_id for cell in results.grid.cells}
    records: defaultdict[str, dict[str, Record]] = defaultdict(dict)
    for record in results.records:
        if record.outcome == "trained":
            records[variants[record.cell_id]][record.cell_id] = record
    return {
        variant.variant_id: Side(
            label=variant.label,
            networks=networks[variant.label],
            records=records[variant.variant_id],
            counts={name: _first(records[variant.variant_id].values(), name) for name in COUNTS},
            cost=results.cost_entries.get(variant.variant_id),
        )
        for variant in results.grid.variants
    }


def _first(records: Iterable[Record], name: str) -> int | None:
    return next((count for record in records if (count := getattr(record.metrics, name)) is not None), None)


_Test = PairedTest | UnpairedDifference | None


@dataclass(frozen=True)
class Pair:
    """A variant in A and in B; what is asked of both is computed once."""

    a: Side
    b: Side

    @cached_property
    def test(self) -> _Test:
        """B less A, over shared seeds where there are any; None where no test holds."""
        a, b = self.a, self.b
        if shared := sorted(set(a.networks) & set(b.networks)):
            before, after = ([side.networks[seed] for seed in shared] for side in (a, b))
            accuracies = [[network.accuracy for network in side] for side in (before, after)]
            bad = [network.failed or network.lost_classes for network in (*before, *after)]
            differences = np.subtract(accuracies[1], accuracies[0])
            return paired_test(differences, heavy_tailed=is_heavy_tailed(accuracies, bad))
        if not (a.networks and b.networks) or a.failed.count or b.failed.count:
            return None  # Welch's test supposes that all networks learned
        return unpaired_difference(b.accuracies, a.accuracies)

    def interval(self, level: float) -> Interval | None:
        """The interval of the difference; None if nothing bounds it."""
        if isinstance(self.test, PairedTest):
            return self.test.bounded(level)
        return None if self.test is None else self.test.interval(level)

    @property
    def estimate(self) -> float | None:
        """The estimate of the difference."""
        return None if self.test is None else self.test.estimate

    @cached_property
    def shared(self) -> list[str]:
        """Ids of the cells that ran to their end in both."""
        return sorted(set(self.a.records) & set(self.b.records))

    @cached_property
    def num_equal(self) -> int:
        """The shared cells whose networks are the same, bit for bit."""
        a, b = self.a.records, self.b.records
        return sum(a[cell_id].lasting() == b[cell_id].lasting() for cell_id in self.shared)

    @property
    def is_same(self) -> bool:
        """Whether all networks are in both, bit for bit."""
        return self.num_equal == len(self.a.records) == len(self.b.records) > 0


def cost_ratio(a: CostEntry | None, b: CostEntry | None, metric: str, level: float) -> CostRatio | None:
    """A measured cost in B over that in A, with an interval at a level; None where one has no samples above 0."""
    samples = [(entry.samples(metric) if entry else None) or [] for entry in (a, b)]
    if not all(samples) or min(map(min, samples)) <= 0:
        return None
    test = unpaired_difference(np.log(samples[1]).tolist(), np.log(samples[0]).tolist())
    interval = test.interval(level)
    return CostRatio(
        estimate=math.exp(test.estimate),
        interval=interval and (math.exp(interval[0]), math.exp(interval[1])),
        num_rounds=(len(samples[0]), len(samples[1])),
    )
