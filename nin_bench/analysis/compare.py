"""Two results folders side by side: what moved from A to B, by how much, and whether beyond noise.

A variant is in both where its id is, or else its label: the same network on two machines keeps its id, one whose
function or recipe was changed keeps its name.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from pydantic import Field
from scipy import stats

from nin_bench.analysis.artefact import AnalysisArtefact
from nin_bench.analysis.cells import is_trained, numbers
from nin_bench.analysis.costs import RELATIVE
from nin_bench.analysis.hypothesis_tests import Evidence
from nin_bench.analysis.pairs import Network
from nin_bench.analysis.setting import environments, flatten
from nin_bench.analysis.tables import Spread, Tally
from nin_bench.metrics import METRICS
from nin_bench.results import Record, Results
from nin_bench.results.cost_entry import CostEntry
from nin_bench.results.schema import ResolvedVariant
from nin_bench.stats import (
    ALPHA,
    Interval,
    PairedTest,
    UnpairedDifference,
    is_heavy_tailed,
    paired_test,
    unpaired_difference,
)

Asked = Literal["accuracy", "speed", "memory"]
"""What a gate can be about."""
ASKED: tuple[Asked, ...] = get_args(Asked)
_GATED: Mapping[Asked, tuple[str, ...]] = {
    "accuracy": ("test_accuracy",),
    "speed": ("train_images_per_second", "predict_images_per_second"),
    "memory": ("train_tensor_bytes",),
}
"""The metrics that decide each: measured speeds, and memory as it is counted, which has no noise."""

_COUNTS = ("num_params", "num_macs")
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
class Move:
    """What became of one variant."""

    label: str
    """In B."""
    label_before: str
    """In A."""
    verdict: str
    """`the same`, bit for bit; `up`, `down`: beyond noise; `within noise`; `not known`."""
    accuracy: tuple[Spread, Spread]
    """In A and B, failed networks among them."""
    difference: float | None
    """B less A of test accuracy: the exact paired test's estimate; of means where no seeds are shared."""
    interval: Interval | None
    """At `level`; None where nothing bounds it."""
    level: float
    """5 % divided by the number of variants (Bonferroni), so that their intervals hold together."""
    n: int
    """Pairs; cells of both, where none are paired."""
    paired: bool
    """Whether cells are paired by seed."""
    failed: tuple[Tally, Tally]
    failed_p: float
    """Fisher's exact test for equal shares."""
    num_equal: int
    """Cells of one id whose networks are the same in both, bit for bit."""
    num_shared: int
    """Cells of one id that ran to their end in both."""
    counts: dict[str, tuple[int | None, int | None]]
    """Parameters and MACs, in A and B."""
    costs: dict[str, CostRatio]
    """Ratios of the costs that both folders measured, by metric."""


@dataclass(frozen=True)
class Gate:
    """Whether a variant got worse in one metric, of those that were asked for."""

    label: str
    """In B."""
    asked: Asked
    metric: str
    verdict: Literal["worse", "not worse", "the same", "not known"]
    """`worse`: beyond noise. `the same`: every network, bit for bit. `not known`: one of the folders has no value,
    or too few."""
    change: float | None
    """B less A of test accuracy; of costs the ratio B over A."""
    interval: Interval | None
    """At `level`; None where nothing bounds it, and of counts."""
    level: float | None
    """5 % divided by the number of tests that were asked for (Bonferroni); None of counts, which need no test."""


@dataclass(frozen=True)
class About:
    """What a folder holds."""

    path: str
    """As it was given."""
    name: str
    profile: str
    seeds: list[int]
    num_cells: int
    num_trained: int
    left_out: list[str]
    """A sentence for each file that was not used."""


@dataclass(frozen=True)
class ChangedField:
    """A field of model, data or recipe that is not what it was."""

    field: str
    a: Any
    b: Any
    labels: list[str]
    """Of the variants, in B."""


@dataclass(frozen=True)
class ChangedEnvironment:
    """What records of the two hold under one (dotted) name of the environment, where that differs."""

    name: str
    a: list[Any]
    b: list[Any]


class FolderComparison(AnalysisArtefact):
    """Everything that a comparison of two results folders shows: `compare.json`."""

    a: About
    b: About
    moves: list[Move]
    only_in_a: list[str]
    """Labels of variants."""
    only_in_b: list[str]
    settings: list[ChangedField]
    environment: list[ChangedEnvironment]
    gates: list[Gate] = Field(default=[])
    """Of every variant, for all that was asked for."""


