"""Costs as a page shows them: tables of text.

A column for which no variant has a figure is left out.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from nin_bench.analysis.costs import KINDS, CostRow
from nin_bench.report import text

Row_ = TypeVar("Row_")

Column = tuple[str, Callable[[Row_], str]]
"""A heading, and what it shows of a row."""

Batch = tuple[int, int | None]
"""Its size, and that of its micro-batches; None where it passes whole."""


@dataclass(frozen=True)
class Table:
    """Texts, not yet escaped."""

    headings: list[str]
    rows: list[list[str]]


def cost_tables(rows: Sequence[CostRow], left_out: Collection[str] = ()) -> list[Table]:
    """What the variants are, how they train, how they predict, and the memory they take, by batch where known.

    Args:
        rows: the variants of one machine.
        left_out: headings of columns that stand elsewhere.
    """
    tables = [_SIZES, _training(rows), _prediction(rows), _MEMORY]
    if batches := batches_tried(rows):
        tables.append(_memory_by_batch(batches))
    names = [(row.name, row.baseline) for row in rows]
    return [
        make_table([column for column in columns if column[0] not in left_out], rows, names) for columns in tables
    ]


def batches_tried(rows: Sequence[CostRow]) -> list[Batch]:
    """The batches with which some variant's peak memory was measured, those that pass whole first."""
    found = {
        (batch.batch_size, batch.micro_batch)
        for row in rows
        for batch in row.entry.memory_bytes.batches
        if batch.peak is not None
    }
    return sorted(found, key=lambda batch: (batch[1] or 0, batch[0]))


def describe_machine(machine: Mapping[str, Any]) -> str:
    """A machine in a line: an accelerator first, then the processor, then what it ran."""
    cores, memory = machine.get("num_cores"), machine.get("memory_bytes")
    parts = [
        machine["device"] if machine["device"] != "cpu" else None,
        machine.get("processor"),
        f"{cores} {'core' if cores == 1 else 'cores'}" if cores else None,
        f"{memory / 2**30:.1f} GiB" if memory else None,
        *(f"{name} {version}" for name, version in (machine.get("software") or {}).items()),
    ]
    return ", ".join(str(part) for part in parts if part)


def describe_settings(rows: Sequence[CostRow]) -> list[str]:
    """What was measured, a sentence for each setting, with the variants that it is of where there are several."""
    settings: dict[str, list[str]] = {}
    for row in rows:
        setting = row.entry.setting
        at_once = f", {setting.micro_batch} images at once" if setting.micro_batch else ""
        said = f"Batches of {setting.batch_size}{at_once}, {setting.precision}"
        settings.setdefault(said, []).append(row.label)
    several = len(settings) > 1
    return [f"{said}: {'; '.join(labels)}." if several else f"{said}." for said, labels in settings.items()]


def make_table(columns: Sequence[Column[Row_]], rows: Sequence[Row_], names: Sequence[tuple[str, bool]]) -> Table:
    """A table of variants; a column for which none has a figure is left out.

    Args:
        columns: what it shows.
        rows: one per variant.
        names: of the variants, and whether each is the baseline.
    """
    filled = [(heading, [shown(row) for row in rows]) for heading, shown in columns]
    kept = [(heading, cells) for heading, cells in filled if any(cell != text.NOT_KNOWN for cell in cells)]
    labels = [name + (" (baseline)" if is_baseline else "") for name, is_baseline in names]
    return Table(
        headings=["variant", *(heading for heading, _ in kept)],
        rows=[list(cells) for cells in zip(labels, *(cells for _, cells in kept), strict=True)],
    )


def _at(row: CostRow, *path: str) -> Any:
    found: Any = row.entry
    for name in path:
        if found is None:
            return None
        found = getattr(found, name)
    return found


def rounded(*path: str, divisor: float = 1) -> Callable[[CostRow], str]:
    """A column of medians over rounds, with their quartiles."""

    def shown(row: CostRow) -> str:
        found = _at(row, *path)
        return text.NOT_KNOWN if found is None else text.rounds(found.median, found.quartiles, divisor)

    return shown


def relative(metric: str) -> Callable[[CostRow], str]:
    """A column of ratios to the baseline."""

    def shown(row: CostRow) -> str:
        found = row.relative_to_baseline.get(metric)
        return text.NOT_KNOWN if found is None else text.ratio(found.estimate, found.interval)

    return shown


def _bytes(name: str) -> Callable[[CostRow], str]:
    return lambda row: text.human_bytes(getattr(row.entry.memory_bytes, name))


