"""What the variants cost: sizes, speeds, memory, machine by machine. A column without any value is left out."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.costs import KINDS, CostRow, MachineCosts
from nin_bench.errors import counted
from nin_bench.reporting import blocks as page
from nin_bench.reporting import text
from nin_bench.results.cost_entry import CostEntry, Load

DISTURBED = 0.05
"""The share of the processor's time from which on what others took of a round is worth a sentence."""
UNSTEADY = 0.1
"""How much higher than the lowest the highest sample of a ceiling may be before that is worth a sentence."""

Batch = tuple[int, int | None]
"""A batch: its size, and that of its micro-batches; None if it passes whole."""
_Columns = list[page.Column[CostRow]]
_HOW_MEASURED = (
    "Medians (quartiles) over rounds; a round visits every variant in turn, each in a fresh process. Ratios "
    "are to the baseline within a round, with 95 % intervals of the exact signed-rank test of logarithms. "
    "Kinds of layers: spatial convolutions / 1×1 convolutions / dense / other. MFU: the share of the fastest "
    "measured matrix product that training reaches. By count: the tensors alive at once; measured: beyond what "
    "an idle worker holds."
)


def costs(analysis: Analysis) -> list[page.Block]:
    """Sizes, speeds and memory; accuracy against them."""
    figures = (page.Figure("accuracy_against_costs"), page.Figure("cost_shares"), page.Figure("roofline"))
    found: list[page.Block] = [*figures]
    for machine in analysis.costs:
        blocks = _machine(machine, analysis)
        found += blocks if machine.of_grid else [page.Section("On another machine", tuple(blocks))]
    if analysis.costs:
        found.append(page.Paragraph(_HOW_MEASURED))
    return [page.Section("Costs", (*found, *_estimates(analysis)))]


def _machine(machine: MachineCosts, analysis: Analysis) -> list[page.Block]:
    where = f"Measured apart from training, one process at a time, on {describe_machine(machine.machine)}."
    found: list[page.Block] = [page.Paragraph(" ".join([where, *describe_settings(machine.rows)]))]
    tables = cost_tables(machine.rows)
    found += [table for name, table in tables.items() if name != "batches"]
    remarks = describe_measuring(machine)
    if machine.missing:
        remarks.append(f"Not measured here: {'; '.join(analysis.names[label] for label in machine.missing)}.")
    if remarks:
        found.append(page.Bullets(tuple(remarks)))
    if "batches" in tables:
        said = "The peak of one step in a process of its own, in MB."
        found.append(page.Details("Memory by batch", (tables["batches"], page.Paragraph(said))))
    return found


def _estimates(analysis: Analysis) -> list[page.Block]:
    ratios = [f"×{text.three_digits(row.ratio)}" for row in sorted(analysis.estimates, key=lambda row: row.ratio)]
    if not ratios:
        return []
    ends = " to ".join(dict.fromkeys((ratios[0], ratios[-1])))
    return [page.Paragraph(f"Training a network took {ends} the time that was estimated before the run.")]


def cost_tables(rows: Sequence[CostRow]) -> dict[str, page.Table]:
    """What the variants are, how fast they are, the memory that they take; by batch if that is known."""
    columns = {
        "sizes": _SIZES,
        "speeds": _SPEEDS,
        "memory": _MEMORY,
        "batches": _memory_by_batch(batches_tried(rows)),
    }
    names = [row.name + (" (baseline)" if row.baseline else "") for row in rows]
    return {name: table for name, shown in columns.items() for table in page.table_of(shown, rows, names)}


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
        counted(cores, "core") if cores else None,
        f"{memory / 2**30:.1f} GiB" if memory else None,
        *(f"{name} {version}" for name, version in (machine.get("software") or {}).items()),
    ]
    return ", ".join(str(part) for part in parts if part)


