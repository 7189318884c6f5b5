"""Two results folders side by side: what moved from A to B, by how much, and whether beyond noise.

A variant is in both where its id is, or else its label: the same network on two machines keeps its id, one whose
function or recipe was changed keeps its name.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from pydantic import Field

from nin_bench.analysis.artefact import AnalysisArtefact
from nin_bench.analysis.cells import is_trained
from nin_bench.analysis.costs import RELATIVE
from nin_bench.analysis.gates import Asked, Gate, find_gates
from nin_bench.analysis.matched import COUNTS, CostRatio, Pair, cost_ratio, sides_of
from nin_bench.analysis.setting import environments, flatten
from nin_bench.analysis.tables import Spread, Tally
from nin_bench.results import Results
from nin_bench.results.cost_entry import CostEntry
from nin_bench.results.schema import ResolvedVariant
from nin_bench.stats.claims import ALPHA, Interval
from nin_bench.stats.paired_test import PairedTest


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
class About:
    """What a folder holds."""

    path: str
    """The path of the folder, as it was given."""
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
    """Labels of the variants, in B."""


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
    """A gate of every variant, for all that was asked for."""


def compare_results(a: Results, b: Results, fail_on: Sequence[Asked] = ()) -> FolderComparison:
    """Compute what moved from results folder A to B, and whether B is worse in what `fail_on` names."""
    pairs = _matched(a, b)
    of_a, of_b = sides_of(a), sides_of(b)
    sides = [Pair(of_a[before.variant_id], of_b[after.variant_id]) for before, after in pairs]
    matched_a, matched_b = ({pair[side].variant_id for pair in pairs} for side in (0, 1))
    return FolderComparison(
        a=_about(a),
        b=_about(b),
        moves=[_move(pair, ALPHA / len(sides)) for pair in sides],
        only_in_a=[one.label for one in a.grid.variants if one.variant_id not in matched_a],
        only_in_b=[one.label for one in b.grid.variants if one.variant_id not in matched_b],
        settings=_settings(pairs),
        environment=_environments(a, b),
        gates=find_gates(sides, fail_on),
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


def _move(pair: Pair, level: float) -> Move:
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
        counts={name: (a.counts[name], b.counts[name]) for name in COUNTS},
        costs=_ratios(a.cost, b.cost),
    )


def _verdict(interval: Interval | None) -> str:
    if interval is None:
        return "not known"
    return "up" if interval[0] > 0 else "down" if interval[1] < 0 else "within noise"


def _fisher(a: Tally, b: Tally) -> float:
    table = np.array([[a.count, a.of - a.count], [b.count, b.of - b.count]])
    return float(scipy.stats.fisher_exact(table).pvalue)


def _ratios(a: CostEntry | None, b: CostEntry | None) -> dict[str, CostRatio]:
    found = {metric: cost_ratio(a, b, metric, ALPHA) for metric in RELATIVE}
    return {metric: ratio for metric, ratio in found.items() if ratio is not None}


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
