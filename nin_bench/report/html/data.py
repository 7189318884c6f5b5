"""What the page's script draws and lists, as plain data to the digits that a screen can show."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.colors import to_hex

from nin_bench.analysis.analysis import Analysis, Cell
from nin_bench.analysis.costs import KINDS, CostRow
from nin_bench.analysis.curves import CurvePoint
from nin_bench.analysis.names import Names
from nin_bench.analysis.tables import cost_of
from nin_bench.analysis.target import Reached
from nin_bench.errors import printable
from nin_bench.metrics import METRICS, Metric
from nin_bench.report.cost_plots import by_kind, copy_bandwidth, kind_styles, layer_points, roofs_of
from nin_bench.report.effects import Row, effect_rows
from nin_bench.report.grid_plots import interaction_panels, notable
from nin_bench.report.look import Style, styles
from nin_bench.report.plots import MAX_DRAWN, histories
from nin_bench.report.remarks import describe_trouble
from nin_bench.report.spans import accuracy_span, ends_of_bars, epochs_shown
from nin_bench.stats import Interval

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


def page_data(analysis: Analysis) -> dict[str, Any]:
    """What is embedded in the page."""
    rows = analysis.comparison[:MAX_DRAWN]
    looks = styles([row.variant_id for row in rows])
    cells, fronts, names = analysis.cells[:MAX_CELLS], analysis.pareto_front, analysis.names
    by_label = {row.label: row for row in analysis.comparison}
    recorded = {name: histories(analysis, name) for name in analysis.learning_curves}
    own_costs = [row for machine in analysis.costs if machine.of_grid for row in machine.rows[:MAX_DRAWN]]
    found: dict[str, Any] = _embedded({
        "variants": [
            {
                "id": row.variant_id,
                "name": row.name,
                **_look(looks[row.variant_id]),
                "costs": {cost: cost_of(row, cost) for cost in fronts},
                "accuracy": asdict(row.test_accuracy_given_healthy),
            }
            for row in rows
        ],
        "chance": asdict(analysis.chance),
        "accuracy_span": _accuracy_span(analysis),
        "curve_spans": {"validation_accuracy": _curve_span(analysis, recorded["validation_accuracy"], looks)},
        "costs": [
            {
                "name": cost,
                "title": _titled(METRICS[cost]),
                "front": [
                    (cost_of(by_label[label], cost), by_label[label].test_accuracy_given_healthy.mean)
                    for label in front
                ],
            }
            for cost, front in fronts.items()
        ],
        "curves": {name: _by_variant(points, looks) for name, points in analysis.learning_curves.items()},
        "reached": {
            "escape": _reached(analysis.escapes, looks),
            "epochs_to_target": _reached(analysis.target.variants if analysis.target else [], looks),
        },
        "effects": [_effect(row, names) for row in effect_rows(analysis.hypotheses)],
        "cells": _cells(cells, names),
        "causes": {trouble.cell_id: describe_trouble(trouble) for trouble in analysis.troubles},
        "cell_curves": _cell_curves([cell.cell_id for cell in cells], recorded),
        "kinds": [
            {"name": kind, "title": title, **_look(look)}
            for (kind, title), look in zip(KINDS.items(), kind_styles().values(), strict=True)
        ],
        "interactions": [
            {
                **{name: getattr(panel, name) for name in ("title", "axis", "levels")},
                "lines": [
                    {
                        **{name: getattr(line, name) for name in ("name", "means", "half_intervals", "counts")},
                        **_look(line.style),
                    }
                    for line in panel.lines
                ],
            }
            for panel in interaction_panels(analysis.interactions)
        ],
        "confusions": [
            {"name": names[one.label], "n": one.num_cells, "classes": one.classes, "matrix": one.matrix}
            for one in notable(analysis.confusions, analysis.comparison)
            if one.matrix is not None
        ],
        "shares": [_shares(row) for row in own_costs],
        "rooflines": [_roofline(row) for row in own_costs if layer_points(row.entry) and roofs_of(row.entry)],
    })  # fmt: skip
    return found


def _look(style: Style) -> dict[str, str]:
    """As plotly names it."""
    return {"color": to_hex(style.color), "symbol": _SYMBOLS[style.marker]}


def _accuracy_span(analysis: Analysis) -> Interval | None:
    """As in the figure of accuracies against costs."""
    trained = [cell for cell in analysis.cells if cell.outcome == "trained"]
    known = [cell for cell in trained if cell.metrics.get("test_accuracy") is not None]
    drawn = [cell for cell in known if cell.healthy] or known
    spreads = (row.test_accuracy_given_healthy for row in analysis.comparison)
    return accuracy_span([cell.metrics["test_accuracy"] for cell in drawn], ends_of_bars(spreads))


def _curve_span(analysis: Analysis, known: pd.DataFrame, drawn: Mapping[str, Any]) -> Interval | None:
    """As in the figure of validation accuracy by epoch."""
    points = analysis.learning_curves["validation_accuracy"]
    last_means = {point.variant_id: point.mean for point in points if point.variant_id in drawn}
    return accuracy_span(known.loc[known["variant_id"].isin(list(drawn)), "value"].tolist(), last_means.values())


def _embedded(value: Any) -> Any:
    """Six digits of a number, and text on one line with direction marks written out."""
    if isinstance(value, dict):
        return {printable(key): _embedded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_embedded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return printable(value) if isinstance(value, str) else value


def _by_variant(points: Sequence[CurvePoint], drawn: Mapping[str, Any]) -> dict[str, Table]:
    """Points as columns for each variant that is drawn."""
    tables: dict[str, Table] = {}
    for point in points:
        if point.variant_id in drawn:
            table = tables.setdefault(point.variant_id, {})
            for name in ("epoch", "mean", "low", "high", "n"):
                table.setdefault(name, []).append(getattr(point, name))
    return tables


def _effect(row: Row, names: Names) -> dict[str, Any]:
    """A claim's line in the plot of effects."""
    verdict = row.verdict
    return {
        **{name: getattr(row, name) for name in ("panel", "value", "holds", "decides")},
        "interval": row.interval if row.interval and all(map(math.isfinite, row.interval)) else None,
        **{name: getattr(verdict, name) for name in ("id", "says", "verdict", "n")},
        "contrast": names.contrast(*verdict.compare),
        "compare": [names[label] for label in verdict.compare],
        "is_factor": verdict.factor is not None,
    }


