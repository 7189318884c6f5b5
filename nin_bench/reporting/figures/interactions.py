"""The figure of two choices in every combination: every network, and the medians of what is trained alike."""

from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nin_bench.analysis.analysis import Analysis, Cell
from nin_bench.analysis.interactions import Product
from nin_bench.analysis.tables import VariantRow
from nin_bench.reporting.figures.drawing import Canvas
from nin_bench.reporting.figures.plot_style import WIDTH, Style, styles, wrapped
from nin_bench.reporting.figures.seeds import accuracies_shown, accurate, draw_column, show_accuracies

MOST_PRODUCTS = 4


@dataclass(frozen=True)
class _Point:
    """A variant at its place."""

    x: float
    row: VariantRow
    cells: list[Cell]
    rate: str | None
    """The learning rate, where the model's variants differ in it."""


def draw_interactions(analysis: Analysis) -> Canvas | None:
    """A panel per product: test accuracy over one axis, a line for each level of the other."""
    rows = {row.label: row for row in analysis.comparison}
    products = [
        product
        for product in analysis.interactions
        if any(accurate(analysis, rows[cell.label]) for cell in product.cells)
    ][:MOST_PRODUCTS]
    if not products:
        return None
    panels = [_lines(analysis, product) for product in products]
    points = [point for lines in panels for line in lines.values() for point in line]
    cells = [cell for point in points for cell in point.cells]
    limits = accuracies_shown([point.row for point in points], cells)
    assert limits is not None, "a cell has an accuracy"
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    canvas = Canvas(
        figure,
        alt="Test accuracy of two choices in every combination: "
        + "; ".join(f"{product.axes[0]} by {product.axes[1]}" for product in products),
        caption="Large marks are medians over all networks, small marks single networks. Lines that run side "
        "by side mean that the effect of one choice does not depend on the other. Medians of variants "
        "with different learning rates are not joined.",
    )
    axes = figure.subplots(1, len(products), squeeze=False, sharey=True)[0]
    show_accuracies(axes[0], limits, num_ticks=6)
    for product, lines, ax in zip(products, panels, axes, strict=True):
        _draw_panel(canvas, ax, product, lines)
    return canvas


def _along(product: Product) -> int:
    """What lies along the page: the axis with more levels."""
    return 0 if len(product.levels[0]) >= len(product.levels[1]) else 1


def _lines(analysis: Analysis, product: Product) -> dict[str, list[_Point]]:
    """The variants along the page, by level of the other axis."""
    rows = {row.label: row for row in analysis.comparison}
    along = _along(product)
    others = product.levels[1 - along]
    lines = {}
    for number, level in enumerate(others):
        shift = 0.16 * (number - (len(others) - 1) / 2)
        mine = [cell for cell in product.cells if cell.levels[1 - along] == level]
        lines[level] = [
            _Point(
                x=place + shift,
                row=rows[cell.label],
                cells=accurate(analysis, rows[cell.label]),
                rate=analysis.names.fields.get(cell.label, {}).get("lr"),
            )
            for place, cell in enumerate(mine)
        ]
    return lines


def _draw_panel(canvas: Canvas, ax: Axes, product: Product, lines: dict[str, list[_Point]]) -> None:
    along = _along(product)
    levels = product.levels[along]
    looks = styles(list(lines))
    for level, points in lines.items():
        look = looks[level]
        for a, b in pairwise(points):
            if a.rate == b.rate:
                ends = [a.row.median_test_accuracy, b.row.median_test_accuracy]
                if None not in ends:
                    ax.plot([a.x, b.x], ends, color=look.color, linewidth=1.6)  # type: ignore[arg-type]
        for point in points:
            _draw_point(canvas, ax, point, look)
        ax.plot(
            [], [], color=look.color, marker=look.marker, label=wrapped(f"{product.axes[1 - along]}={level}", 30)
        )
    rates = _rates(lines)
    ax.set_xticks(range(len(levels)), [wrapped(level, 14) for level in levels])
    ax.set_xlim(-0.5, len(levels) - 0.5)
    ax.set_xlabel(product.axes[along] + (f"\nlearning rates: {rates}" if rates else ""))
    held = "".join(f" {key}={value}" for key, value in product.held.items())
    ax.set_title(wrapped(f"{product.model}{held}", 40), pad=16)
    ax.legend(frameon=False, loc="best")


def _rates(lines: dict[str, list[_Point]]) -> str:
    """The learning rates level by level, where they differ."""
    if len({point.rate for points in lines.values() for point in points}) < 2:
        return ""
    return "; ".join(
        f"{level}: {', '.join(str(point.rate) for point in points)}" for level, points in lines.items()
    )


def _draw_point(canvas: Canvas, ax: Axes, point: _Point, look: Style) -> None:
    draw_column(canvas, ax, point.row, point.cells, point.x, look)
    if failed := sum(cell.failed is True for cell in point.cells):
        ax.annotate(
            f"{failed} of {len(point.cells)} failed", (point.x, 1.01), xycoords=ax.get_xaxis_transform(),
            ha="center", fontsize=8, color=look.color, annotation_clip=False,
        )  # fmt: skip
