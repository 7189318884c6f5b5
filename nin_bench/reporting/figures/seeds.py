"""The figure of every network: its test accuracy, variant by variant, with those that failed apart."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nin_bench.analysis.analysis import Analysis, Cell
from nin_bench.analysis.tables import VariantRow
from nin_bench.errors import counted
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.axis_limits import accuracy_limits
from nin_bench.reporting.figures.drawing import Canvas, Mark
from nin_bench.stats.claims import Interval

_MEDIAN: Any = {"color": plot.INK, "marker": "|", "markersize": 15, "markeredgewidth": 1.6, "linestyle": ""}


def draw_seeds(analysis: Analysis) -> Canvas | None:
    """A row per variant: a point for every network, and the median over all of them."""
    rows = analysis.comparison[: plot.MAX_DRAWN]
    cells = {row.variant_id: accurate(analysis, row) for row in rows}
    all_cells = [cell for own in cells.values() for cell in own]
    if not all_cells:
        return None
    limits = accuracies_shown(rows, all_cells)
    assert limits is not None, "a cell has an accuracy"
    figure = Figure(figsize=(plot.WIDTH, 1.15 + 0.34 * len(rows)), layout="constrained")
    networks, variants = counted(len(all_cells), "network"), counted(len(rows), "variant")
    canvas = Canvas(
        figure,
        alt=f"Test accuracy of {networks} of {variants}, a row for each",
        caption="Each mark is a network, the upright line the median over all networks of a variant, failed ones "
        "included; n counts the networks. A network lost a class if it predicts it for no test image.",
    )
    ax = figure.subplots()
    ax.set_xlim(limits)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_yticks(range(len(rows)), [plot.wrapped(row.name, 44) for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter(plot.percent_tick)
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    ax.set_xlabel("test accuracy")
    looks = plot.styles([row.variant_id for row in rows])
    for place, row in enumerate(rows):
        _draw_row(canvas, ax, place, row, cells[row.variant_id], looks[row.variant_id])
    handles: list[tuple[Artist, str]] = [
        (Line2D([], [], linestyle="", marker="o", color=plot.QUIET), "one network"),
        (Line2D([], [], **_MEDIAN), "median of all"),
    ]
    if any(cell.failed and (cell.accuracy or 0) >= limits[0] for cell in all_cells):
        handles.append((Line2D([], [], color=plot.QUIET, **plot.CROSSED), "network that failed"))
    if any((cell.accuracy or 0) < limits[0] for cell in all_cells):
        handles.append(
            (Line2D([], [], color=plot.QUIET, **{**plot.BELOW, "marker": "<"}), "networks below the axis")
        )
    plot.legend_below(figure, handles, columns=4)
    return canvas


def accuracies_shown(rows: Iterable[VariantRow], cells: Iterable[Cell]) -> Interval | None:
    """Limits of an axis that shows these cells and the variants' medians; None without an accuracy."""
    learned = [cell.accuracy for cell in cells if not cell.failed and cell.accuracy is not None]
    medians = [row.median_test_accuracy for row in rows if row.median_test_accuracy is not None]
    return accuracy_limits(learned or medians, medians)


def show_accuracies(ax: Axes, limits: Interval, num_ticks: int) -> None:
    """Set up the axis on the left for test accuracies."""
    ax.set_ylim(limits)
    ax.set_ylabel("test accuracy")
    ax.yaxis.set_major_formatter(plot.percent_tick)
    ax.yaxis.set_major_locator(MaxNLocator(num_ticks, steps=[1, 2, 5, 10]))


def accurate(analysis: Analysis, row: VariantRow) -> list[Cell]:
    """The cells of a variant whose accuracy is known."""
    return [cell for cell in analysis.cells if cell.variant_id == row.variant_id and cell.accuracy is not None]


def says(row: VariantRow, cell: Cell) -> str:
    """A network and its accuracy, in words."""
    failed = ", failed" if cell.failed else ""
    return f"{row.name}, seed {cell.seed}: {100 * (cell.accuracy or 0):.1f} %{failed}"