def _milliseconds(*paths: tuple[str, ...]) -> Callable[[CostRow], str]:
    def shown(row: CostRow) -> str:
        found = [_at(row, *path) for path in paths]
        if None in found:
            return text.NOT_KNOWN
        return " / ".join(text.three_digits(1e3 * seconds) for seconds in found)

    return shown


def _shares(counts: Mapping[str, float] | None) -> str:
    """In percent, in the order of the kinds; what a total has beyond them is the rest."""
    if counts is None:
        return text.NOT_KNOWN
    known = [counts[kind] for kind in KINDS if kind in counts]
    total = counts.get("total", sum(known))
    parts = known if "other" in counts else [*known, total - sum(known)]
    return " / ".join(f"{100 * part / total:.1f}" if part else "0" for part in parts) if total else text.NOT_KNOWN


def _first_dense(row: CostRow) -> str:
    found = row.entry.first_dense_weights
    return "none" if found is None else text.human_count(found)


_SIZES: list[Column[CostRow]] = [
    ("parameters", lambda row: text.human_count(row.entry.num_params.total)),
    ("MACs per image", lambda row: text.human_count(row.entry.num_macs.total)),
    ("weights of the first dense layer", _first_dense),
    ("parameters by kind, %", lambda row: _shares(row.entry.num_params.model_dump())),
    ("MACs by kind, %", lambda row: _shares(row.entry.num_macs.model_dump())),
    ("time by kind, %", lambda row: _shares(row.seconds_by_kind)),
]

_MEMORY: list[Column[CostRow]] = [
    ("weights", _bytes("weights")),
    ("low-precision copies", _bytes("low_precision_copies")),
    ("gradients", _bytes("gradients")),
    ("optimizer", _bytes("optimizer")),
    ("activations per image", _bytes("activations_per_image")),
    ("sum in training", _bytes("train_sum")),
    ("peak by count", _bytes("train_peak_estimate")),
    ("peak measured", _bytes("train_peak")),
    ("relative to the baseline", relative("train_memory_bytes")),
    ("peak measured in prediction", _bytes("predict_peak")),
]


def _training(rows: Sequence[CostRow]) -> list[Column[CostRow]]:
    parts = [("train", f"{name}_seconds", "median") for name in ("data", "forward", "backward", "optimizer")]
    return [
        ("training images per second", rounded("train", "images_per_second")),
        ("relative to the baseline", relative("train_images_per_second")),
        (_busy(rows), rounded("train", "busy_images_per_second")),
        ("data / forward / backward / optimizer, ms per batch", _milliseconds(*parts)),
        ("MFU, %", rounded("mfu", divisor=0.01)),
        ("J per image", rounded("energy_joules_per_image", "train")),
    ]


def _prediction(rows: Sequence[CostRow]) -> list[Column[CostRow]]:
    latencies = [("latency_seconds", name) for name in ("p50", "p95", "p99")]
    return [
        ("predicted images per second", rounded("predict", "images_per_second")),
        ("relative to the baseline", relative("predict_images_per_second")),
        (_busy(rows), rounded("predict", "busy_images_per_second")),
        ("latency of one image, p50 / p95 / p99, ms", _milliseconds(*latencies)),
        ("p50 relative to the baseline", relative("latency_p50_seconds")),
        ("J per image", rounded("energy_joules_per_image", "predict")),
    ]


def _memory_by_batch(batches: Sequence[Batch]) -> list[Column[CostRow]]:
    """Each batch's peak, and what an image more takes from one whole batch to the next."""

    def peak(row: CostRow, batch: Batch) -> int | None:
        known = {(one.batch_size, one.micro_batch): one.peak for one in row.entry.memory_bytes.batches}
        return known.get(batch)

    def shown(batch: Batch) -> Callable[[CostRow], str]:
        return lambda row: text.human_bytes(peak(row, batch))

    def per_image(small: Batch, large: Batch) -> Callable[[CostRow], str]:
        def shown(row: CostRow) -> str:
            low, high = peak(row, small), peak(row, large)
            return text.human_bytes(None if low is None or high is None else (high - low) / (large[0] - small[0]))

        return shown

    whole = [batch for batch in batches if batch[1] is None]
    return [
        *((f"peak, batch of {batch[0]}", shown(batch)) for batch in whole),
        *((f"an image more, {a[0]} to {b[0]}", per_image(a, b)) for a, b in pairwise(whole)),
        *((f"peak, {size} in micro-batches of {part}", shown((size, part))) for size, part in batches if part),
    ]


def _busy(rows: Sequence[CostRow]) -> str:
    workers = sorted({row.entry.setting.num_workers for row in rows})
    return f"each of {' or '.join(map(str, workers))} busy workers"
