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

from nin_bench.report.cells import health, is_healthy, is_trained, numbers
from nin_bench.report.curves import known_epochs
from nin_bench.report.look import (
    BELOW,
    FAINT,
    QUIET,
    WIDTH,
    Picture,
    Style,
    figure_of_strips,
    grid_of_panels,
    head_notes,
    legend_below,
    percent_tick,
    render,
    styles,
    theme,
    wrapped,
)
from nin_bench.report.tables import VariantRow
from nin_bench.report.text import human_count
from nin_bench.results import Results

MAX_DRAWN = 24
"""Variants that a figure holds and still can be read; the table has them all."""

_BROKEN_OFF: Any = {"linewidth": 1.1, "linestyle": (0, (4, 1.5))}
_CHANCE: Any = {"color": "0.25", "linewidth": 0.9, "linestyle": (0, (1, 2))}
_FRONT: Any = {"color": QUIET, "linewidth": 1, "linestyle": (0, (4, 2))}


def draw_learning_curves(
    results: Results,
    rows: Sequence[VariantRow],
    curves: pd.DataFrame,
    name: str,
    axis_label: str,
    chance: tuple[float, str] | None,
) -> Picture | None:
    """A panel per variant: mean and range of its healthy seeds, every seed, and the other variants faintly.

    Args:
        results: where the single seeds come from.
        rows: the variants to draw.
        curves: `learning_curves` of the same history column.
        name: the history column; one that ends in `accuracy` is drawn in percent.
        axis_label: what the column is.
        chance: the value of guessing, and what to call it.

    Returns:
        None if no cell has recorded the column.
    """
    history = known_epochs(results, name)
    if not rows or history.empty:
        return None
    unwell = set(results.cells.loc[health(results.cells) == 0, "cell_id"])
    history = history.assign(unwell=history["cell_id"].isin(unwell))
    history = history[history["variant_id"].isin([row.variant_id for row in rows])]
    last_epoch = int(history["epoch"].max()) if len(history) else 1
    edge = max(0.02 * (last_epoch - 1), 0.1)
    with theme():
        look = styles([row.variant_id for row in rows])
        figure, panels = grid_of_panels(len(rows), "epoch", axis_label)
        for row, ax in zip(rows, panels, strict=True):
            color = look[row.variant_id].color
            others = curves[curves["variant_id"].isin(set(look) - {row.variant_id})]
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
                f"{wrapped(row.label, 32)}\n{row.healthy.count} of {row.planned} healthy"
                + (f", {not_known} not known" if not_known else "")
            )
            ax.set_xlim(1 - edge, last_epoch + edge)
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
            if name.endswith("accuracy"):
                ax.yaxis.set_major_formatter(percent_tick)
        panels[0].autoscale_view()  # once for all, since they share their axes
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
    """Test accuracy against parameters and against MACs, with every seed and the Pareto front.

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
    costs = {"num_params": "parameters", "num_macs": "MACs per image (forward)"}
    if all(numbers(cells, cost).isna().all() for cost in costs):
        return None
    drawn = cells[cells["healthy"]] if cells["healthy"].any() else cells
    seen = [*drawn["accuracy"], *(_accuracy(row) for front in fronts.values() for row in front)]
    low, high = min(seen), max(seen)
    room = max(0.08 * (high - low), 0.005)
    handles: list[tuple[Artist, str]] = [
        (Line2D([], [], linestyle="", markersize=7, **asdict(look[row.variant_id])), wrapped(row.label, 60))
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
        panels = figure.subplots(1, 2, sharey=True)
        panels[0].set_ylim(low - 2 * room, high + room)
        for ax, (cost, cost_label) in zip(panels, costs.items(), strict=True):
            _readable_log_axis(ax, [getattr(row, cost) for row in [*rows, *fronts[cost]]])
            ax.set_xlabel(cost_label)
            ax.plot(
                [getattr(row, cost) for row in fronts[cost]],
                [_accuracy(row) for row in fronts[cost]],
                drawstyle="steps-post", zorder=1, **_FRONT,
            )  # fmt: skip
            for row in rows:
                mine = cells[cells["variant_id"] == row.variant_id]
                _draw_variant(ax, row, mine, cost, look[row.variant_id])
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


def _draw_variant(ax: Axes, row: VariantRow, cells: pd.DataFrame, cost: str, style: Style) -> None:
    position = getattr(row, cost)
    if position is None:
        return
    floor = ax.get_ylim()[0]
    seen, below = cells[cells["accuracy"] >= floor], cells[cells["accuracy"] < floor]
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


def draw_escape(rows: Sequence[VariantRow], curves: pd.DataFrame, epochs: int) -> Picture | None:
    """A strip per variant that fills as its cells leave chance level.

    Args:
        rows: the variants to draw.
        curves: `escape_curves`.
        epochs: where the axis ends: the longest any cell trained.

    Returns:
        None if no record says whether its cell escaped.
    """
    if not rows or curves.empty:
        return None
    with theme():
        look = styles([row.variant_id for row in rows])
        figure, strips = figure_of_strips([row.label for row in rows])
        strips[-1].set_xlim(0, max(epochs, 1))
        for row, ax in zip(rows, strips, strict=True):
            color = look[row.variant_id].color
            mine = curves[curves["variant_id"] == row.variant_id]
            total = "not known"
            if len(mine):
                steps = [*mine["epoch"], max(epochs, 1)], [*mine["share"], mine["share"].iloc[-1]]
                ax.fill_between(*steps, step="post", color=color, alpha=0.35, linewidth=0)
                ax.step(*steps, where="post", color=color, linewidth=1.5)
                num_cells = int(mine["n"].iloc[0])
                total = f"{round(mine['share'].iloc[-1] * num_cells)} of {num_cells}"
            ax.text(
                1.01, 0.5, total, transform=ax.transAxes, va="center", fontsize=9,
                fontweight="bold" if len(mine) and mine["share"].iloc[-1] < 1 else "normal",
            )  # fmt: skip
        head_notes(strips[0], "escaped")
        strips[-1].set_xlabel("epoch")
        strips[-1].xaxis.set_major_locator(MaxNLocator(12, integer=True))
        return render(figure)


def _add_lines(ax: Axes, table: pd.DataFrame, by: str, value: str, **look: Any) -> None:
    # each line's rows stand together, so that lines begin where the name changes
    starts = np.flatnonzero(table[by] != table[by].shift())
    lines = np.split(table[["epoch", value]].to_numpy(float), starts)[1:]
    if lines:
        ax.add_collection(LineCollection(lines, **look))
        # a line of one epoch has no length, and shows as a point
        points = [line[0] for line in lines if len(line) == 1]
        ax.scatter([x for x, _ in points], [y for _, y in points], s=20, color=look["color"])


def _readable_log_axis(ax: Axes, values: Sequence[int | None]) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: human_count(value))
    known = [value for value in values if value]
    if not known:
        return
    decades = math.log10(max(known) / min(known))
    room = max(10 ** (0.08 * decades), 1.1)
    ax.set_xlim(min(known) / room, max(known) * room)
    if decades < 1:
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    else:
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,)))
