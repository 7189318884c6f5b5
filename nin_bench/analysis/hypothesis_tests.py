"""The evidence in a results folder, and the test of each hypothesis that it allows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from nin_bench.analysis.cells import known_metrics, numbers
from nin_bench.analysis.costs import paired_samples
from nin_bench.analysis.curves import chance_level
from nin_bench.analysis.pairs import NO_RECORD, Contrast, Network, Pairs
from nin_bench.analysis.target import target_epochs
from nin_bench.metrics import METRICS, Metric
from nin_bench.results import Results
from nin_bench.results.cost_entry import CostEntry, Kind
from nin_bench.results.schema import ClaimPoint, Hypothesis
from nin_bench.stats.claims import DIGITS, Claim, Interval
from nin_bench.stats.paired_test import PairedTest, paired_test
from nin_bench.stats.shares import PairedShares, paired_shares


@dataclass(frozen=True)
class Counts:
    """A difference between numbers that no seed changes."""

    distance: float
    """A less B; of logarithms for a ratio."""
    values: tuple[float, float] | None
    """A and B; None where more than two variants are compared."""

    def effect(self, *, ratio: bool) -> float:
        """A less B, or A over B."""
        if ratio:
            return self.values[0] / self.values[1] if self.values else math.exp(self.distance)
        return self.distance


Test = PairedTest | PairedShares | Counts

Outcome = Literal["supported", "refuted", "undecided", "not testable"]
TestName = Literal["signed-rank", "sign", "Newcombe and McNemar", "counts"]

Bounds = tuple[float | None, float | None]
"""An interval, of which an end is None where the pairs do not bound it."""


def ends_of(bounds: Bounds | None, *, is_factor: bool) -> Interval | None:
    """The ends of an interval; one that is not bounded is infinite, or 0 for a factor."""
    if bounds is None:
        return None
    low, high = bounds
    lowest = 0.0 if is_factor else -math.inf
    return lowest if low is None else low, math.inf if high is None else high


@dataclass(frozen=True)
class Finding:
    """What a test comes to at a level; its fields are those of a verdict."""

    verdict: Outcome
    effect: float | None = None
    interval: Bounds | None = None
    test: TestName | None = None
    p_support: float | None = None
    p_refute: float | None = None


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

    @property
    def ratio(self) -> bool:
        """Whether A over B is claimed."""
        return self.entry.factor is not None

    @property
    def by_round(self) -> bool:
        """Whether pairs are rounds of measuring."""
        return self.pairs is None and isinstance(self.test, PairedTest)

    @property
    def n(self) -> int | None:
        """Pairs that the test rests on; None for counts, which need none."""
        match self.test:
            case str():
                return 0
            case Counts():
                return None
        return self.test.n

    def find(self, level: float) -> Finding:
        """What the test comes to."""
        claim, ratio = self.claim, self.ratio
        match self.test:
            case str():
                return Finding("not testable")
            case Counts() as counts:
                # a count that equals the margin is none beyond it
                distance = round(counts.distance, DIGITS)
                held = claim.decide((distance, distance))
                effect = counts.effect(ratio=ratio)
                return Finding("supported" if held == "supported" else "refuted", effect, None, "counts")
            case PairedShares() as shares:
                interval = shares.interval(level)
                return Finding(shares.decide(claim, level), shares.difference, interval, "Newcombe and McNemar")
            case PairedTest() as test:
                interval, weighed = test.interval(level), test.p_values(claim)
                effect = _scaled(test.estimate, ratio)
                return Finding(
                    verdict=claim.decide(interval),
                    effect=effect if math.isfinite(effect) else None,
                    interval=_bounded((_scaled(interval[0], ratio), _scaled(interval[1], ratio)), ratio),
                    test=test.test,
                    p_support=weighed.support,
                    p_refute=weighed.refute,
                )


@dataclass(frozen=True)
class Evidence:
    """All that hypotheses can rest on."""

    cells: Mapping[tuple[str, int], Network]
    """Every planned cell by label and seed."""
    costs: Mapping[str, CostEntry]
    """What the grid's machine has measured, by label."""

    @classmethod
    def of(cls, results: Results) -> "Evidence":
        """Look it up in a results folder as read."""
        cells = results.cells
        labels = {variant.variant_id: variant.label for variant in results.grid.variants}
        chance = chance_level(results).accuracy
        values = known_metrics(cells).assign(
            chance_accuracy=numbers(cells, "chance_accuracy").fillna(math.nan if chance is None else chance),
            num_lost_classes=numbers(cells, "num_lost_classes"),
            target_epoch=cells["cell_id"].map(target_epochs(results)),
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
        """The test of a hypothesis, or of one contrast in it, by the seeds that count; or why there is none."""
        metric, claim, ratio = METRICS[entry.metric], claim_of(entry), entry.factor is not None
        contrast = contrast or contrast_of(entry)

        def resting_on(test: Test | str, pairs: Pairs | None = None) -> HypothesisTest:
            return HypothesisTest(entry, metric, claim, test, pairs)

        if unknown := sorted(set(contrast.labels) - {label for label, _ in self.cells}):
            return resting_on(f"no cell of {' or '.join(unknown)} was planned")
        if entry.kinds:
            return resting_on(self._kinds(entry, ratio=ratio))
        if metric.kind == "observed":
            return resting_on(f"{metric.title} was seen while cells trained side by side, not measured on its own")
        if metric.deterministic:
            return resting_on(self._counts(metric, contrast, seeds, ratio=ratio))
        if metric.kind == "measured":
            return resting_on(self._rounds(metric, contrast, ratio=ratio))
        pairs = Pairs.read(contrast, metric, seeds, self.cells)
        if metric.kind == "rate":
            return resting_on(_rate(pairs, metric, ratio=ratio), pairs)
        return resting_on(pairs.test(metric, ratio=ratio), pairs)

    def _counts(self, metric: Metric, contrast: Contrast, seeds: Sequence[int], *, ratio: bool) -> Counts | str:
        known = {label: self.count(metric, label, seeds) for label in contrast.labels}
        counts = {label: np.array([count]) for label, count in known.items() if count is not None}
        if len(counts) < len(known):
            return f"{metric.name} is not known for all of its variants"
        if ratio and min(count[0] for count in counts.values()) <= 0:
            return f"a factor needs values above 0, and {metric.name} has others"
        a, b = (float(counts[label][0]) for label in contrast.pairs[0])
        return Counts(float(contrast.of(counts, ratio=ratio)[0]), (a, b) if len(contrast.pairs) == 1 else None)

    def _rounds(self, metric: Metric, contrast: Contrast, *, ratio: bool) -> PairedTest | str:
        """Differences within rounds, of logarithms where a ratio is claimed."""
        values: dict[str, npt.NDArray[np.float64]] = {}
        for a, b in contrast.pairs:
            costs_a, costs_b = self.costs.get(a), self.costs.get(b)
            samples = paired_samples(costs_a, costs_b, metric.name) if costs_a and costs_b else []
            if not samples:
                return f"{metric.title} was not measured apart from training, for both variants in the same rounds"
            values[a], values[b] = np.array(samples).T
        num_rounds = min(len(column) for column in values.values())
        values = {label: column[:num_rounds] for label, column in values.items()}
        if ratio and min(column.min() for column in values.values()) <= 0:
            return f"a factor needs values above 0, and {metric.name} has others"
        return paired_test(contrast.of(values, ratio=ratio), heavy_tailed=False)

    def _kinds(self, entry: Hypothesis, *, ratio: bool) -> Counts | PairedTest | str:
        """Two kinds of one variant's layers, by their shares of a count or, by round, of the layers' time."""
        label, metric = entry.compare[0], METRICS[entry.metric]
        assert entry.kinds is not None
        costs, (a, b) = self.costs.get(label), entry.kinds
        if costs is None:
            return f"no costs of {label} were measured"
        if metric.deterministic:
            breakdown = getattr(costs, metric.name)
            known = {name: getattr(breakdown, name) for name in ("convolution", "pointwise", "dense")}
            parts = {name: np.array([count]) for name, count in known.items()}
            parts["other"] = np.array([breakdown.total - sum(known.values())])
        elif costs.kind_seconds is None:
            return f"layers of {label} were not timed in rounds"
        else:
            parts = {name: np.array(getattr(costs.kind_seconds, name).samples) for name in get_args(Kind)}
        total = np.sum(list(parts.values()), axis=0)
        shares = {name: part / total for name, part in parts.items()}
        if ratio and min(shares[a].min(), shares[b].min()) <= 0:
            return f"a factor needs values above 0, and {label} has no such layers"
        distance = Contrast.difference(a, b).of(shares, ratio=ratio)
        if metric.deterministic:
            return Counts(float(distance[0]), (float(shares[a][0]), float(shares[b][0])))
        return paired_test(distance, heavy_tailed=False)

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


def contrast_of(entry: Hypothesis | ClaimPoint) -> Contrast:
    """The variants that a hypothesis compares; over an axis, the mean of what it compares at each value."""
    if isinstance(entry, Hypothesis) and entry.points:
        return Contrast.mean([contrast_of(point) for point in entry.points])
    a, b = entry.compare
    if entry.minus:
        c, d = entry.minus
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


def _scaled(value: float, ratio: bool) -> float:
    """A difference of logarithms as a ratio."""
    return math.exp(value) if ratio and value < math.inf else value


def _bounded(interval: Interval, ratio: bool) -> Bounds | None:
    """An interval; None for an end that is not bounded, and for all of it where neither is."""
    low, high = interval
    is_open = not math.isfinite(low) or (ratio and low == 0.0)
    ends = None if is_open else low, None if math.isinf(high) else high
    return None if ends == (None, None) else ends
