"""The evidence in a results folder, and the test of each hypothesis that it allows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nin_bench.analysis.cells import known_metrics, numbers
from nin_bench.analysis.costs import paired_samples
from nin_bench.analysis.curves import chance_level
from nin_bench.analysis.pairs import NO_RECORD, Contrast, Network, Pairs
from nin_bench.metrics import METRICS, Metric
from nin_bench.results import Results
from nin_bench.results.cost_entry import CostEntry
from nin_bench.results.schema import Hypothesis
from nin_bench.stats import Claim, PairedShares, PairedTest, paired_shares, paired_test


@dataclass(frozen=True)
class Counts:
    """Two numbers that no seed changes."""

    a: float
    b: float

    def effect(self, *, ratio: bool) -> float:
        """A less B, or A over B."""
        return self.a / self.b if ratio else self.a - self.b


Test = PairedTest | PairedShares | Counts


@dataclass(frozen=True)
class HypothesisTest:
    """A hypothesis, the pairs that speak on it, and the test that judges it."""

    entry: Hypothesis
    metric: Metric
    claim: Claim
    test: Test | str
    """Why there is none, where nothing can be said."""
    pairs: Pairs | None = None
    """The networks that are compared; None for counts and costs."""
    num_rounds: int = 0
    """Rounds of measuring, where a cost is compared."""

    @property
    def ratio(self) -> bool:
        """Whether A over B is claimed."""
        return self.entry.factor is not None

    @property
    def by_round(self) -> bool:
        """Whether pairs are rounds of measuring."""
        return self.metric.kind == "measured"

    @property
    def n(self) -> int | None:
        """Pairs that the test rests on; None for counts, which need none."""
        match self.test:
            case str():
                return 0
            case Counts():
                return None
        return self.test.n


@dataclass(frozen=True)
class Evidence:
    """All that hypotheses can rest on."""

    cells: Mapping[tuple[str, int], Network]
    """Every planned cell by label and seed."""
    costs: Mapping[str, CostEntry]
    """By label: what the grid's machine has measured."""

    @classmethod
    def of(cls, results: Results) -> "Evidence":
        """Look it up in a results folder as read."""
        cells = results.cells
        labels = {variant.variant_id: variant.label for variant in results.grid.variants}
        chance = chance_level(results, "chance_accuracy")
        values = known_metrics(cells).assign(
            chance_accuracy=numbers(cells, "chance_accuracy").fillna(math.nan if chance is None else chance),
            num_lost_classes=numbers(cells, "num_lost_classes"),
        )
        places = zip(cells["label"], cells["seed"], cells["outcome"], values.to_dict("records"), strict=True)
        return cls(
            cells={
                (str(label), int(seed)): Network(str(outcome), {str(name): value for name, value in known.items()})
                for label, seed, outcome, known in places
            },
            costs={labels[variant_id]: entry for variant_id, entry in results.cost_entries.items()},
        )

    def test(self, entry: Hypothesis, seeds: Sequence[int], contrast: Contrast | None = None) -> HypothesisTest:
        """The test of a hypothesis, or why there is none.

        Args:
            entry: the hypothesis.
            seeds: those that count.
            contrast: the variants to compare, where they are not those of the whole hypothesis.
        """
        metric, claim = METRICS[entry.metric], claim_of(entry)
        contrast = contrast or contrast_of(entry)
        planned = {label for label, _ in self.cells}
        if unknown := sorted(set(contrast.labels) - planned):
            return HypothesisTest(entry, metric, claim, f"no cell of {' or '.join(unknown)} was planned")
        if metric.kind == "observed":
            why = f"{metric.title} was seen while cells trained side by side, not measured on its own"
            return HypothesisTest(entry, metric, claim, why)
        if metric.deterministic:
            return HypothesisTest(entry, metric, claim, self._counts(metric, contrast, seeds))
        ratio = entry.factor is not None
        if metric.kind == "measured":
            test = self._rounds(metric, contrast, ratio=ratio)
            return HypothesisTest(entry, metric, claim, test, num_rounds=0 if isinstance(test, str) else test.n)
        pairs = Pairs.read(contrast, metric, seeds, self.cells)
        if metric.kind == "rate":
            return HypothesisTest(entry, metric, claim, _rate(pairs, metric, ratio=ratio), pairs)
        return HypothesisTest(entry, metric, claim, pairs.test(metric, ratio=ratio), pairs)

    def _counts(self, metric: Metric, contrast: Contrast, seeds: Sequence[int]) -> Counts | str:
        if len(contrast.pairs) > 1:
            return f"{metric.title} are counts, which one pair of variants is compared by"
        a, b = (self.count(metric, label, seeds) for label in contrast.pairs[0])
        return f"{metric.name} is not known for both variants" if a is None or b is None else Counts(a, b)

    def _rounds(self, metric: Metric, contrast: Contrast, *, ratio: bool) -> PairedTest | str:
        """Differences within rounds, of logarithms where a ratio is claimed."""
        if len(contrast.pairs) > 1:
            return f"{metric.title} is compared for one pair of variants at a time"
        a, b = (self.costs.get(label) for label in contrast.pairs[0])
        samples = paired_samples(a, b, metric.name) if a and b else []
        if not samples:
            return f"{metric.title} was not measured apart from training, for both variants in the same rounds"
        table = np.array(samples, dtype=float)
        if ratio and table.min() <= 0:
            return f"a factor needs values above 0, and {metric.name} has others"
        table = np.log(table) if ratio else table
        return paired_test(table[:, 0] - table[:, 1], heavy_tailed=False)

    def count(self, metric: Metric, label: str, seeds: Sequence[int]) -> float | None:
        """A variant's count, from its records or, where those lack it, its costs; None where neither tells."""
        values = (self.cells.get((label, seed), NO_RECORD)[metric.name] for seed in seeds)
        counted = next((value for value in values if math.isfinite(value)), None)
        if counted is None and label in self.costs:
            return next(iter(self.costs[label].samples(metric.name) or []), None)
        return counted


def claim_of(entry: Hypothesis) -> Claim:
    """What a hypothesis claims of a difference; of the logarithm of the ratio, where it claims a factor."""
    return Claim(entry.expect, math.log(entry.factor) if entry.factor else entry.margin or 0.0)


def contrast_of(entry: Hypothesis) -> Contrast:
    """The variants that a hypothesis compares."""
    a, b = entry.compare
    if entry.against:
        c, d = entry.against
        return Contrast.interaction((a, b), (c, d))
    return Contrast.difference(a, b)


def _rate(pairs: Pairs, metric: Metric, *, ratio: bool) -> PairedShares | str:
    if ratio:
        return "shares of networks are compared by a margin, not by a factor"
    if len(pairs.contrast.pairs) > 1:
        return f"the {metric.title} is compared for one pair of variants at a time"
    if not pairs.seeds:
        return "there is no seed at which all of its variants can be compared"
    a, b = pairs.contrast.pairs[0]
    return paired_shares(*([networks[label][metric.name] == 1 for networks in pairs.networks] for label in (a, b)))
