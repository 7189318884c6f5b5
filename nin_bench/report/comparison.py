"""The comparison as a page shows it: what each variant learned, how large it is, how fast it is.

A column for which no variant has a figure is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.costs import CostRow
from nin_bench.analysis.tables import SCORES, VariantRow
from nin_bench.analysis.target import Reached, Target
from nin_bench.metrics import METRICS
from nin_bench.report import text
from nin_bench.report.cost_text import Column, Table, make_table, relative, rounded

SHOWN_HERE = (
    "parameters", "MACs per image", "parameters by kind, %", "MACs by kind, %", "relative to the baseline",
    "p50 relative to the baseline", "MFU, %", "J per image",
)  # fmt: skip
"""The columns of the costs' tables that the comparison has too, for the grid's own machine."""


@dataclass(frozen=True)
class Row:
    """What is known of a variant."""

    variant: VariantRow
    costs: CostRow | None
    """On the grid's own machine."""
    target: Reached | None


def comparison_tables(analysis: Analysis) -> dict[str, Table]:
    """`learned`, `scores`, `sizes`, `speeds`, each in the grid's order; one without any figure is left out."""
    costs = next((machine.rows for machine in analysis.costs if machine.of_grid), [])
    by_variant = {row.variant_id: row for row in costs}
    target = {row.variant_id: row for row in analysis.target.variants} if analysis.target else {}
    rows = [Row(row, by_variant.get(row.variant_id), target.get(row.variant_id)) for row in analysis.comparison]
    names = [(row.name, row.baseline) for row in analysis.comparison]
    columns = {"learned": _learned(analysis.target), "scores": _SCORES, "sizes": _SIZES, "speeds": _SPEEDS}
    tables = {name: make_table(of_table, rows, names) for name, of_table in columns.items()}
    return {name: table for name, table in tables.items() if table.rows and len(table.headings) > 1}


def _tally(name: str) -> Callable[[Row], str]:
    def shown(row: Row) -> str:
        tally = getattr(row.variant, name)
        return f"{tally.count}/{tally.of}" if tally.of else text.NOT_KNOWN

    return shown


def _percent(name: str, sign: str = "") -> Callable[[Row], str]:
    return lambda row: text.percent_spread(getattr(row.variant, name), sign)


def _score(name: str) -> Callable[[Row], str]:
    """Mean, spread and count, to the places that the table of metrics gives it."""

    def shown(row: Row) -> str:
        spread, metric = row.variant.scores[name], METRICS[name]
        if spread.mean is None:
            return text.NOT_KNOWN
        deviation = "" if spread.sd is None else f" ± {metric.shown(spread.sd)}"
        return f"{metric.shown(spread.mean)}{deviation} (n={spread.n})"

    return shown


def _quantity(name: str, divisor: float = 1) -> Callable[[Row], str]:
    return lambda row: text.quantity_spread(getattr(row.variant, name), divisor)


def _epochs(row: Row) -> str:
    """The median, its interval, and how many got there."""
    found = row.target
    if found is None:
        return text.NOT_KNOWN
    reached = f"{found.num_reached} of {found.n}"
    if found.median is None:
        return f"more than {found.horizon:g} ({reached})"
    low, high = ("?" if end is None else f"{end:g}" for end in found.median_interval)
    interval = "" if (low, high) == ("?", "?") else f", {low} to {high}"
    return f"{found.median:g}{interval} ({reached})"


def _of_costs(shown: Callable[[CostRow], str]) -> Callable[[Row], str]:
    return lambda row: shown(row.costs) if row.costs else text.NOT_KNOWN


def _by_kind(name: Literal["num_params", "num_macs"]) -> Callable[[Row], str]:
    """Spatial convolution, 1×1 and dense; what is in none of them (normalisation) is the rest of the total."""

    def shown(row: CostRow) -> str:
        counts = getattr(row.entry, name)
        return " / ".join(map(text.human_count, (counts.convolution, counts.pointwise, counts.dense)))

    return _of_costs(shown)


def _learned(target: Target | None) -> list[Column[Row]]:
    columns: list[Column[Row]] = [
        ("trained", lambda row: f"{row.variant.trained}/{row.variant.planned}"),
        ("escaped", _tally("escaped")),
        ("healthy", _tally("healthy")),
        ("test accuracy, %", _percent("test_accuracy")),
        ("given healthy, %", _percent("test_accuracy_given_healthy")),
        ("train − test, points", _percent("generalisation_gap", "+")),
    ]
    return [*columns, (f"epochs to {100 * target.accuracy:.1f} %", _epochs)] if target else columns


_SCORES: list[Column[Row]] = [(METRICS[name].heading, _score(name)) for name in SCORES]

_SIZES: list[Column[Row]] = [
    ("parameters", lambda row: text.human_count(row.variant.num_params)),
    ("of them spatial / 1×1 / dense", _by_kind("num_params")),
    ("MACs per image", lambda row: text.human_count(row.variant.num_macs)),
    ("MACs spatial / 1×1 / dense", _by_kind("num_macs")),
    ("peak memory in training", _of_costs(lambda row: text.human_bytes(row.entry.memory_bytes.train_peak))),
]

_SPEEDS: list[Column[Row]] = [
    ("training throughput", _of_costs(relative("train_images_per_second"))),
    ("prediction throughput", _of_costs(relative("predict_images_per_second"))),
    ("latency, p50", _of_costs(relative("latency_p50_seconds"))),
    ("MFU, %", _of_costs(rounded("mfu", divisor=0.01))),
    ("J per training image", _of_costs(rounded("energy_joules_per_image", "train"))),
    ("J per predicted image", _of_costs(rounded("energy_joules_per_image", "predict"))),
    ("training images per second, seen", _quantity("observed_images_per_second")),
    ("training minutes per cell, seen", _quantity("train_seconds", 60)),
]
