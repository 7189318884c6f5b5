"""Figures of a report, each from plain values to an SVG and a PNG. No global state, no window, no torch."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.curves import CurvePoint
from nin_bench.analysis.tables import VariantRow, cost_of
from nin_bench.report.look import (
    BELOW,
    FAINT,
    QUIET,
    WIDTH,
    Picture,
    Style,
    grid_of_panels,
    legend_below,
    percent_tick,
    render,
    styles,
    theme,
    wrapped,
)
from nin_bench.report.spans import accuracy_span, ends_of_bars
from nin_bench.report.text import human_count

MAX_DRAWN = 24
"""Variants that a figure holds and still can be read; the table has them all."""

MOST_SEEDS_DRAWN = 50
"""Single seeds of a variant that are told apart at all; means, ranges and counts are of all."""

_BROKEN_OFF: Any = {"linewidth": 1.1, "linestyle": (0, (4, 1.5))}
_CHANCE: Any = {"color": "0.25", "linewidth": 0.9, "linestyle": (0, (1, 2))}
_COSTS = {
    "num_params": "parameters",
    "num_macs": "MACs per image (forward)",
    "train_seconds": "training seconds per cell",
}
_AXIS_LABELS = {"validation_accuracy": "validation accuracy", "train_loss": "training loss (nats)"}
_POINT = [field.name for field in fields(CurvePoint)]
_FRONT: Any = {"color": QUIET, "linewidth": 1, "linestyle": (0, (4, 2))}


def draw_learning_curves(analysis: Analysis, name: str, chance: tuple[float, str] | None) -> Picture | None:
    """A panel per variant: mean and range of its healthy seeds, every seed, and the other variants faintly.

    Args:
        analysis: what is drawn.
        name: the history column; one that ends in `accuracy` is drawn in percent.
        chance: the value of guessing, and what to call it.

    Returns:
        None if no cell has recorded the column.
    """
    rows, history = analysis.comparison[:MAX_DRAWN], histories(analysis, name)
    if not rows or history.empty:
        return None
    look = styles([row.variant_id for row in rows])
    unwell = {cell.cell_id for cell in analysis.cells if cell.healthy is False}
    curves = pd.DataFrame(map(asdict, analysis.learning_curves[name]), columns=_POINT)
    curves = curves.astype({"epoch": float, "mean": float, "low": float, "high": float})  # also without a row
    curves = curves[curves["variant_id"].isin(look)]
    history = history[history["variant_id"].isin(look)]
    last_epoch = int(history["epoch"].max()) if len(history) else 1
    span = None
    if name.endswith("accuracy"):
        span = accuracy_span(history["value"].tolist(), curves.groupby("variant_id")["mean"].last())
    floor = span[0] if span else -math.inf
    last_values = history.drop_duplicates("cell_id", keep="last")
    ends_below = last_values[last_values["value"] < floor]["variant_id"].value_counts()
    edge = max(0.02 * (last_epoch - 1), 0.1)
    cells = history[["variant_id", "cell_id"]].drop_duplicates()
    told_apart = set(cells.groupby("variant_id").head(MOST_SEEDS_DRAWN)["cell_id"])
    history = history[history["cell_id"].isin(told_apart)]
    history = history.assign(unwell=history["cell_id"].isin(unwell))
    with theme():
        figure, panels = grid_of_panels(len(rows), "epoch", _AXIS_LABELS[name])
        # once for all panels and before anything is drawn: whatever is added to one asks all that share its axes
        panels[0].set_xlim(1 - edge, last_epoch + edge)
        everything = [*history["value"], *curves["low"], *curves["high"], *(chance or ())[:1]]
        panels[0].set_ylim(span or _with_room(everything))
        panels[0].xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        if name.endswith("accuracy"):
            panels[0].yaxis.set_major_formatter(percent_tick)
        for row, ax in zip(rows, panels, strict=True):
            color = look[row.variant_id].color
            others = curves[curves["variant_id"] != row.variant_id]
            mine = curves[curves["variant_id"] == row.variant_id]
            seeds = history[history["variant_id"] == row.variant_id]
            _add_lines(ax, others, "variant_id", "mean", color=FAINT, linewidth=0.7)
            if chance and chance[0] >= floor:
                ax.axhline(chance[0], **_CHANCE)
            ax.fill_between(mine["epoch"], mine["low"], mine["high"], color=color, alpha=0.18, linewidth=0)
            _add_lines(ax, seeds[~seeds["unwell"]], "cell_id", "value", color=color, linewidth=0.7, alpha=0.5)
            _add_lines(ax, seeds[seeds["unwell"]], "cell_id", "value", color=color, **_BROKEN_OFF)
            _add_lines(ax, mine, "variant_id", "mean", color=color, linewidth=2)
            if row.variant_id in ends_below:
                _mark_below(ax, last_epoch, int(ends_below[row.variant_id]), color)
            if len(seeds) == 0:
                ax.text(0.5, 0.5, "no epoch recorded", transform=ax.transAxes, ha="center", color=QUIET)
            not_known = row.trained - row.healthy.of
            ax.set_title(
                f"{wrapped(row.name, 32)}\n{row.healthy.count} of {row.planned} healthy"
                + (f", {not_known} not known" if not_known else "")
            )
        handles: list[tuple[Artist, str]] = [(Line2D([], [], color=QUIET, linewidth=2), "mean of healthy seeds")]
        if any(row.healthy.count > 1 for row in rows):
            handles.append((Patch(color=QUIET, alpha=0.3, linewidth=0), "their range"))
            handles.append((Line2D([], [], color=QUIET, linewidth=0.7), "one seed"))
        if history["unwell"].any():
            handles.append((Line2D([], [], color=QUIET, **_BROKEN_OFF), "seed that failed or collapsed"))
        if len(rows) > 1:
            handles.append((Line2D([], [], color=FAINT, linewidth=0.7), "other variants"))
        if len(ends_below):
            handles.append((Line2D([], [], color=QUIET, **BELOW), "seeds that end below the axis"))
        if chance and chance[0] >= floor:
            handles.append((Line2D([], [], **_CHANCE), chance[1]))
        legend_below(figure, handles, columns=3)
        return render(figure)


def histories(analysis: Analysis, name: str) -> pd.DataFrame:
    """What single cells recorded in a history column: a table of cell_id, variant_id, epoch and value."""
    known = [
        (cell.cell_id, cell.variant_id, epoch, value)
        for cell in analysis.cells
        for epoch, value in enumerate(cell.history[name], start=1)
        if value is not None
    ]
    return pd.DataFrame(known, columns=["cell_id", "variant_id", "epoch", "value"])


def draw_accuracy_against_costs(analysis: Analysis) -> Picture | None:
    """Test accuracy against parameters, MACs and training time, with every seed and the Pareto front.

    The accuracy axis spans the means and the bulk of the healthy cells (`accuracy_span`); a cell below it is a
    hollow triangle on its edge.

    Returns:
        None if no cell has both an accuracy and a cost.
    """
    rows = analysis.comparison[:MAX_DRAWN]
    by_label = {row.label: row for row in analysis.comparison}
    fronts = {cost: [by_label[label] for label in front] for cost, front in analysis.pareto_front.items()}
    look = styles([row.variant_id for row in rows])
    accuracies = [
        (cell.variant_id, cell.metrics.get("test_accuracy"), cell.healthy is True)
        for cell in analysis.cells
        if cell.outcome == "trained" and cell.variant_id in look
    ]
    cells = pd.DataFrame(accuracies, columns=["variant_id", "accuracy", "healthy"])
    cells = cells.dropna(subset="accuracy").astype({"accuracy": float, "healthy": bool})
    costs = {cost: label for cost, label in _COSTS.items() if any(cost_of(row, cost) for row in rows)}
    if not costs or cells.empty:
        return None
    drawn = cells[cells["healthy"]] if cells["healthy"].any() else cells
    spreads = (row.test_accuracy_given_healthy for row in itertools.chain(rows, *fronts.values()))
    span = accuracy_span(drawn["accuracy"].tolist(), ends_of_bars(spreads))
    assert span is not None, "no cell of a variant that is drawn"
    handles: list[tuple[Artist, str]] = [
        (Line2D([], [], linestyle="", markersize=7, **asdict(look[row.variant_id])), wrapped(row.name, 60))
        for row in rows
    ]
    if any(len(front) > 1 for front in fronts.values()):
        handles.append((Line2D([], [], **_FRONT), "Pareto front"))
    if (cells["accuracy"] < span[0]).any():
        handles.append((Line2D([], [], color=QUIET, **BELOW), "seeds that end below the axis"))
    columns = 3 if max(len(label) for _, label in handles) < 36 else 2
    legend_lines = sum(label.count("\n") + 1 for _, label in handles) / columns
    with theme():
        figure = Figure(figsize=(WIDTH, 3.7 + 0.19 * math.ceil(legend_lines)), layout="constrained")
        panels = list(figure.subplots(1, len(costs), sharey=True, squeeze=False)[0])
        panels[0].set_ylim(span)
        for ax, (cost, cost_label) in zip(panels, costs.items(), strict=True):
            # what costs nothing has no place on a logarithmic axis
            front = [(value, _accuracy(row)) for row in fronts[cost] if (value := cost_of(row, cost))]
            known = [(row, value) for row in rows if (value := cost_of(row, cost))]
            _readable_log_axis(ax, [value for _, value in known] + [value for value, _ in front])
            ax.set_xlabel(cost_label)
            if len(rows) > 1:
                ax.set_title(_of_front(fronts[cost]), fontsize=8.5, color="0.4")
            if front:
                ax.plot(*zip(*front, strict=True), drawstyle="steps-post", zorder=1, **_FRONT)
            for row, value in known:
                mine = cells[cells["variant_id"] == row.variant_id]
                _draw_variant(ax, row, mine, value, look[row.variant_id])
        panels[0].set_ylabel("test accuracy")
        panels[0].yaxis.set_major_formatter(percent_tick)
        panels[0].yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        legend_below(figure, handles, columns)
        return render(figure)


def _of_front(front: Sequence[VariantRow]) -> str:
    """Whether accuracy has a price; a front of one is no line, and looks like a forgotten one."""
    if len(front) == 1:
        return f"no trade-off: cheapest and best is\n{wrapped(front[0].name, 40)}"
    return f"trade-off between {len(front)} variants" if front else ""


def _accuracy(row: VariantRow) -> float:
    """Of a variant that some network was healthy of, as in every front."""
    mean = row.test_accuracy_given_healthy.mean
    assert mean is not None, row
    return mean


def _draw_variant(ax: Axes, row: VariantRow, cells: pd.DataFrame, position: float, style: Style) -> None:
    floor = ax.get_ylim()[0]
    seen, below = cells[cells["accuracy"] >= floor][:MOST_SEEDS_DRAWN], cells[cells["accuracy"] < floor]
    ax.plot(
        [position] * len(seen), seen["accuracy"],
        color=style.color, marker=style.marker, linestyle="", markersize=3.5, alpha=0.4, markeredgewidth=0,
    )  # fmt: skip
    mean = row.test_accuracy_given_healthy
    if mean.mean is not None:
        ax.errorbar(
            position, mean.mean, yerr=mean.sd,
            color=style.color, marker=style.marker, markersize=7, markeredgecolor="white",
            markeredgewidth=0.8, elinewidth=1.3, zorder=3,
        )  # fmt: skip
    if len(below):
        _mark_below(ax, position, len(below), style.color)


def _mark_below(ax: Axes, position: float, count: int, color: Any) -> None:
    """Seeds that the axis is too short for, on its edge, with their number."""
    edge = ax.get_xaxis_transform()
    ax.plot(position, 0.04, transform=edge, color=color, clip_on=False, zorder=4, **BELOW)
    if count > 1:
        ax.annotate(
            f"{count}×", (position, 0.04), xycoords=edge, xytext=(0, 5), textcoords="offset points",
            ha="center", fontsize=8, color=color, bbox={"facecolor": "white", "linewidth": 0, "pad": 0.5},
        )  # fmt: skip


def _with_room(values: Sequence[float]) -> tuple[float, float]:
    """The limits of an axis that holds these, with as much room around them as matplotlib leaves."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.05 * (high - low) or 0.05
    return low - room, high + room


def _add_lines(ax: Axes, table: pd.DataFrame, by: str, value: str, **look: Any) -> None:
    # each line's rows stand together, so that lines begin where the name changes
    starts = np.flatnonzero(table[by] != table[by].shift())
    lines = np.split(table[["epoch", value]].to_numpy(float), starts)[1:]
    if lines:
        ax.add_collection(LineCollection(lines, **look), autolim=False)
        # a line of one epoch has no length, and shows as a point
        points = [line[0] for line in lines if len(line) == 1]
        if points:
            ax.scatter([x for x, _ in points], [y for _, y in points], s=20, color=look["color"])


def _readable_log_axis(ax: Axes, values: Sequence[float]) -> None:
    """Set up the axis for costs, with labels that can be read."""
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: human_count(value))
    if not values:
        return
    low, high = min(values), max(values)
    decades = math.log10(high / low)
    room = max(10 ** (0.08 * decades), 1.1)
    ax.set_xlim(low / room, high * room)
    if decades < 1:
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    else:
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1.5 else (1,)))
