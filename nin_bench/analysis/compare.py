"""Two results folders side by side: what moved from A to B, by how much, and whether beyond noise.

A variant is in both where its id is, or else its label: the same network on two machines keeps its id, one whose
function or recipe was changed keeps its name.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nin_bench.analysis.cells import is_healthy, is_trained, numbers
from nin_bench.analysis.costs import RELATIVE
from nin_bench.analysis.names import Names
from nin_bench.analysis.setting import environments, flatten
from nin_bench.analysis.tables import Spread, Tally
from nin_bench.results import Record, Results
from nin_bench.results.cost_entry import Entry, cost_samples
from nin_bench.results.schema import ResolvedVariant
from nin_bench.stats import (
    Interval,
    PairedDifference,
    UnpairedDifference,
    holm_levels,
    paired_difference,
    unpaired_difference,
)

SCHEMA = 1
_VARIES = ("seconds", "_per_second", "memory_bytes", "joules")
"""What no two runs repeat; all else that a record holds of a network does."""
_COUNTS = ("num_params", "num_macs")


@dataclass(frozen=True)
class Move:
    """What became of one variant."""

    label: str
    """In B."""
    label_before: str
    """In A."""
    verdict: str
    """`the same`, bit for bit; `up`, `down`: beyond noise; `within noise`; `cannot be told`."""
    accuracy: tuple[Spread, Spread]
    """Given healthy, in A and B."""
    difference: float | None
    """B less A of test accuracy, over healthy cells."""
    interval: Interval | None
    """At the level that Holm's correction over the variants gives."""
    level: float
    n: int
    """Pairs; cells of both, where none are paired."""
    paired: bool
    """By seed."""
    healthy: tuple[Tally, Tally]
    healthy_p: float
    """Fisher's exact test for equal shares."""
    num_equal: int
    """Cells of one id whose networks are the same in both, bit for bit."""
    num_shared: int
    """Cells of one id that ran to their end in both."""
    counts: dict[str, tuple[int | None, int | None]]
    """Parameters and MACs, in A and B."""
    costs: dict[str, dict[str, Any]]
    """B over A by metric, of what both measured: mean, interval (95 %, Welch's, of logarithms), rounds of each."""


def describe_moves(a: Results, b: Results) -> dict[str, Any]:
    """Everything that a comparison says, by the names of compare.json."""
    pairs = _matched(a, b)
    matched_a, matched_b = ({pair[side].variant_id for pair in pairs} for side in (0, 1))
    names = Names.of(b.grid.variants)
    return {
        "schema": SCHEMA,
        "a": _about(a),
        "b": _about(b),
        "names": names.by_label,
        "moves": [asdict(move) for move in _moves(a, b, pairs)],
        "only_in_a": [one.label for one in a.grid.variants if one.variant_id not in matched_a],
        "only_in_b": [one.label for one in b.grid.variants if one.variant_id not in matched_b],
        "settings": _settings(pairs),
        "environment": _environments(a, b),
        "left_out": {"a": a.left_out, "b": b.left_out},
    }


def _about(results: Results) -> dict[str, Any]:
    return {
        "name": results.grid.name,
        "profile": results.grid.profile,
        "seeds": results.grid.seeds,
        "num_cells": len(results.cells),
        "num_trained": int(is_trained(results.cells).sum()),
    }


def _matched(a: Results, b: Results) -> list[tuple[ResolvedVariant, ResolvedVariant]]:
    by_id, taken = a.grid.variants_by_id, set(b.grid.variants_by_id)
    by_label = {one.label: one for one in a.grid.variants if one.variant_id not in taken}
    found = [(by_id.get(one.variant_id) or by_label.get(one.label), one) for one in b.grid.variants]
    return [(before, after) for before, after in found if before is not None]


def _moves(a: Results, b: Results, pairs: Sequence[tuple[ResolvedVariant, ResolvedVariant]]) -> list[Move]:
    sides = [(_Side.of(a, before), _Side.of(b, after)) for before, after in pairs]
    tests = [_test(before, after) for before, after in sides]
    levels = holm_levels([_p(test) for test in tests])
    return [_move(*side, test, level) for side, test, level in zip(sides, tests, levels, strict=True)]


@dataclass(frozen=True)
class _Side:
    """A variant as one folder has it."""

    label: str
    accuracies: dict[int, float]
    """By seed, of healthy cells."""
    healthy: Tally
    records: dict[str, Record]
    """By cell id, of cells that ran to their end."""
    counts: dict[str, int | None]
    cost: Entry | None

    @classmethod
    def of(cls, results: Results, variant: ResolvedVariant) -> "_Side":
        cells = results.cells[results.cells["variant_id"] == variant.variant_id]
        trained, healthy = cells[is_trained(cells)], cells[is_healthy(cells)]
        accuracy = numbers(healthy, "test_accuracy")
        ids = set(trained["cell_id"])
        return cls(
            label=variant.label,
            accuracies={
                int(seed): value
                for seed, value in zip(healthy["seed"], accuracy.tolist(), strict=True)
                if math.isfinite(value)
            },
            healthy=Tally(len(healthy), int(numbers(trained, "healthy").notna().sum())),
            records={record.cell_id: record for record in results.records if record.cell_id in ids},
            counts={name: _first(trained, name) for name in _COUNTS},
            cost=results.cost_entries.get(variant.variant_id),
        )


