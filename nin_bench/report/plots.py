"""Figures of a report, each from plain values to an SVG and a PNG. No global state, no window, no torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
from scipy.optimize import isotonic_regression

from nin_bench.report.cells import health, is_healthy, is_trained, numbers
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
from nin_bench.report.tables import VariantRow, cost_of
from nin_bench.report.text import human_count
from nin_bench.results import Results

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
_FRONT: Any = {"color": QUIET, "linewidth": 1, "linestyle": (0, (4, 2))}


def draw_learning_curves(
    results: Results,
    rows: Sequence[VariantRow],
    epochs: pd.DataFrame,
    curves: pd.DataFrame,
    name: str,
    axis_label: str,
    chance: tuple[float, str] | None,
) -> Picture | None:
    """A panel per variant: mean and range of its healthy seeds, every seed, and the other variants faintly.

    Args:
        results: whose cells are healthy.
        rows: the variants to draw.
        epochs: `known_epochs` of the history column: the single seeds.
        curves: `learning_curves` of the same.
        name: the column; one that ends in `accuracy` is drawn in percent.
        axis_label: what the column is.
        chance: the value of guessing, and what to call it.

    Returns:
        None if no cell has recorded the column.
    """
    if not rows or epochs.empty:
        return None
    look = styles([row.variant_id for row in rows])
    unwell = set(results.cells.loc[health(results.cells) == 0, "cell_id"])
    curves = curves[curves["variant_id"].isin(look)]
    history = epochs[epochs["variant_id"].isin(look)]
    last_epoch = int(history["epoch"].max()) if len(history) else 1
    edge = max(0.02 * (last_epoch - 1), 0.1)
    cells = history[["variant_id", "cell_id"]].drop_duplicates()
    told_apart = set(cells.groupby("variant_id").head(MOST_SEEDS_DRAWN)["cell_id"])
    history = history[history["cell_id"].isin(told_apart)]
    history = history.assign(unwell=history["cell_id"].isin(unwell))
    with theme():
        figure, panels = grid_of_panels(len(rows), "epoch", axis_label)
        # once for all panels and before anything is drawn: whatever is added to one asks all that share its axes
        panels[0].set_xlim(1 - edge, last_epoch + edge)
        panels[0].set_ylim(_with_room([*history["value"], *curves["low"], *curves["high"], *(chance or ())[:1]]))
        panels[0].xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        if name.endswith("accuracy"):
            panels[0].yaxis.set_major_formatter(percent_tick)
        for row, ax in zip(rows, panels, strict=True):
            color = look[row.variant_id].color
            others = curves[curves["variant_id"] != row.variant_id]
            mine = curves[curves["variant_id"] == row.variant_id]
            seeds = history[history["variant_id"] == row.variant_id]
            _add_lines(ax, others, "variant_id", "mean", color=FAINT, linewidth=0.7)
            if chance:
                ax.axhline(chance[0], **_CHANCE)
            ax.fill_between(mine["epoch"], mine["low"], mine["high"], color=color, alpha=0.18, linewidth=0)
            _add_lines(ax, seeds[~seeds["unwell"]], "cell_id", "value", color=color, linewidth=0.7, alpha=0.5)
            _add_lines(ax, seeds[seeds["unwell"]], "cell_id", "value", color=color, **_BROKEN_OFF)
            _add_lines(ax, mine, "variant_id", "mean", color=color, linewidth=2)
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
        if chance:
            handles.append((Line2D([], [], **_CHANCE), chance[1]))
        legend_below(figure, handles, columns=3)
        return render(figure)


def draw_accuracy_against_costs(
    results: Results, rows: Sequence[VariantRow], fronts: Mapping[str, Sequence[VariantRow]]
) -> Picture | None:
    """Test accuracy against parameters, MACs and training time, with every seed and the Pareto front.

    The accuracy axis spans the healthy cells; a collapsed cell below it is a hollow triangle on its edge.

    Args:
        results: where the single seeds come from.
        rows: the variants to draw.
        fronts: the Pareto front by cost; it may run through variants that are not drawn.

    Returns:
        None if no cell has both an accuracy and a cost.
    """
    cells = results.cells
    cells = cells.assign(
        accuracy=numbers(cells, "test_accuracy").where(is_trained(cells)), healthy=is_healthy(cells)
    )
    look = styles([row.variant_id for row in rows])
    cells = cells[cells["variant_id"].isin(look) & cells["accuracy"].notna()]
    costs = {cost: label for cost, label in _COSTS.items() if any(cost_of(row, cost) for row in rows)}
    if not costs or cells.empty:
        return None
    drawn = cells[cells["healthy"]] if cells["healthy"].any() else cells
    seen = [*drawn["accuracy"], *(_accuracy(row) for front in fronts.values() for row in front)]
    for spread in (row.test_accuracy_given_healthy for row in rows):
        if spread.mean is not None and spread.sd is not None:
            seen += [max(0.0, spread.mean - spread.sd), min(1.0, spread.mean + spread.sd)]
    low, high = min(seen), max(seen)
    room = max(0.08 * (high - low), 0.005)
    handles: list[tuple[Artist, str]] = [
        (Line2D([], [], linestyle="", markersize=7, **asdict(look[row.variant_id])), wrapped(row.name, 60))
        for row in rows
    ]
    if any(len(front) > 1 for front in fronts.values()):
        handles.append((Line2D([], [], **_FRONT), "Pareto front"))
    if (cells["accuracy"] < low - 2 * room).any():
        handles.append((Line2D([], [], color=QUIET, **BELOW), "seeds that end below the axis"))
    columns = 3 if max(len(label) for _, label in handles) < 36 else 2
    legend_lines = sum(label.count("\n") + 1 for _, label in handles) / columns
    with theme():
        figure = Figure(figsize=(WIDTH, 3.3 + 0.19 * math.ceil(legend_lines)), layout="constrained")
        panels = list(figure.subplots(1, len(costs), sharey=True, squeeze=False)[0])
        panels[0].set_ylim(low - 2 * room, high + room)
        for ax, (cost, cost_label) in zip(panels, costs.items(), strict=True):
            shown = {row.variant_id: row for row in [*rows, *fronts[cost]] if cost_of(row, cost)}
            places = _readable_log_axis(ax, {key: cost_of(row, cost) or 0.0 for key, row in shown.items()})
            ax.set_xlabel(cost_label)
            ax.plot(
                [places[row.variant_id] for row in fronts[cost]],
                [_accuracy(row) for row in fronts[cost]],
                drawstyle="steps-post", zorder=1, **_FRONT,
            )  # fmt: skip
            for row in rows:
                if row.variant_id in places:
                    mine = cells[cells["variant_id"] == row.variant_id]
                    _draw_variant(ax, row, mine, places[row.variant_id], look[row.variant_id])
        panels[0].set_ylabel("test accuracy")
        panels[0].yaxis.set_major_formatter(percent_tick)
        panels[0].yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        legend_below(figure, handles, columns)
        return render(figure)


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
        color=style.color, marker=style.marker, linestyle="", markersize=4, alpha=0.45, markeredgewidth=0,
    )  # fmt: skip
    mean = row.test_accuracy_given_healthy
    if mean.mean is not None:
        ax.errorbar(
            position, mean.mean, yerr=mean.sd,
            color=style.color, marker=style.marker, markersize=7.5, markeredgecolor="white",
            markeredgewidth=0.8, elinewidth=1.3, zorder=3,
        )  # fmt: skip
    if len(below):
        edge = ax.get_xaxis_transform()
        ax.plot(position, 0.025, transform=edge, color=style.color, **BELOW)
        if len(below) > 1:
            ax.annotate(
                f"{len(below)}×", (position, 0.025), xycoords=edge, xytext=(0, 6),
                textcoords="offset points", ha="center", fontsize=8, color=style.color,
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


def _readable_log_axis(ax: Axes, values: Mapping[str, float]) -> dict[str, float]:
    """Set up the axis for costs by variant, and place each; marks that would hide each other are moved apart."""
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: human_count(value))
    if not values:
        return {}
    order = sorted(values, key=lambda key: values[key])
    logs = np.log10([values[key] for key in order])
    decades = max(logs[-1] - logs[0], 0.5)
    # least squares under the condition that neighbours keep their distance
    distance = 0.03 * decades * np.arange(len(order))
    places = 10 ** (isotonic_regression(logs - distance).x + distance)
    room = max(10 ** (0.08 * decades), 1.1)
    ax.set_xlim(min(places[0], 10 ** logs[0]) / room, max(places[-1], 10 ** logs[-1]) * room)
    if decades < 1:
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    else:
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1.5 else (1,)))
    return dict(zip(order, places.tolist(), strict=True))