def describe_settings(rows: Sequence[CostRow]) -> list[str]:
    """What was measured, a sentence for each setting, with its variants if there are several."""
    settings: dict[str, list[str]] = {}
    for row in rows:
        setting = row.entry.setting
        at_once = f", {setting.micro_batch} images at once" if setting.micro_batch else ""
        predicted = f"predicted {setting.evaluation_batch} at a time"
        said = f"Batches of {setting.batch_size}{at_once}, {setting.precision}; {predicted}"
        settings.setdefault(said, []).append(row.name)
    several = len(settings) > 1
    return [f"{said}: {'; '.join(names)}." if several else f"{said}." for said, names in settings.items()]


def describe_measuring(costs: MachineCosts) -> list[str]:
    """What a reader has to know of a machine's measurements."""
    rows = costs.rows
    found = []
    if disturbance := describe_disturbance([round_ for row in rows for round_ in row.entry.load]):
        found.append(disturbance)
    if unsteady := _unsteady_ceilings([row.entry for row in rows]):
        found.append(unsteady)
    if any(row.baseline for row in rows) and len({row.entry.measured_at for row in rows}) > 1:
        found.append(
            "Not all variants were measured in the same rounds as the baseline: the others have no ratios."
        )
    found += [
        f"{row.name} could not be measured: {(row.entry.error or 'no reason was kept').splitlines()[0]}."
        for row in rows
        if row.entry.train is None
    ]
    if not any(row.entry.energy_joules_per_image for row in rows):
        found.append("Energy was not measured: this machine has no counter that could be read.")
    if any(row.seconds_by_kind and not row.seconds_with_backward for row in rows):
        found.append("Time by kind of layer is of forward passes: backward passes were not timed layer by layer.")
    return found


def _unsteady_ceilings(entries: Sequence[CostEntry]) -> str | None:
    """That the machine was not equally fast in all rounds; None if it about was."""
    ceilings = [rounds.samples for entry in entries for rounds in (entry.ceilings or {}).values()]
    spread = max((max(samples) / min(samples) - 1 for samples in ceilings if min(samples) > 0), default=0.0)
    if spread <= UNSTEADY:
        return None
    return (
        f"The machine's highest speeds differed by up to {100 * spread:.0f} % between rounds: MFU and the "
        "roofline, which use the highest, can be too low."
    )


def describe_disturbance(rounds: Sequence[Load]) -> str | None:
    """What else went on, in a sentence; None if it hardly matters."""
    steal = [round_.steal_share or 0.0 for round_ in rounds]
    others = [round_.other_cpu_share or 0.0 for round_ in rounds]
    throttled = [bool(round_.throttled) for round_ in rounds]
    disturbed = [
        max(shares) > DISTURBED or slowed for *shares, slowed in zip(steal, others, throttled, strict=True)
    ]
    if not any(disturbed):
        return None
    causes = [
        *([f"other guests of its host took up to {100 * max(steal):.0f} % of the processor's time (steal)"]
          if max(steal) > DISTURBED else []),
        *([f"other processes took up to {100 * max(others):.0f} %"] if max(others) > DISTURBED else []),
        *([f"the processor was throttled in {sum(throttled)}"] if any(throttled) else []),
    ]  # fmt: skip
    return f"{sum(disturbed)} of {len(rounds)} measurements were disturbed: {', '.join(causes)}."


def _at(row: CostRow, *path: str) -> Any:
    found: Any = row.entry
    for name in path:
        found = None if found is None else getattr(found, name)
    return found


def _rounded(*path: str, divisor: float = 1) -> Callable[[CostRow], str]:
    """A column of medians over rounds, with their quartiles."""

    def shown(row: CostRow) -> str:
        found = _at(row, *path)
        return page.NOT_KNOWN if found is None else text.rounds(found.median, found.quartiles, divisor)

    return shown


def _relative(metric: str) -> page.Column[CostRow]:
    """A column of ratios to the baseline."""

    def shown(row: CostRow) -> str:
        found = row.relative_to_baseline.get(metric)
        return page.NOT_KNOWN if found is None else text.ratio(found.estimate, found.interval)

    return "ratio to the baseline", shown