def compare_results(a: Results, b: Results, fail_on: Sequence[Asked] = ()) -> FolderComparison:
    """Compute what moved from one results folder to another.

    Args:
        a: before.
        b: after.
        fail_on: in what B must not be worse.
    """
    pairs = _matched(a, b)
    known_a, known_b = Evidence.of(a), Evidence.of(b)
    sides = [_Pair(_Side.of(a, known_a, before), _Side.of(b, known_b, after)) for before, after in pairs]
    matched_a, matched_b = ({pair[side].variant_id for pair in pairs} for side in (0, 1))
    return FolderComparison(
        a=_about(a),
        b=_about(b),
        moves=[_move(pair, ALPHA / len(sides)) for pair in sides],
        only_in_a=[one.label for one in a.grid.variants if one.variant_id not in matched_a],
        only_in_b=[one.label for one in b.grid.variants if one.variant_id not in matched_b],
        settings=_settings(pairs),
        environment=_environments(a, b),
        gates=_gates(sides, fail_on),
    )


def _about(results: Results) -> About:
    return About(
        path=str(results.folder),
        name=results.grid.name,
        profile=results.grid.profile,
        seeds=list(results.grid.seeds),
        num_cells=len(results.cells),
        num_trained=int(is_trained(results.cells).sum()),
        left_out=results.left_out,
    )


def _matched(a: Results, b: Results) -> list[tuple[ResolvedVariant, ResolvedVariant]]:
    by_id, taken = a.grid.variants_by_id, set(b.grid.variants_by_id)
    by_label = {one.label: one for one in a.grid.variants if one.variant_id not in taken}
    found = [(by_id.get(one.variant_id) or by_label.get(one.label), one) for one in b.grid.variants]
    return [(before, after) for before, after in found if before is not None]


@dataclass(frozen=True)
class _Side:
    """A variant as one folder has it."""

    label: str
    networks: dict[int, Network]
    """By seed: those that were trained to their end or diverged, and whose accuracy is known."""
    records: dict[str, Record]
    """By cell id, of cells that ran to their end."""
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

    @classmethod
    def of(cls, results: Results, evidence: Evidence, variant: ResolvedVariant) -> "_Side":
        cells = results.cells[results.cells["variant_id"] == variant.variant_id]
        trained = cells[is_trained(cells)]
        ids = set(trained["cell_id"])
        networks = {seed: network for (label, seed), network in evidence.cells.items() if label == variant.label}
        return cls(
            label=variant.label,
            networks={seed: one for seed, one in networks.items() if one.why_missing(_ACCURACY) is None},
            records={record.cell_id: record for record in results.records if record.cell_id in ids},
            counts={name: _first(trained, name) for name in _COUNTS},
            cost=results.cost_entries.get(variant.variant_id),
        )


def _first(cells: pd.DataFrame, name: str) -> int | None:
    known = numbers(cells, name).dropna()
    return int(known.iloc[0]) if len(known) else None


_Test = PairedTest | UnpairedDifference | None


@dataclass(frozen=True)
class _Pair:
    """A variant in A and in B; what is asked of both is computed once."""

    a: _Side
    b: _Side

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
        """Of the difference; None where nothing bounds it."""
        found = None if self.test is None else self.test.interval(level)
        return None if found == (-math.inf, math.inf) else found

    @property
    def estimate(self) -> float | None:
        """Of the difference."""
        return None if self.test is None else self.test.estimate

    @cached_property
    def shared(self) -> list[str]:
        """Ids of the cells that ran to their end in both."""
        return sorted(set(self.a.records) & set(self.b.records))

    @cached_property
    def num_equal(self) -> int:
        """Those of them whose networks are the same, bit for bit."""
        a, b = self.a.records, self.b.records
        return sum(a[cell_id].lasting() == b[cell_id].lasting() for cell_id in self.shared)

    @property
    def is_same(self) -> bool:
        """Whether all networks are in both, bit for bit."""
        return self.num_equal == len(self.a.records) == len(self.b.records) > 0