def _first(cells: pd.DataFrame, name: str) -> int | None:
    known = numbers(cells, name).dropna()
    return int(known.iloc[0]) if len(known) else None


_Test = PairedDifference | UnpairedDifference | None


def _test(a: _Side, b: _Side) -> _Test:
    """B less A, over shared seeds where there are any."""
    if shared := sorted(set(a.accuracies) & set(b.accuracies)):
        return paired_difference([b.accuracies[seed] for seed in shared], [a.accuracies[seed] for seed in shared])
    if a.accuracies and b.accuracies:
        return unpaired_difference(list(b.accuracies.values()), list(a.accuracies.values()))
    return None


def _p(test: _Test) -> float:
    match test:
        case PairedDifference():
            return min(1.0, 2 * min(test.above(0), test.below(0)))
        case UnpairedDifference():
            return test.p
    return 1.0


def _move(a: _Side, b: _Side, test: _Test, level: float) -> Move:
    shared = sorted(set(a.records) & set(b.records))
    num_equal = sum(_repeats(a.records[cell_id], b.records[cell_id]) for cell_id in shared)
    everything = num_equal == len(a.records) == len(b.records) > 0
    interval = None if test is None else test.interval(level)
    return Move(
        label=b.label,
        label_before=a.label,
        verdict="the same" if everything else _verdict(interval),
        accuracy=(Spread.of(list(a.accuracies.values())), Spread.of(list(b.accuracies.values()))),
        difference=None if test is None else test.mean,
        interval=interval,
        level=level,
        n=test.n if isinstance(test, PairedDifference) else len(a.accuracies) + len(b.accuracies),
        paired=isinstance(test, PairedDifference),
        healthy=(a.healthy, b.healthy),
        healthy_p=_fisher(a.healthy, b.healthy),
        num_equal=num_equal,
        num_shared=len(shared),
        counts={name: (a.counts[name], b.counts[name]) for name in _COUNTS},
        costs=_ratios(a.cost, b.cost),
    )


def _verdict(interval: Interval | None) -> str:
    if interval is None:
        return "cannot be told"
    return "up" if interval[0] > 0 else "down" if interval[1] < 0 else "within noise"


def _fisher(a: Tally, b: Tally) -> float:
    table = np.array([[a.count, a.of - a.count], [b.count, b.of - b.count]])
    return float(stats.fisher_exact(table).pvalue)


def _repeats(a: Record, b: Record) -> bool:
    """Whether two records are of the same network, bit for bit."""
    networks = [[_lasting(dict(values)) for values in (record.metrics, *record.history)] for record in (a, b)]
    return networks[0] == networks[1]


def _lasting(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not any(part in name for part in _VARIES)}


def _ratios(a: Entry | None, b: Entry | None) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for metric in RELATIVE:
        samples = [cost_samples(entry, metric) or [] if entry else [] for entry in (a, b)]
        if not all(samples) or min(map(min, samples)) <= 0:
            continue
        test = unpaired_difference(np.log(samples[1]).tolist(), np.log(samples[0]).tolist())
        interval = test.interval()
        found[metric] = {
            "mean": math.exp(test.mean),
            "interval": interval and (math.exp(interval[0]), math.exp(interval[1])),
            "num_rounds": (len(samples[0]), len(samples[1])),
        }
    return found


def _settings(pairs: Sequence[tuple[ResolvedVariant, ResolvedVariant]]) -> list[dict[str, Any]]:
    """Fields of matched variants that are not what they were, with the variants that they are of."""
    found: dict[str, dict[str, Any]] = {}
    for before, after in pairs:
        sides = [dict(flatten(one.model_dump(include={"model", "data", "recipe"}))) for one in (before, after)]
        for name in dict.fromkeys([*sides[0], *sides[1]]):
            values = [side.get(name) for side in sides]
            if values[0] != values[1]:
                key = json.dumps([name, values])
                found.setdefault(key, {"field": name, "a": values[0], "b": values[1], "labels": []})
                found[key]["labels"].append(after.label)
    return list(found.values())


def _environments(a: Results, b: Results) -> list[dict[str, Any]]:
    """What differs between the machines and the software of the two."""
    sides = [environments(record.environment for record in one.records) for one in (a, b)]
    return [
        {"name": name, "a": sides[0].get(name, []), "b": sides[1].get(name, [])}
        for name in dict.fromkeys([*sides[0], *sides[1]])
        if sides[0].get(name) != sides[1].get(name)
    ]