def _megabytes(name: str) -> Callable[[CostRow], str]:
    return lambda row: text.megabytes(getattr(row.entry.memory_bytes, name))


def _milliseconds(*paths: tuple[str, ...]) -> Callable[[CostRow], str]:
    def shown(row: CostRow) -> str:
        found = [_at(row, *path) for path in paths]
        return (
            page.NOT_KNOWN if None in found else " / ".join(text.three_digits(1e3 * seconds) for seconds in found)
        )

    return shown


def _shares(counts: Mapping[str, float] | None) -> str:
    """In percent, in the order of the kinds; what a total has beyond them is the rest."""
    if counts is None:
        return page.NOT_KNOWN
    known = [counts[kind] for kind in KINDS if kind in counts]
    total = counts.get("total", sum(known))
    parts = known if "other" in counts else [*known, total - sum(known)]
    return " / ".join(f"{100 * part / total:.1f}" if part else "0" for part in parts) if total else page.NOT_KNOWN


def _first_dense(row: CostRow) -> str:
    found = row.entry.first_dense_weights
    return "none" if found is None else text.human_count(found)


_SIZES: _Columns = [
    ("MACs per image", lambda row: text.human_count(row.entry.num_macs.total)),
    ("weights of the first dense layer", _first_dense),
    ("parameters by kind, %", lambda row: _shares(row.entry.num_params.model_dump())),
    ("MACs by kind, %", lambda row: _shares(row.entry.num_macs.model_dump())),
    ("time by kind, %", lambda row: _shares(row.seconds_by_kind)),
]

_SPEEDS: _Columns = [
    ("training images per second", _rounded("train", "images_per_second")),
    _relative("train_images_per_second"),
    (
        "data / forward / backward / optimizer, ms per batch",
        _milliseconds(
            *[("train", f"{part}_seconds", "median") for part in ("data", "forward", "backward", "optimizer")]
        ),
    ),
    ("MFU, %", _rounded("mfu", divisor=0.01)),
    ("J per image", _rounded("energy_joules_per_image", "train")),
    ("predicted images per second", _rounded("predict", "images_per_second")),
    _relative("predict_images_per_second"),
    (
        "latency of one image, p50 / p95 / p99, ms",
        _milliseconds(*[("latency_seconds", name) for name in ("p50", "p95", "p99")]),
    ),
    _relative("latency_p50_seconds"),
    ("J per predicted image", _rounded("energy_joules_per_image", "predict")),
]

_MEMORY: _Columns = [
    ("weights, MB", _megabytes("weights")),
    ("activations per image, MB", _megabytes("activations_per_image")),
    ("peak in training by count, MB", _megabytes("train_peak_estimate")),
    ("measured, MB", _megabytes("train_peak")),
    _relative("train_memory_bytes"),
    ("peak in prediction, MB", _megabytes("predict_peak")),
]


def _memory_by_batch(batches: Sequence[Batch]) -> _Columns:
    """Each batch's peak, and what an image more takes from one whole batch to the next."""

    def peak(row: CostRow, batch: Batch) -> int | None:
        known = {(one.batch_size, one.micro_batch): one.peak for one in row.entry.memory_bytes.batches}
        return known.get(batch)

    def shown(batch: Batch) -> Callable[[CostRow], str]:
        return lambda row: text.megabytes(peak(row, batch))

    def per_image(small: Batch, large: Batch) -> Callable[[CostRow], str]:
        def shown(row: CostRow) -> str:
            low, high = peak(row, small), peak(row, large)
            return text.megabytes(None if low is None or high is None else (high - low) / (large[0] - small[0]))

        return shown

    whole = [batch for batch in batches if batch[1] is None]
    return [
        *((f"batch of {batch[0]}", shown(batch)) for batch in whole),
        *((f"an image more, {a[0]} to {b[0]}", per_image(a, b)) for a, b in pairwise(whole)),
        *((f"{size} in micro-batches of {part}", shown((size, part))) for size, part in batches if part),
    ]
