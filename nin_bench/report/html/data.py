"""What the page's script draws and lists, as plain data to the digits that a screen can show."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.colors import to_hex

from nin_bench.errors import printable
from nin_bench.metrics import METRICS
from nin_bench.report.cost_plots import by_kind, copy_bandwidth, kind_styles, layer_points, roofs_of
from nin_bench.report.costs import KINDS, CostRow, MachineCosts
from nin_bench.report.look import styles
from nin_bench.report.plots import MAX_DRAWN

MAX_CELLS = 2_000
"""Cells that a page lists."""

MAX_CURVE_VALUES = 100_000
"""Values of single cells' curves that a page holds; they take some 800 kB."""

_SYMBOLS = {
    "o": "circle", "s": "square", "D": "diamond", "^": "triangle-up", "P": "cross", ">": "triangle-right",
    "X": "x", "<": "triangle-left",
}  # fmt: skip
"""Plotly's names of our markers."""

Table = dict[str, list[Any]]
"""Columns of equal length."""


def page_data(
    report: Mapping[str, Any], epochs: Mapping[str, pd.DataFrame], costs: Sequence[MachineCosts]
) -> dict[str, Any]:
    """What is embedded in the page.

    Args:
        report: the content of report.json.
        epochs: `known_epochs` by history column: what single cells recorded.
        costs: `compare_costs`.
    """
    rows = report["comparison"][:MAX_DRAWN]
    looks = styles([row["variant_id"] for row in rows])
    cells, fronts = report["cells"][:MAX_CELLS], report["pareto_front"]
    own_costs = [row for machine in costs if machine.of_grid for row in machine.rows[:MAX_DRAWN]]
    found: dict[str, Any] = _embedded({
        "variants": [
            {
                "id": row["variant_id"],
                "label": row["label"],
                "color": to_hex(looks[row["variant_id"]].color),
                "symbol": _SYMBOLS[looks[row["variant_id"]].marker],
                "costs": {cost: _single(row[cost]) for cost in fronts},
                "accuracy": row["test_accuracy_given_healthy"],
            }
            for row in rows
        ],
        "chance": report["chance"],
        "costs": [
            {
                "name": cost,
                "title": METRICS[cost].title,
                "front": [
                    (_single(row[cost]), row["test_accuracy_given_healthy"]["mean"])
                    for label in front
                    for row in report["comparison"]
                    if row["label"] == label
                ],
            }
            for cost, front in fronts.items()
        ],
        "curves": {name: _by_variant(points, looks) for name, points in report["learning_curves"].items()},
        "escape": _by_variant(report["escape_curves"], looks),
        "claims": [_claim(verdict) for verdict in report["hypotheses"]],
        "cells": _cells(cells),
        "causes": {trouble["cell_id"]: trouble["cause"] for trouble in report["troubles"]},
        "cell_curves": _cell_curves([cell["cell_id"] for cell in cells], epochs),
        "kinds": [
            {"name": kind, "title": title, "color": to_hex(look.color), "symbol": _SYMBOLS[look.marker]}
            for (kind, title), look in zip(KINDS.items(), kind_styles().values(), strict=True)
        ],
        "shares": [_shares(row) for row in own_costs],
        "rooflines": [_roofline(row) for row in own_costs if layer_points(row.entry) and roofs_of(row.entry)],
    })  # fmt: skip
    return found


def _embedded(value: Any) -> Any:
    """Six digits of a number, and text on one line with direction marks written out."""
    if isinstance(value, dict):
        return {printable(key): _embedded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_embedded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return printable(value) if isinstance(value, str) else value


def _by_variant(points: Sequence[Mapping[str, Any]], drawn: Mapping[str, Any]) -> dict[str, Table]:
    """Rows of report.json as columns for each variant that is drawn."""
    tables: dict[str, Table] = {}
    for point in points:
        if point["variant_id"] in drawn:
            table = tables.setdefault(point["variant_id"], {})
            for name, value in point.items():
                if name not in {"variant_id", "label"}:
                    table.setdefault(name, []).append(value)
    return tables


def _claim(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the plot of effects; where networks failed, of the healthy pairs, whose effect decides nothing."""
    effect, interval = verdict["effect"], verdict["interval"]
    decides = effect is not None
    if not decides and (healthy := verdict["details"].get("given_healthy")):
        effect, interval = healthy["effect"], healthy["interval"]
    return {
        **{
            name: verdict[name] for name in ("id", "says", "verdict", "expect", "margin", "factor", "n", "compare")
        },
        "metric": METRICS[verdict["metric"]].title,
        "unit": "factor" if verdict["factor"] is not None else METRICS[verdict["metric"]].unit,
        "effect": effect,
        "interval": interval,
        "decides": decides,
    }


def _cells(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Columns, so that no name is repeated for each cell."""
    names = dict.fromkeys(name for cell in cells for name in cell["metrics"])
    return {
        **{key: [cell[key] for cell in cells] for key in ("cell_id", "variant_id", "label", "seed", "outcome")},
        "metrics": {name: [_scalar(cell["metrics"].get(name)) for cell in cells] for name in names},
    }


def _single(cost: Any) -> Any:
    """A count, or the mean of what cells measured."""
    return cost["mean"] if isinstance(cost, dict) else cost


def _scalar(value: Any) -> Any:
    """A metric, unless it is no single value."""
    return value if isinstance(value, str | bool | int | float) else None


def _cell_curves(cell_ids: Sequence[str], epochs: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Table]]:
    """Epochs and values by cell and history column, of the first cells, as many as `MAX_CURVE_VALUES` allows."""
    recorded = {
        name: dict(list(known[known["cell_id"].isin(cell_ids)].groupby("cell_id")[["epoch", "value"]]))
        for name, known in epochs.items()
    }
    curves: dict[str, dict[str, Table]] = {}
    num_values = 0
    for cell_id in cell_ids:
        mine = {name: tables[cell_id] for name, tables in recorded.items() if cell_id in tables}
        num_values += sum(len(table) for table in mine.values())
        if num_values > MAX_CURVE_VALUES:
            break
        if mine:
            curves[cell_id] = {
                name: {"epoch": table["epoch"].tolist(), "value": table["value"].tolist()}
                for name, table in mine.items()
            }
    return curves


def _shares(row: CostRow) -> dict[str, Any]:
    """Parameters, MACs and seconds by kind of layer."""
    return {
        "label": row.label,
        "num_params": by_kind(row.entry.num_params),
        "num_macs": by_kind(row.entry.num_macs),
        "seconds": row.seconds,
    }


def _roofline(row: CostRow) -> dict[str, Any]:
    """A variant's layers and the roofs above them."""
    total = math.fsum(layer.forward_seconds or 0.0 for layer in row.entry.layers)
    return {
        "label": row.label,
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "flops_per_byte": flops_per_byte,
                "flops_per_second": flops_per_second,
                "share": (layer.forward_seconds or 0.0) / total,
            }
            for flops_per_byte, flops_per_second, layer in layer_points(row.entry)
        ],
        "bytes_per_second": copy_bandwidth(row.entry),
        "roofs": roofs_of(row.entry),
        "precision": row.entry.setting.precision,
    }
