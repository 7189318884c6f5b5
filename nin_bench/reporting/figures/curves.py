"""Figures of single epochs: validation accuracy and training loss, a panel per variant."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from nin_bench.analysis.analysis import Analysis, Cell
from nin_bench.analysis.curves import CurvePoint
from nin_bench.analysis.tables import VariantRow
from nin_bench.errors import counted
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.axis_limits import accuracy_limits
from nin_bench.reporting.figures.drawing import Canvas, Mark

_FAILED: Any = {"linewidth": 1.1, "linestyle": (0, (4, 1.5))}
_ONE: Any = {"linewidth": 0.7, "alpha": 0.6}
_CHANCE: Any = {"color": plot.INK, "linewidth": 0.9, "linestyle": (0, (1, 2))}
_OTHERS: Any = {"color": plot.FAINT, "linewidth": 0.7}

Points = list[tuple[float, float]]
"""Epochs and values."""


def draw_validation_accuracy(analysis: Analysis) -> Canvas | None:
    """Validation accuracy by epoch; None if no cell recorded it."""
    caption = (
        "One panel per variant. The thick line is the mean of the networks that did not fail and the band "
        "their range, thin lines are single networks, dashed ones those that failed; the means of the other "
        "variants are grey. The axis shows where most of the values lie; a hollow triangle stands for "
        "networks that end below it."
    )
    chance = analysis.chance.accuracy
    said = chance and f"chance, {100 * chance:.3g} %: always the commonest class"
    return _draw(analysis, "validation_accuracy", "validation accuracy", chance, said or "", caption)


def draw_training_loss(analysis: Analysis) -> Canvas | None:
    """Training loss by epoch; None if no cell recorded it."""
    caption = (
        "Panels, lines and bands as for validation accuracy. A line that stays on the dotted one has learned "
        "no more than how often each class occurs."
    )
    chance = analysis.chance.loss
    return _draw(
        analysis, "train_loss", "training loss (nats)", chance, f"chance, {chance or 0:.3f} nats", caption
    )


def _draw(
    analysis: Analysis, column: str, title: str, chance: float | None, chance_said: str, caption: str
) -> Canvas | None:
    rows = analysis.comparison[: plot.MAX_DRAWN]
    cells = {
        row.variant_id: [cell for cell in analysis.cells if cell.variant_id == row.variant_id] for row in rows
    }
    lines = {cell.cell_id: points for own in cells.values() for cell in own if (points := _line(cell, column))}
    if not lines:
        return None
    means: dict[str, list[CurvePoint]] = {}
    for point in analysis.learning_curves[column]:
        if point.variant_id in cells:
            means.setdefault(point.variant_id, []).append(point)
    values = [value for line in lines.values() for _, value in line]
    is_accuracy = column.endswith("accuracy")
    limits = accuracy_limits(values, [own[-1].mean for own in means.values()]) if is_accuracy else None
    low, high = limits or _with_room([*values, *([] if chance is None else [chance])])
    if chance is not None and chance < low:
        chance = None
    last_epoch = max(line[-1][0] for line in lines.values())
    edge = max(0.02 * (last_epoch - 1), 0.1)
    figure, panels = plot.grid_of_panels(len(rows), "epoch", title)
    alt = f"{title.capitalize()} by epoch of {counted(len(rows), 'variant')}, a panel for each"
    canvas = Canvas(figure, alt, caption + plot.left_out(len(analysis.comparison), len(analysis.seeds)))
    # once for all panels and before anything is drawn: whatever is added to one asks all that share its axes
    panels[0].set_xlim(1 - edge, last_epoch + edge)
    panels[0].set_ylim(low, high)
    panels[0].xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if is_accuracy:
        panels[0].yaxis.set_major_formatter(plot.percent_tick)
    looks = plot.styles([row.variant_id for row in rows])
    for row, ax in zip(rows, panels, strict=True):
        for other, own in means.items():
            if other != row.variant_id:
                [line] = ax.plot([point.epoch for point in own], [point.mean for point in own], **_OTHERS)
                canvas.belongs(line, other)
        if chance is not None:
            ax.axhline(chance, **_CHANCE)
        _draw_variant(
            canvas,
            ax,
            row,
            cells[row.variant_id],
            lines,
            means.get(row.variant_id, []),
            looks[row.variant_id].color,
            column,
        )
    all_cells = [cell for own in cells.values() for cell in own if cell.cell_id in lines]
    handles: list[tuple[Artist, str]] = [
        (Line2D([], [], color=plot.QUIET, linewidth=2), "mean of those that did not fail"),
    ]
    if len(all_cells) > len(rows):
        handles.append((Patch(color=plot.QUIET, alpha=0.3, linewidth=0), "their range"))
        handles.append((Line2D([], [], color=plot.QUIET, **_ONE), "one network"))
    if any(cell.failed for cell in all_cells):
        handles.append((Line2D([], [], color=plot.QUIET, **_FAILED), "network that failed"))
    if len(rows) > 1:
        handles.append((Line2D([], [], **_OTHERS), "other variants"))
    if any(line[-1][1] < low for line in lines.values()):
        handles.append((Line2D([], [], color=plot.QUIET, **plot.BELOW), "networks that end below the axis"))
    if chance is not None:
        handles.append((Line2D([], [], **_CHANCE), chance_said))
    plot.legend_below(figure, handles, columns=3)
    return canvas


def _draw_variant(
    canvas: Canvas,
    ax: Axes,
    row: VariantRow,
    cells: Sequence[Cell],
    lines: Mapping[str, Points],
    mean: Sequence[CurvePoint],
    color: Any,
    column: str,
) -> None:
    known = [cell for cell in cells if cell.cell_id in lines]
    low = ax.get_ylim()[0]
    epochs = [point.epoch for point in mean]
    if mean:
        band = ax.fill_between(
            epochs, [p.low for p in mean], [p.high for p in mean], color=color, alpha=0.18, linewidth=0
        )
        canvas.belongs(band, row.variant_id)
    for failed, look in ((False, _ONE), (True, _FAILED)):
        own = [cell for cell in known[: plot.MOST_SEEDS_DRAWN] if bool(cell.failed) is failed]
        if own:
            drawn = LineCollection([lines[cell.cell_id] for cell in own], color=color, **look)
            ax.add_collection(drawn, autolim=False)
            canvas.mark(drawn, *(_mark(row, cell, lines[cell.cell_id], column) for cell in own))
        dots = [lines[cell.cell_id][0] for cell in own if len(lines[cell.cell_id]) == 1]
        if dots:  # a line of one epoch has no length
            ax.scatter([x for x, _ in dots], [y for _, y in dots], s=20, color=color)
    if mean:
        marker = "o" if len(mean) == 1 else None
        [line] = ax.plot(epochs, [point.mean for point in mean], color=color, linewidth=2, marker=marker)
        said = f"{row.name}: mean of {mean[-1].n} networks, at the end {_shown(mean[-1].mean, column)}"
        canvas.mark(line, *([Mark(said, row.variant_id)] * (2 if marker else 1)))
    below = [cell for cell in known if lines[cell.cell_id][-1][1] < low]
    if below:
        last = max(lines[cell.cell_id][-1][0] for cell in below)
        edge = ax.get_xaxis_transform()
        [point] = ax.plot(last, 0.04, transform=edge, color=color, clip_on=False, zorder=4, **plot.BELOW)
        said = "\n".join(_mark(row, cell, lines[cell.cell_id], column).says for cell in below[:8])
        canvas.mark(point, Mark(said, row.variant_id, below[0].cell_id))
        if len(below) > 1:
            label = ax.annotate(
                f"{len(below)}×", (last, 0.04), xycoords=edge, xytext=(-7, -3), textcoords="offset points",
                ha="right", fontsize=8, color=color,
            )  # fmt: skip
            canvas.belongs(label, row.variant_id)
    if not known:
        ax.text(0.5, 0.5, "no epoch recorded", transform=ax.transAxes, ha="center", color=plot.QUIET)
    judged = [cell for cell in cells if cell.failed is not None]
    unknown = f", {len(cells) - len(judged)} not known" if len(judged) < len(cells) else ""
    num_failed = sum(cell.failed is True for cell in judged)
    ax.set_title(f"{plot.wrapped(row.name, 36)}\n{num_failed} of {len(judged)} failed{unknown}")


def _shown(value: float, column: str) -> str:
    return f"{100 * value:.1f} %" if column.endswith("accuracy") else f"{value:.3f} nats"


def _line(cell: Cell, column: str) -> Points:
    values = cell.history[column]
    return [(float(epoch), value) for epoch, value in enumerate(values, start=1) if value is not None]


def _mark(row: VariantRow, cell: Cell, line: Points, column: str) -> Mark:
    epoch, value = line[-1]
    failed = ", failed" if cell.failed else ""
    return Mark(
        f"{row.name}, seed {cell.seed}: {_shown(value, column)} after epoch {epoch:g}{failed}",
        row.variant_id,
        cell.cell_id,
    )


def _with_room(values: Sequence[float]) -> tuple[float, float]:
    """The limits of an axis that holds these, with as much room around them as matplotlib leaves."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.05 * (high - low) or 0.05
    return low - room, high + room
