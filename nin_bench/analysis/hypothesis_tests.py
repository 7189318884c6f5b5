"""A hypothesis, and what records and costs say on it: the pairs that it rests on, and the test they call for."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from nin_bench.analysis.cells import known_metrics
from nin_bench.analysis.costs import paired_samples
from nin_bench.analysis.names import Names
from nin_bench.analysis.pairs import Measured, Pairs, compare, known_value
from nin_bench.metrics import METRICS, Metric
from nin_bench.results import Results, cost_entry
from nin_bench.results.schema import Hypothesis
from nin_bench.stats import Claim, Evidence, PairedDifference, PairedShares, ThreeParts

_COUNTED: dict[str, Callable[[cost_entry.Entry], int]] = {
    "num_params": lambda entry: entry["num_params"]["total"],
    "num_macs": lambda entry: entry["num_macs"]["total"],
    "train_tensor_bytes": lambda entry: entry["memory_bytes"]["train_peak_foretold"],
}
"""Where a costs entry has what no seed changes."""


@dataclass(frozen=True)
class Counts:
    """Two numbers that no seed changes."""

    a: float
    b: float


@dataclass(frozen=True)
class Case:
    """A hypothesis, and what the records have to say on it."""

    entry: Hypothesis
    metric: Metric
    claim: Claim
    pairs: Pairs
    test: PairedDifference | PairedShares | ThreeParts | Counts | str
    """Where nothing can be said: why."""
    names: Names

    @property
    def evidence(self) -> Evidence:
        """What the test says for and against; nothing, where there is none."""
        match self.test:
            case ThreeParts():
                return self.claim.evidence(self.test.ranking)
            case PairedDifference() | PairedShares():
                return self.claim.evidence(self.test)
            case _:
                return Evidence(support_p=1.0, refute_p=1.0)


@dataclass(frozen=True)
class Known:
    """All that a hypothesis can rest on."""

    cells: Mapping[tuple[str, int], Measured]
    """Every planned cell by label and seed."""
    costs: Mapping[str, cost_entry.Entry]
    """By label: what the grid's machine has measured."""
    names: Names

    @classmethod
    def of(cls, results: Results, also_failed: Collection[tuple[str, int]] = ()) -> "Known":
        """Look it up in a results folder as read; cells of these labels and seeds count as not healthy."""
        cells = results.cells
        labels = {variant.variant_id: variant.label for variant in results.grid.variants}
        return cls(
            cells={
                (str(label), int(seed)): Measured(
                    str(outcome),
                    {str(name): value for name, value in values.items()}
                    | ({"healthy": 0.0} if (label, seed) in also_failed else {}),
                )
                for label, seed, outcome, values in zip(
                    cells["label"],
                    cells["seed"],
                    cells["outcome"],
                    known_metrics(cells).to_dict("records"),
                    strict=True,
                )
            },
            costs={labels[variant_id]: entry for variant_id, entry in results.cost_entries.items()},
            names=Names.of(results.grid.variants),
        )

    def open_case(self, entry: Hypothesis, seeds: Sequence[int]) -> Case:
        """Find the test for a hypothesis, or why there is none; only these seeds count."""
        metric, labels = METRICS[entry.metric], entry.compare
        claim, ratio = claim_of(entry), bool(entry.factor)
        unknown = set(labels) - {label for label, _ in self.cells}
        pairs = Pairs.read(metric, labels, [], {})
        test: PairedDifference | PairedShares | ThreeParts | Counts | str
        if unknown:
            test = f"no cell of {' or '.join(sorted(unknown))} was planned"
        elif metric.kind == "observed":
            test = f"{metric.title} was seen while cells trained side by side, not measured on its own"
        elif metric.kind == "measured":
            pairs = self._rounds(metric, labels)
            test = (
                compare(pairs, metric, claim.margin, ratio=ratio)
                if pairs.numbers
                else f"{metric.title} was not measured apart from training, for both variants in the same rounds"
            )
        else:
            pairs = Pairs.read(metric, labels, seeds, self.cells)
            if metric.deterministic:
                a, b = (self.count(metric, label, seeds) for label in labels)
                test = f"{metric.name} is not known for both variants" if a is None or b is None else Counts(a, b)
            elif pairs.numbers:
                test = compare(pairs, metric, claim.margin, ratio=ratio)
            else:
                test = "there is no seed at which both variants can be compared"
        return Case(entry, metric, claim, pairs, test, self.names)

    def _rounds(self, metric: Metric, labels: Sequence[str]) -> Pairs:
        a, b = (self.costs.get(label) for label in labels)
        return Pairs.of_rounds(paired_samples(a, b, metric.name) if a and b else [])

    def count(self, metric: Metric, label: str, seeds: Sequence[int]) -> float | None:
        """A variant's count, from its records or, where those lack it, from its costs."""
        counted = known_value(metric, label, seeds, self.cells)
        if counted is None and label in self.costs:
            return float(_COUNTED[metric.name](self.costs[label]))
        return counted


def claim_of(entry: Hypothesis) -> Claim:
    """What a hypothesis claims of a difference; of the logarithm of the ratio, where it claims a factor."""
    return Claim(entry.expect, math.log(entry.factor) if entry.factor else entry.margin or 0.0)
