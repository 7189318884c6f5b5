"""The figure of accuracy against costs: every network, the median of each variant, and the Pareto front."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.tables import cost_of
from nin_bench.errors import counted
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.drawing import Canvas
from nin_bench.reporting.figures.seeds import accuracies_shown, accurate, draw_column, show_accuracies
from nin_bench.reporting.text import human_count

_COSTS = {
    "num_params": "parameters",
    "num_macs": "MACs per image (forward)",
    "train_seconds": "training seconds per cell",
}
_FRONT: Any = {"color": plot.QUIET, "linewidth": 1, "linestyle": (0, (4, 2))}


def draw_accuracy_against_costs(analysis: Analysis) -> Canvas | None:
    """Test accuracy against parameters, MACs and training time."""
    rows = analysis.comparison[: plot.MAX_DRAWN]
    by_label = {row.label: row for row in analysis.comparison}
    fronts = {cost: [by_label[label] for label in front] for cost, front in analysis.pareto_front.items()}
    cells = {row.variant_id: accurate(analysis, row) for row in rows}
    costs = {cost: label for cost, label in _COSTS.items() if any(cost_of(row, cost) for row in rows)}
    known = [cell for own in cells.values() for cell in own]
    limits = accuracies_shown([*rows, *(row for front in fronts.values() for row in front)], known)
    if not costs or limits is None:
        return None
    looks = plot.styles([row.variant_id for row in rows])
    handles: list[tuple[Artist, str]] = [
        (Line2D([], [], linestyle="", markersize=7, **vars(looks[row.variant_id])), plot.wrapped(row.name, 60))
        for row in rows
    ]
    if any(len(front) > 1 for front in fronts.values()):
        handles.append((Line2D([], [], **_FRONT), "Pareto front of the medians"))
    if any((cell.accuracy or 0) < limits[0] for cell in known):
        handles.append((Line2D([], [], color=plot.QUIET, **plot.BELOW), "networks below the axis"))
    columns = 3 if max(len(label) for _, label in handles) < 36 else 2
    legend_lines = sum(label.count("\n") + 1 for _, label in handles) / columns
    figure = Figure(figsize=(plot.WIDTH, 3.5 + 0.19 * math.ceil(legend_lines)), layout="constrained")
    canvas = Canvas(
        figure,
        alt=f"Test accuracy of {counted(len(rows), 'variant')} against {', '.join(costs.values())}",
        caption="Up and to the left is better. Large marks are medians over all networks of a variant, small "
        "marks single networks. The dashed line joins the variants whose median no other reaches at "
        "the same cost or less. It describes these test images: do not choose by it. Training time is "
        "of the steps alone, seen while cells trained side by side.",
    )
    panels = list(figure.subplots(1, len(costs), sharey=True, squeeze=False)[0])
    show_accuracies(panels[0], limits, num_ticks=7)
    for ax, (cost, cost_label) in zip(panels, costs.items(), strict=True):
        # what costs nothing has no place on a logarithmic axis
        front = [(value, row.median_test_accuracy) for row in fronts[cost] if (value := cost_of(row, cost))]
        placed = [(row, value) for row in rows if (value := cost_of(row, cost))]
        _readable_log_axis(ax, [value for _, value in placed] + [value for value, _ in front])
        ax.set_xlabel(cost_label)
        if len(front) > 1:
            ax.plot(*zip(*front, strict=True), drawstyle="steps-post", zorder=1, **_FRONT)
        for row, value in placed:
            own, look, where = cells[row.variant_id], looks[row.variant_id], f" at {human_count(value)}"
            draw_column(canvas, ax, row, own, value, look, where)
    entries = plot.legend_below(figure, handles, columns)
    for row, entry in zip(rows, entries, strict=False):
        canvas.switch(entry, row.variant_id)
    return canvas


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
