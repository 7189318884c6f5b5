"""What variants cost, machine by machine, from the costs files alone. Nothing is rounded here, nothing mixed.

A sample is a round of measuring, and a round a fresh process for each variant. Variants that were measured in the
same session are compared by the ratios within its rounds: a drift of the machine hits all of a round alike.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nin_bench.cost_entry import CostEntry, LoadRound, read_entry
from nin_bench.files import DamagedFileError
from nin_bench.results import Results
from nin_bench.stats import Interval, paired_difference

KINDS = {"convolution": "spatial convolution", "pointwise": "1×1 convolution", "dense": "dense", "other": "other"}
"""Of layers, with the names that people read; `other` has no weights to multiply by."""

DISTURBED = 0.05
"""The share of the processor's time beyond which what others took of a round is worth a sentence."""


def _latency_medians(entry: CostEntry) -> list[float]:
    latency = entry.latency_seconds
    return [float(np.median(of_round)) for of_round in latency.samples] if latency else []


SAMPLES: dict[str, Callable[[CostEntry], Sequence[float]]] = {
    "train_images_per_second": lambda entry: entry.train.images_per_second.samples,
    "predict_images_per_second": lambda entry: entry.predict.images_per_second.samples,
    "latency_p50_seconds": _latency_medians,
    "train_memory_bytes": lambda entry: entry.memory_bytes.train_peak_samples or [],
    "train_joules_per_image": lambda entry: (
        entry.energy_joules_per_image.train.samples
        if entry.energy_joules_per_image and entry.energy_joules_per_image.train
        else []
    ),
}
"""One value per round, of every measured metric that a claim can be about."""

RELATIVE = ("train_images_per_second", "predict_images_per_second", "latency_p50_seconds", "train_memory_bytes")
"""The metrics that the tables also give relative to the baseline."""


@dataclass(frozen=True)
class Ratio:
    """A variant's figure over the baseline's."""

    mean: float
    """The geometric mean of the ratios within rounds."""
    interval: Interval | None
    """Of 95 %, from the paired t-interval of the ratios' logarithms; None where they show no spread."""
    n: int
    """Rounds."""


@dataclass(frozen=True)
class CostRow:
    """What one machine measured of one variant."""

    variant_id: str
    label: str
    baseline: bool
    entry: CostEntry
    seconds: dict[str, float] | None
    """Seconds per image in the layers' forward passes and, where those were timed, backward passes, by kind; None
    where some layer was not timed at all."""
    ratios: dict[str, Ratio]
    """To the baseline, by metric of `RELATIVE`; those that can be given."""

    def as_dict(self) -> dict[str, Any]:
        """As report.json holds it: what the costs file says, without the machine, and what follows from it."""
        return {
            "variant_id": self.variant_id,
            "label": self.label,
            "baseline": self.baseline,
            **self.entry.model_dump(exclude={"machine": True, "latency_seconds": {"samples"}}),
            "seconds_by_kind": self.seconds,
            "seconds_with_backward": _with_backward(self.entry),
            "relative_to_baseline": {name: asdict(ratio) for name, ratio in self.ratios.items()},
        }


@dataclass(frozen=True)
class MachineCosts:
    """What one machine measured of the grid's variants."""

    machine: dict[str, Any]
    rows: list[CostRow]
    """In the grid's order."""
    missing: list[str]
    """Labels of the variants that it has not measured."""
    remarks: list[str]
    """What a reader has to know of the measurements."""

    def as_dict(self) -> dict[str, Any]:
        """As report.json holds it."""
        return {
            "machine": self.machine,
            "rows": [row.as_dict() for row in self.rows],
            "missing": self.missing,
            "remarks": self.remarks,
        }