def _move(pair: _Pair, level: float) -> Move:
    a, b, interval = pair.a, pair.b, pair.interval(level)
    return Move(
        label=b.label,
        label_before=a.label,
        verdict="the same" if pair.is_same else _verdict(interval),
        accuracy=(Spread.of(a.accuracies), Spread.of(b.accuracies)),
        difference=pair.estimate,
        interval=interval,
        level=level,
        n=pair.test.n if isinstance(pair.test, PairedTest) else len(a.networks) + len(b.networks),
        paired=isinstance(pair.test, PairedTest),
        failed=(a.failed, b.failed),
        failed_p=_fisher(a.failed, b.failed),
        num_equal=pair.num_equal,
        num_shared=len(pair.shared),
        counts={name: (a.counts[name], b.counts[name]) for name in _COUNTS},
        costs=_ratios(a.cost, b.cost),
    )


def _gates(pairs: Sequence[_Pair], fail_on: Sequence[Asked]) -> list[Gate]:
    asked = [(one, metric) for one in ASKED if one in fail_on for metric in _GATED[one]]
    num_tests = len(pairs) * sum(not METRICS[metric].deterministic for _, metric in asked)
    level = ALPHA / num_tests if num_tests else ALPHA
    return [_gate(pair, one, metric, level) for pair in pairs for one, metric in asked]


def _gate(pair: _Pair, asked: Asked, metric: str, level: float) -> Gate:
    a, b = pair.a, pair.b
    if metric == _ACCURACY.name and pair.is_same:
        return Gate(b.label, asked, metric, "the same", 0.0, None, None)
    at: float | None = level
    neutral = 1.0
    if METRICS[metric].deterministic:
        counts = [side.cost.samples(metric) if side.cost else None for side in (a, b)]
        change = counts[1][0] / counts[0][0] if all(counts) else None  # type: ignore[index]
        bounds = None if change is None else (change, change)
        shown, at = None, None
    elif metric == _ACCURACY.name:
        change, bounds, neutral = pair.estimate, pair.interval(level), 0.0
        shown = bounds
    else:
        ratio = _ratio(a.cost, b.cost, metric, level)
        change, bounds = (None, None) if ratio is None else (ratio.estimate, ratio.interval)
        shown = bounds
    if bounds is None:
        return Gate(b.label, asked, metric, "not known", change, None, at)
    is_worse = bounds[1] < neutral if METRICS[metric].higher_is_better else bounds[0] > neutral
    return Gate(b.label, asked, metric, "worse" if is_worse else "not worse", change, shown, at)


def _verdict(interval: Interval | None) -> str:
    if interval is None:
        return "not known"
    return "up" if interval[0] > 0 else "down" if interval[1] < 0 else "within noise"


def _fisher(a: Tally, b: Tally) -> float:
    table = np.array([[a.count, a.of - a.count], [b.count, b.of - b.count]])
    return float(stats.fisher_exact(table).pvalue)


def _ratios(a: CostEntry | None, b: CostEntry | None) -> dict[str, CostRatio]:
    found = {metric: _ratio(a, b, metric, ALPHA) for metric in RELATIVE}
    return {metric: ratio for metric, ratio in found.items() if ratio is not None}


def _ratio(a: CostEntry | None, b: CostEntry | None, metric: str, level: float) -> CostRatio | None:
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


def _settings(pairs: Sequence[tuple[ResolvedVariant, ResolvedVariant]]) -> list[ChangedField]:
    """Fields of matched variants that are not what they were, with the variants that they are of."""
    found: dict[str, ChangedField] = {}
    for before, after in pairs:
        sides = [dict(flatten(one.model_dump(include={"model", "data", "recipe"}))) for one in (before, after)]
        for name in dict.fromkeys([*sides[0], *sides[1]]):
            values = [side.get(name) for side in sides]
            if values[0] != values[1]:
                key = json.dumps([name, values])
                found.setdefault(key, ChangedField(name, values[0], values[1], [])).labels.append(after.label)
    return list(found.values())


def _environments(a: Results, b: Results) -> list[ChangedEnvironment]:
    """What differs between the machines and the software of the two."""
    sides = [environments(record.environment for record in one.records) for one in (a, b)]
    return [
        ChangedEnvironment(name, sides[0].get(name, []), sides[1].get(name, []))
        for name in dict.fromkeys([*sides[0], *sides[1]])
        if sides[0].get(name) != sides[1].get(name)
    ]