def _draw_row(
    canvas: Canvas, ax: Axes, place: int, row: VariantRow, cells: Sequence[Cell], look: plot.Style
) -> None:
    low = ax.get_xlim()[0]
    failed = sum(cell.failed is True for cell in cells)
    losing = sum((cell.metrics.get("num_lost_classes") or 0) > 0 for cell in cells)
    trouble = [f"{failed} failed"] * (failed > 0) + [f"{losing} lost a class"] * (losing > 0)
    ax.annotate(
        f"n={len(cells)}" + "".join(f", {words}" for words in trouble), (1.01, place),
        xycoords=("axes fraction", "data"), va="center", fontsize=9, fontweight="bold" if trouble else "normal",
        annotation_clip=False,
    )  # fmt: skip
    seen = sorted((cell for cell in cells if (cell.accuracy or 0) >= low), key=lambda cell: cell.accuracy or 0)
    for failed, marker in ((False, look.marker), (True, "x")):
        own = [cell for cell in seen if bool(cell.failed) is failed]
        if own:
            # neighbours stand a little above and below each other, so that equal ones are seen
            heights = [place + 0.16 * (-1, 0, 1)[number % 3] for number in range(len(own))]
            points = ax.scatter(
                [cell.accuracy or 0 for cell in own], heights, color=look.color, alpha=0.75,
                marker=marker, s=26, linewidth=1.4 if failed else 0,
            )  # fmt: skip
            canvas.mark(points, *(Mark(says(row, cell), row.variant_id, cell.cell_id) for cell in own))
    draw_below(canvas, ax, row, [cell for cell in cells if (cell.accuracy or 0) < low], look, at=(0.014, place))
    if row.median_test_accuracy is not None and row.median_test_accuracy >= low:
        [median] = ax.plot(row.median_test_accuracy, place, zorder=0.9, **_MEDIAN)
        said = f"{row.name}: median {100 * row.median_test_accuracy:.1f} %, {len(cells)} networks"
        canvas.mark(median, Mark(said, row.variant_id))


def draw_column(
    canvas: Canvas, ax: Axes, row: VariantRow, cells: Sequence[Cell], x: float, look: plot.Style, where: str = ""
) -> None:
    """A variant's networks above a place of the x axis, and their median, of which a page also says where."""
    low = ax.get_ylim()[0]
    seen = [cell for cell in cells if (cell.accuracy or 0) >= low]
    if seen:
        points = ax.scatter(
            [x] * len(seen), [cell.accuracy or 0 for cell in seen],
            color=look.color, marker=look.marker, s=14, alpha=0.45, linewidth=0,
        )  # fmt: skip
        canvas.mark(points, *(Mark(says(row, cell), row.variant_id, cell.cell_id) for cell in seen))
    if row.median_test_accuracy is not None:
        [median] = ax.plot(
            x, row.median_test_accuracy, color=look.color, marker=look.marker, markersize=8, linestyle="",
            markeredgecolor=plot.PAPER, markeredgewidth=0.8, zorder=3,
        )  # fmt: skip
        said = f"{row.name}: median {100 * row.median_test_accuracy:.1f} %{where}"
        canvas.mark(median, Mark(said, row.variant_id))
    below = [cell for cell in cells if (cell.accuracy or 0) < low]
    draw_below(canvas, ax, row, below, look, at=(x, 0.04), upright=True)


def draw_below(
    canvas: Canvas,
    ax: Axes,
    row: VariantRow,
    cells: Sequence[Cell],
    look: plot.Style,
    at: tuple[float, float],
    *,
    upright: bool = False,
) -> None:
    """Networks that an axis is too short for: one mark on its edge, with their number."""
    if not cells:
        return
    transform = ax.get_xaxis_transform() if upright else ax.get_yaxis_transform()
    marker = plot.BELOW if upright else {**plot.BELOW, "marker": "<"}
    [point] = ax.plot(*at, transform=transform, color=look.color, clip_on=False, zorder=4, **marker)
    listed = sorted(cells, key=lambda cell: -(cell.accuracy or 0))
    said = "\n".join(says(row, cell) for cell in listed[:8]) + ("\n…" if len(listed) > 8 else "")
    canvas.mark(point, Mark(said, row.variant_id, listed[0].cell_id))
    if len(cells) > 1:
        label = ax.annotate(
            f"{len(cells)}×", at, xycoords=transform, xytext=(0, 5) if upright else (6, 0), fontsize=8,
            textcoords="offset points", color=look.color, annotation_clip=False,
            ha="center" if upright else "left", va="bottom" if upright else "center",
        )  # fmt: skip
        canvas.belongs(label, row.variant_id)