def read_costs(results: Results) -> tuple[list[MachineCosts], list[str]]:
    """What each machine measured of the grid's variants, and a sentence for each entry that was left out.

    The machine that has measured most variants comes first; of several, the one that measured last.
    """
    by_machine: dict[str, dict[str, CostEntry]] = {}
    left_out = []
    for variant_id, entries in results.costs.items():
        for number, raw in enumerate(entries):
            try:
                entry = read_entry(raw)
            except DamagedFileError as damage:
                left_out.append(f"costs/{variant_id}.json: entry {number + 1} was left out: it {damage}.")
            else:
                by_machine.setdefault(entry.machine.fingerprint, {})[variant_id] = entry
    machines = [_of_machine(entries, results.grid) for _, entries in sorted(by_machine.items())]
    machines.sort(key=lambda costs: max(row.entry.measured_at for row in costs.rows), reverse=True)
    machines.sort(key=lambda costs: len(costs.rows), reverse=True)
    return machines, left_out


def paired_samples(a: CostEntry, b: CostEntry, metric: str) -> list[tuple[float, float]]:
    """What two entries of one machine measured of a metric, round by round.

    None of it is paired where the two were measured in different sessions.
    """
    if a.measured_at != b.measured_at:
        return []
    return list(zip(SAMPLES[metric](a), SAMPLES[metric](b), strict=False))


def _of_machine(entries: Mapping[str, CostEntry], grid: Mapping[str, Any]) -> MachineCosts:
    variants = {variant["variant_id"]: variant["label"] for variant in grid["variants"]}
    measured = {key: entries[key] for key in variants if key in entries}
    baseline = next((key for key in measured if variants[key] == grid.get("baseline")), None)
    rows = [
        CostRow(
            variant_id=key,
            label=variants[key],
            baseline=key == baseline,
            entry=entry,
            seconds=_seconds_by_kind(entry),
            ratios=_ratios(entry, measured[baseline]) if baseline and key != baseline else {},
        )
        for key, entry in measured.items()
    ]
    return MachineCosts(
        machine=next(iter(entries.values())).machine.model_dump(),
        rows=rows,
        missing=[label for key, label in variants.items() if key not in measured],
        remarks=_remarks(rows),
    )


def _ratios(entry: CostEntry, baseline: CostEntry) -> dict[str, Ratio]:
    found = {}
    for metric in RELATIVE:
        pairs = paired_samples(entry, baseline, metric)
        if pairs and min(min(pair) for pair in pairs) > 0:
            difference = paired_difference(*np.log(pairs).T)
            interval = difference.interval()
            found[metric] = Ratio(
                mean=math.exp(difference.mean),
                interval=interval and (math.exp(interval[0]), math.exp(interval[1])),
                n=difference.n,
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


def _remarks(rows: Sequence[CostRow]) -> list[str]:
    found = []
    if disturbance := _disturbance([round_ for row in rows for round_ in row.entry.load]):
        found.append(disturbance)
    if any(row.baseline for row in rows) and len({row.entry.measured_at for row in rows}) > 1:
        found.append(
            "Not all variants were measured in one session: only those that share the baseline's are given relative to it."
        )
    if not any(row.entry.energy_joules_per_image for row in rows):
        found.append("Energy was not measured: this machine has no counter that could be read.")
    if any(row.seconds and not _with_backward(row.entry) for row in rows):
        found.append("Time by kind of layer is of forward passes: backward passes were not timed layer by layer.")
    return found


def _disturbance(rounds: Sequence[LoadRound]) -> str | None:
    """What else went on, in a sentence; None where it hardly matters."""
    steal = [round_.steal_share or 0.0 for round_ in rounds]
    others = [round_.other_cpu_share or 0.0 for round_ in rounds]
    disturbed = [
        max(shares) > DISTURBED or bool(round_.throttled)
        for *shares, round_ in zip(steal, others, rounds, strict=True)
    ]
    if not any(disturbed):
        return None
    throttled = " or it was throttled" if any(round_.throttled for round_ in rounds) else ""
    return (
        f"Something else took part in {sum(disturbed)} of {len(rounds)} measurements: up to {max(steal):.0%} of the "
        f"processor's time went to other guests of its host (steal), up to {max(others):.0%} to other processes"
        f"{throttled}. Medians and ratios within rounds bear some of that, not all."
    )
