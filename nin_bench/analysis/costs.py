"""What variants cost, machine by machine, from the costs files alone. Nothing is rounded here, nothing mixed.

A sample is a round of measuring, and a round a fresh process for each variant. Variants that were measured in the
same measuring are compared by the ratios within its rounds: a drift of the machine hits all of a round alike.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nin_bench.analysis.names import Names
from nin_bench.files import DamagedFileError
from nin_bench.results import Results, ResultsFolder
from nin_bench.results.cost_entry import CostEntry
from nin_bench.results.schema import ResolvedGrid
from nin_bench.stats.claims import Interval
from nin_bench.stats.paired_test import paired_test

KINDS = {"convolution": "spatial convolution", "pointwise": "1×1 convolution", "dense": "dense", "other": "other"}
"""Kinds of layers, with the names that people read; `other` has no weights to multiply by."""

RELATIVE = ("train_images_per_second", "predict_images_per_second", "latency_p50_seconds", "train_memory_bytes")
"""The metrics that the tables also give relative to the baseline."""


@dataclass(frozen=True)
class Ratio:
    """A variant's figure over the baseline's."""

    estimate: float
    """The typical ratio within a round: the exact signed-rank test's estimate, of logarithms."""
    interval: Interval | None
    """The interval of 95 % for this ratio alone; None below six rounds, which bound nothing."""
    n: int
    """Rounds."""


@dataclass(frozen=True)
class CostRow:
    """What one machine measured of one variant."""

    variant_id: str
    label: str
    name: str
    """The label without what its model's variants have in common."""
    baseline: bool
    entry: CostEntry
    seconds_by_kind: dict[str, float] | None
    """Seconds per image in the layers' forward passes and, where those were timed, backward passes, by kind; None
    where some layer was not timed at all."""
    seconds_with_backward: bool
    """Whether backward passes were timed layer by layer."""
    relative_to_baseline: dict[str, Ratio]
    """To the baseline, by metric of `RELATIVE`; those that can be given."""


@dataclass(frozen=True)
class MachineCosts:
    """What one machine measured of the grid's variants."""

    of_grid: bool
    """Whether it is the machine on which the grid was last run or measured; the others' are listed apart."""
    machine: dict[str, Any]
    rows: list[CostRow]
    """In the grid's order."""
    missing: list[str]
    """Labels of the variants that it has not measured."""


def compare_costs(results: Results) -> list[MachineCosts]:
    """What each machine measured of the grid's variants, the grid's own machine first, then who measured most."""
    found, names = [], Names.of(results.grid.variants)
    if results.cost_entries:
        found.append(_of_machine(results.cost_entries, results.grid, names, of_grid=True))
    others: dict[str, dict[str, CostEntry]] = {}
    for variant_id in results.grid.variants_by_id:
        for entry in _entries(results, variant_id):
            if entry != results.cost_entries.get(variant_id):
                others.setdefault(entry.machine.fingerprint, {})[variant_id] = entry
    apart = [_of_machine(entries, results.grid, names, of_grid=False) for _, entries in sorted(others.items())]
    return found + sorted(apart, key=lambda costs: len(costs.rows), reverse=True)


def paired_samples(a: CostEntry, b: CostEntry, metric: str) -> list[tuple[float, float]]:
    """What two entries of one machine say of a metric, round by round.

    Nothing is paired of entries that were measured apart, or where one was not measured.
    """
    if a.measured_at != b.measured_at:
        return []
    return list(zip(a.samples(metric) or [], b.samples(metric) or [], strict=False))


def _entries(results: Results, variant_id: str) -> Sequence[CostEntry]:
    try:
        costs = ResultsFolder(results.folder).read_costs(variant_id)
    except DamagedFileError:  # `Results.left_out` says it
        return []
    return costs.entries if costs else []


def _of_machine(
    entries: Mapping[str, CostEntry], grid: ResolvedGrid, names: Names, *, of_grid: bool
) -> MachineCosts:
    variants = {variant.variant_id: variant.label for variant in grid.variants}
    measured = {key: entries[key] for key in variants if key in entries}
    baseline = next((key for key in measured if variants[key] == grid.baseline), None)
    rows = [
        CostRow(
            variant_id=key,
            label=variants[key],
            name=names[variants[key]],
            baseline=key == baseline,
            entry=entry,
            seconds_by_kind=_seconds_by_kind(entry),
            seconds_with_backward=_with_backward(entry),
            relative_to_baseline=_ratios(entry, measured[baseline]) if baseline and key != baseline else {},
        )
        for key, entry in measured.items()
    ]
    return MachineCosts(
        of_grid=of_grid,
        machine=next(iter(measured.values())).machine.model_dump(),
        rows=rows,
        missing=[label for key, label in variants.items() if key not in measured],
    )


def _ratios(entry: CostEntry, baseline: CostEntry) -> dict[str, Ratio]:
    found = {}
    for metric in RELATIVE:
        pairs = paired_samples(entry, baseline, metric)
        if pairs and min(min(pair) for pair in pairs) > 0:
            logarithms = np.log(pairs)
            test = paired_test(logarithms[:, 0] - logarithms[:, 1], heavy_tailed=False)
            interval = test.bounded()
            found[metric] = Ratio(
                estimate=math.exp(test.estimate),
                interval=interval and (math.exp(interval[0]), math.exp(interval[1])),
                n=test.n,
            )
    return found


def _seconds_by_kind(entry: CostEntry) -> dict[str, float] | None:
    layers = entry.layers
    if not layers or any(layer.forward_seconds is None for layer in layers):
        return None
    with_backward = _with_backward(entry)
    seconds = dict.fromkeys(KINDS, 0.0)
    for layer in layers:
        seconds[layer.kind] += layer.forward_seconds or 0.0
        seconds[layer.kind] += (layer.backward_seconds or 0.0) if with_backward else 0.0
    return seconds


def _with_backward(entry: CostEntry) -> bool:
    return any(layer.backward_seconds is not None for layer in entry.layers)
