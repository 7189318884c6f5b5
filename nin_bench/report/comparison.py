"""The comparison as a page shows it: what each variant learned, how large it is, how fast it is.

Made from what report.json holds. A column for which no variant has a figure is left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from nin_bench.analysis.tables import Spread
from nin_bench.report import text
from nin_bench.report.cost_text import Column, Row, Table, make_table, relative, rounded

SHOWN_HERE = (
    "parameters", "MACs per image", "parameters by kind, %", "MACs by kind, %", "relative to the baseline",
    "p50 relative to the baseline", "MFU, %", "J per image",
)  # fmt: skip
"""The columns of the costs' tables that the comparison has too, for the grid's own machine."""


def comparison_tables(report: Mapping[str, Any]) -> list[Table]:
    """What was learned, sizes, speeds; each in the grid's order."""
    costs: list[dict[str, Any]] = next((machine["rows"] for machine in report["costs"] if machine["of_grid"]), [])
    by_variant = {row["variant_id"]: row for row in costs}
    target = {row["variant_id"]: row for row in (report["target"] or {}).get("variants", [])}
    rows = [
        {**row, "costs": by_variant.get(row["variant_id"]), "target": target.get(row["variant_id"])}
        for row in report["comparison"]
    ]
    return [make_table(columns, rows) for columns in (_learned(report["target"]), _SIZES, _SPEEDS)]


def _tally(name: str) -> Callable[[Row], str]:
    def shown(row: Row) -> str:
        tally = row[name]
        return f"{tally['count']}/{tally['of']}" if tally["of"] else text.NOT_KNOWN

    return shown


def _percent(name: str, sign: str = "") -> Callable[[Row], str]:
    return lambda row: text.percent_spread(Spread(**row[name]), sign)


def _quantity(name: str, divisor: float = 1) -> Callable[[Row], str]:
    return lambda row: text.quantity_spread(Spread(**row[name]), divisor)


def _epochs(row: Row) -> str:
    """The median, its interval, and how many got there."""
    found = row["target"]
    if found is None:
        return text.NOT_KNOWN
    reached = f"{found['num_reached']} of {found['n']}"
    if found["median"] is None:
        return f"more than {found['horizon']:g} ({reached})"
    low, high = ("?" if end is None else f"{end:g}" for end in found["median_interval"])
    interval = "" if (low, high) == ("?", "?") else f", {low} to {high}"
    return f"{found['median']:g}{interval} ({reached})"


def _of_costs(shown: Callable[[Row], str]) -> Callable[[Row], str]:
    return lambda row: shown(row["costs"]) if row["costs"] else text.NOT_KNOWN


def _by_kind(name: str) -> Callable[[Row], str]:
    """Spatial convolution, 1×1 and dense; what is in none of them (normalisation) is the rest of the total."""

    def shown(row: Row) -> str:
        return " / ".join(text.human_count(row[name][kind]) for kind in ("convolution", "pointwise", "dense"))

    return _of_costs(shown)


def _learned(target: Mapping[str, Any] | None) -> list[Column]:
    columns: list[Column] = [
        ("trained", lambda row: f"{row['trained']}/{row['planned']}"),
        ("escaped", _tally("escaped")),
        ("healthy", _tally("healthy")),
        ("test accuracy, %", _percent("test_accuracy")),
        ("given healthy, %", _percent("test_accuracy_given_healthy")),
        ("train − test, points", _percent("generalisation_gap", "+")),
    ]
    return [*columns, (f"epochs to {100 * target['accuracy']:.1f} %", _epochs)] if target else columns


_SIZES: list[Column] = [
    ("parameters", lambda row: text.human_count(row["num_params"])),
    ("of them spatial / 1×1 / dense", _by_kind("num_params")),
    ("MACs per image", lambda row: text.human_count(row["num_macs"])),
    ("MACs spatial / 1×1 / dense", _by_kind("num_macs")),
    ("peak memory in training", _of_costs(lambda row: text.human_bytes(row["memory_bytes"]["train_peak"]))),
]

_SPEEDS: list[Column] = [
    ("training throughput", _of_costs(relative("train_images_per_second"))),
    ("prediction throughput", _of_costs(relative("predict_images_per_second"))),
    ("latency, p50", _of_costs(relative("latency_p50_seconds"))),
    ("MFU, %", _of_costs(rounded("mfu", divisor=0.01))),
    ("J per training image", _of_costs(rounded("energy_joules_per_image", "train"))),
    ("J per predicted image", _of_costs(rounded("energy_joules_per_image", "predict"))),
    ("training images per second, seen", _quantity("train_images_per_second")),
    ("training minutes per cell, seen", _quantity("train_seconds", 60)),
]