def _reached(found: Sequence[Reached], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """The share of each variant's cells that got there, step by step."""
    rows = [row for row in found if row.variant_id in drawn]
    horizon = max([1.0, *(row.horizon for row in rows)])
    by_variant = {
        row.variant_id: {
            **{name: [getattr(step, name) for step in row.steps] for name in ("time", "share", "interval")},
            "n": row.n,
            "num_reached": row.num_reached,
        }
        for row in rows
    }
    until = epochs_shown((row.steps[-1].time for row in rows), horizon)
    return {"variants": by_variant, "until": until, "horizon": horizon}


def _cells(cells: Sequence[Cell], names: Names) -> dict[str, Any]:
    """Columns, so that nothing is named anew for each cell."""
    metrics = dict.fromkeys(name for cell in cells for name in cell.metrics)
    return {
        **{key: [getattr(cell, key) for cell in cells] for key in ("cell_id", "variant_id", "seed", "outcome")},
        "variant": [names[cell.label] for cell in cells],
        "metrics": {name: [_scalar(cell.metrics.get(name)) for cell in cells] for name in metrics},
    }


def _titled(metric: Metric) -> str:
    """As an axis is named."""
    return metric.title + ("" if metric.unit == "count" else f" ({metric.unit})")


def _scalar(value: Any) -> Any:
    """A metric, unless it is no single value."""
    return value if isinstance(value, str | bool | int | float) else None


def _cell_curves(cell_ids: Sequence[str], epochs: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Table]]:
    """Epochs and values by cell and history column, of the first cells, as many as `MAX_CURVE_VALUES` allows."""
    recorded = {name: _by_cell(known) for name, known in epochs.items()}
    curves: dict[str, dict[str, Table]] = {}
    num_values = 0
    for cell_id in cell_ids:
        mine = {name: tables[cell_id] for name, tables in recorded.items() if cell_id in tables}
        num_values += sum(len(table["epoch"]) for table in mine.values())
        if num_values > MAX_CURVE_VALUES:
            break
        if mine:
            curves[cell_id] = mine
    return curves


def _by_cell(known: pd.DataFrame) -> dict[str, Table]:
    """Epochs and values of each cell, whose rows stand together."""
    if known.empty:
        return {}
    cell_ids, epochs, values = (known[name].tolist() for name in ("cell_id", "epoch", "value"))
    starts = [0, *(place for place in range(1, len(cell_ids)) if cell_ids[place] != cell_ids[place - 1])]
    return {
        cell_ids[start]: {"epoch": epochs[start:end], "value": values[start:end]}
        for start, end in pairwise([*starts, len(cell_ids)])
    }


def _shares(row: CostRow) -> dict[str, Any]:
    """Parameters, MACs and seconds by kind of layer."""
    return {
        "name": row.name,
        "num_params": by_kind(row.entry.num_params),
        "num_macs": by_kind(row.entry.num_macs),
        "seconds": row.seconds_by_kind,
    }


def _roofline(row: CostRow) -> dict[str, Any]:
    """A variant's layers and the roofs above them."""
    total = math.fsum(layer.forward_seconds or 0.0 for layer in row.entry.layers)
    return {
        "name": row.name,
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
