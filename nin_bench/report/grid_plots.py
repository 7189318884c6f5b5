"""Figures of a product of two axes, and of the classes that networks take for each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from nin_bench.analysis.interactions import Product
from nin_bench.analysis.names import Names
from nin_bench.analysis.predictions import Confusion
from nin_bench.analysis.tables import VariantRow
from nin_bench.report.look import WIDTH, Picture, Style, percent_tick, render, styles, theme, wrapped

MOST_PRODUCTS = 4


@dataclass(frozen=True)
class Line:
    """One level of a product over the levels of its other axis; lists by those."""

    name: str
    style: Style
    means: list[float | None]
    half_intervals: list[float]
    """Of the mean, at 95 %."""
    counts: list[int]
    """Healthy networks."""


@dataclass(frozen=True)
class Panel:
    """A product as it is drawn."""

    title: str
    axis: str
    """What lies along the page: the axis with more levels."""
    levels: list[str]
    lines: list[Line]


def interaction_panels(products: Sequence[Product]) -> list[Panel]:
    """The products that have a healthy network, at most `MOST_PRODUCTS`."""
    known = [one for one in products if any(cell.mean is not None for cell in one.cells)]
    return [_panel(product) for product in known[:MOST_PRODUCTS]]


def _panel(product: Product) -> Panel:
    along = 0 if len(product.levels[0]) >= len(product.levels[1]) else 1
    lines = []
    for level, style in styles(product.levels[1 - along]).items():
        cells = [cell for cell in product.cells if cell.levels[1 - along] == level]
        lines.append(
            Line(
                name=f"{product.axes[1 - along]}={level}",
                style=style,
                means=[cell.mean for cell in cells],
                half_intervals=[_half_interval(cell.sd, cell.n) for cell in cells],
                counts=[cell.n for cell in cells],
            )
        )
    held = "".join(f" {key}={value}" for key, value in product.held.items())
    return Panel(f"{product.model}{held}", product.axes[along], product.levels[along], lines)


def draw_interactions(products: Sequence[Product]) -> Picture | None:
    """A panel per product: test accuracy over one axis, a line for each level of the other.

    Returns:
        None where no cell of any product has a healthy network.
    """
    drawn = interaction_panels(products)
    if not drawn:
        return None
    with theme():
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        panels = figure.subplots(1, len(drawn), squeeze=False)[0]
        for panel, ax in zip(drawn, panels, strict=True):
            for number, line in enumerate(panel.lines):
                places = np.arange(len(panel.levels)) + 0.06 * (number - (len(panel.lines) - 1) / 2)
                rows = zip(places, line.means, line.half_intervals, line.counts, strict=True)
                known = [(x, mean, half, n) for x, mean, half, n in rows if mean is not None]
                ax.errorbar(
                    [x for x, *_ in known],
                    [mean for _, mean, _, _ in known],
                    yerr=[half for _, _, half, _ in known],
                    color=line.style.color, marker=line.style.marker, linewidth=1.6, capsize=3,
                    label=wrapped(line.name, 30),
                )  # fmt: skip
                side = -1 if number % 2 == 0 else 1
                for x, mean, _, n in known:
                    ax.annotate(
                        f"n={n}", (x, mean), xytext=(5 * side, 5), textcoords="offset points",
                        ha="right" if side < 0 else "left", fontsize=7.5, color=line.style.color,
                        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.5},
                    )  # fmt: skip
            ax.set_xticks(range(len(panel.levels)), [wrapped(level, 14) for level in panel.levels])
            ax.set_xlim(-0.4, len(panel.levels) - 0.6)
            ax.set_xlabel(panel.axis)
            ax.set_title(wrapped(panel.title, 40))
            ax.yaxis.set_major_formatter(percent_tick)
            ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            ax.legend(frameon=False, loc="best")
        panels[0].set_ylabel("test accuracy given healthy")
        return render(figure)


def notable(confusions: Sequence[Confusion], rows: Sequence[VariantRow]) -> list[Confusion]:
    """Those of the baseline and of the variant that classifies best given healthy, which may be one."""
    known = {one.variant_id: one for one in confusions}
    baseline = [row.variant_id for row in rows if row.baseline]
    by_accuracy = sorted(rows, key=lambda row: row.test_accuracy_given_healthy.mean or 0.0, reverse=True)
    wanted = dict.fromkeys([*baseline, *(row.variant_id for row in by_accuracy[:1])])
    return [known[key] for key in wanted if key in known]


def draw_confusions(confusions: Sequence[Confusion], names: Names) -> Picture | None:
    """A matrix per variant: what each class's test images were taken for.

    Args:
        confusions: the variants to draw, at most two; those without a matrix are left out.
        names: of the variants.

    Returns:
        None without a matrix.
    """
    drawn = [(one, one.matrix) for one in confusions if one.matrix is not None]
    if not drawn:
        return None
    with theme():
        figure = Figure(figsize=(WIDTH, 4.7 if len(drawn) > 1 else 7), layout="constrained")
        panels = figure.subplots(1, len(drawn), squeeze=False)[0]
        # the same columns in both, so that their squares are of one size
        silent = any(row[-1] for _, matrix in drawn for row in matrix)
        for (one, matrix), ax in zip(drawn, panels, strict=True):
            shown = np.array(matrix)[:, : None if silent else -1]
            columns = [*one.classes, "nothing"][: shown.shape[1]]
            ax.imshow(shown, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
            for (row, column), share in np.ndenumerate(shown):
                if share > 0.005:
                    ax.text(
                        column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7,
                        color="white" if share > 0.35 else "black",
                    )  # fmt: skip
            ax.set_xticks(
                range(len(columns)), [wrapped(name, 16) for name in columns], rotation=60, ha="right",
                rotation_mode="anchor",
            )  # fmt: skip
            ax.set_yticks(range(len(one.classes)), [wrapped(name, 16) for name in one.classes])
            ax.grid(visible=False)
            ax.set_xlabel("predicted")
            ax.set_title(f"{wrapped(names[one.label], 44)}\nmean of {one.num_cells} networks")
        panels[0].set_ylabel("true class")
        return render(figure)


def _half_interval(sd: float | None, n: int) -> float:
    """Half the 95 % t-interval of a mean; none with one value."""
    return 0.0 if sd is None else float(stats.t.isf(0.025, n - 1) * sd / np.sqrt(n))
