"""How every figure looks: theme, colours, markers, panels, legends outside the data.

A variant has the same colour and marker in every figure. The two have lengths without a common divisor, so that 72
variants can be told apart, also by a reader who sees no colour.

Only the colours of this module appear in a figure: the page replaces each by one that follows its theme.
"""

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from nin_bench.analysis.tables import VariantRow
from nin_bench.errors import printable
from nin_bench.reporting.text import shortened

WIDTH = 9.0
"""Inches. A page on GitHub is some 900 pixels wide, so that a point comes out as 1.4 pixels."""

MAX_DRAWN = 24
"""Variants that a figure can hold and still be read; the tables have them all."""

MOST_SEEDS_DRAWN = 50
"""Single networks of a variant that can be told apart at all; means, ranges and counts are of all."""

INK = "#1c2024"
"""The colour of text and axes and, more transparent, of all that is grey; it becomes the page's `currentColor`."""

PAPER = "#ffffff"
"""The background; it becomes the page's."""

PALETTE = (
    ("#0173b2", "#56aee8"),
    ("#b97a00", "#e8b64c"),
    ("#008a63", "#3cc79a"),
    ("#b3242b", "#ff7f78"),
    ("#a8559a", "#e5a0da"),
    ("#6b4a2e", "#c99f78"),
    ("#1f97b0", "#8fe0ee"),
    ("#8f2560", "#f06fae"),
    ("#717d17", "#bcc740"),
)
"""Colours of variants, on a light and on a dark background; each has a contrast of at least 3 to its own."""

MARKERS = "osD^P>X<"
"""Markers of variants. A hollow `v` is none of them: it stands for networks below the axis."""

BLUE, RED = PALETTE[0][0], PALETTE[3][0]

CROSSED: Any = {"marker": "x", "markersize": 5.5, "markeredgewidth": 1.4, "linestyle": ""}
"""The mark of a network that failed."""

BELOW: Any = {"marker": "v", "markerfacecolor": "none", "markersize": 6, "linestyle": ""}
"""The mark of networks that the axis is too short for."""


def ink(alpha: float) -> Any:
    """A grey: text's colour, and how much of it covers the background."""
    return to_rgba(INK, alpha)


QUIET = ink(0.62)
"""The grey of what explains, such as keys in a legend."""

FAINT = ink(0.25)
"""The grey of what stands in the background."""


@dataclass(frozen=True)
class Style:
    """How a variant looks, in every figure."""

    color: Any
    marker: str


def styles(keys: Sequence[str]) -> dict[str, Style]:
    """A colour and a marker for each of these, by its place."""
    return {key: Style(PALETTE[i % len(PALETTE)][0], MARKERS[i % len(MARKERS)]) for i, key in enumerate(keys)}


def notable(rows: Sequence[VariantRow]) -> list[VariantRow]:
    """The baseline, and the other variant with the best median accuracy: for figures that hold two."""
    baseline = [row for row in rows if row.baseline]
    others = [row for row in rows if not row.baseline and row.median_test_accuracy is not None]
    return [*baseline, *sorted(others, key=lambda row: -(row.median_test_accuracy or 0.0))[:1]]


def grid_of_panels(count: int, x_label: str, y_label: str) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels that share both axes, at most three side by side."""
    columns = 2 if count in (2, 4) else min(count, 3)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(WIDTH, 1.1 + 1.95 * lines), layout="constrained")
    panels = list(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat)
    for unused in panels[count:]:
        unused.set_axis_off()
    for first in panels[:count:columns]:
        first.set_ylabel(y_label)
    for last in panels[count - columns : count]:
        last.tick_params(labelbottom=True)
        last.set_xlabel(x_label)
    return figure, panels[:count]


def figure_of_strips(labels: Sequence[str], legend_lines: int = 0) -> tuple[Figure, list[Axes]]:
    """A figure of one strip per label, each filled from 0 to 1, and room for a legend; all share their x axis."""
    height = 0.75 + 0.36 * len(labels) + 0.25 * legend_lines
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    strips = list(figure.subplots(len(labels), 1, sharex=True, squeeze=False)[:, 0])
    for label, ax in zip(labels, strips, strict=True):
        ax.set_ylim(0, 1.12)
        ax.set_yticks([])
        ax.set_ylabel(wrapped(label, 44), rotation=0, ha="right", va="center", fontsize=9, labelpad=8)
        ax.set_facecolor(ink(0.04))
        for side in ("left", "top", "right"):
            ax.spines[side].set_visible(False)
        ax.tick_params(axis="x", length=3 if ax is strips[-1] else 0)
    return figure, strips


def without_frame(ax: Axes, axis: Literal["y", "both"] = "y") -> None:
    """Leave out grid, spines and the ticks of an axis, where what is drawn has edges of its own."""
    ax.grid(visible=False)
    ax.tick_params(axis=axis, length=0)
    ax.spines[["left", "bottom"]].set_visible(False)


def matrix_axes(ax: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Axes with a square for every pair of names, the first row on top."""
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_aspect("equal")
    names = [wrapped(name, 16) for name in columns]
    ax.set_xticks(range(len(columns)), names, rotation=60, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), [wrapped(name, 16) for name in rows])
    without_frame(ax, "both")


def square(x: float, y: float, side: float) -> list[tuple[float, float]]:
    """The corners of a square around a place."""
    half = side / 2
    return [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]


def head_notes(strip: Axes, heading: str) -> None:
    """Say over the first strip what stands on the right of each."""
    strip.annotate(
        heading, (1.01, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
        fontsize=9, color=QUIET,
    )  # fmt: skip


def legend_below(figure: Figure, handles: Sequence[tuple[Artist, str]], columns: int) -> list[Artist]:
    """Put a legend where it covers no data: into the figure's empty panels, or else under it.

    Returns:
        The text of each entry.
    """
    empty = [ax for ax in figure.axes if not ax.axison]
    keys, labels = [handle for handle, _ in handles], [label for _, label in handles]
    if len(empty) > 1:
        legend = empty[0].legend(
            keys, labels, loc="center left", ncols=1 if len(handles) < 6 else 2, frameon=False
        )
        legend.set_in_layout(False)  # it may reach into the panels beside its own
    else:
        legend = figure.legend(
            keys, labels, loc="outside lower center", ncols=min(columns, len(handles)), frameon=False
        )
    return list(legend.get_texts())


def percent_tick(share: float, position: float) -> str:
    """A share as an axis shows it; `position` is matplotlib's, and of no matter."""
    return f"{100 * share:.4g} %"


def wrapped(label: str, width: int) -> str:
    """A label in at most three lines of `width` letters."""
    lines = "\n".join(textwrap.wrap(shortened(printable(label), 3 * width), width))
    # matplotlib drops labels that begin with an underscore
    return f" {lines}" if lines.startswith("_") else lines


def left_out(num_variants: int, num_seeds: int = 0) -> str:
    """What a figure has no room for, as the end of its caption."""
    found = ""
    if num_variants > MAX_DRAWN:
        found += f" Drawn are the first {MAX_DRAWN} of {num_variants} variants, in the grid's order."
    if num_seeds > MOST_SEEDS_DRAWN:
        found += f" Single networks are the first {MOST_SEEDS_DRAWN} of a variant; means and ranges are of all."
    return found


def page_colors() -> dict[str, str]:
    """What each colour of a figure becomes in a page."""
    series = {light: f"var(--series-{number})" for number, (light, _) in enumerate(PALETTE)}
    return {INK: "currentColor", PAPER: "var(--page)", **series}


def page_style() -> str:
    """The rules of a page's style sheet that give these colours their values."""
    series = "".join(f"--series-{n}:light-dark({light},{dark});" for n, (light, dark) in enumerate(PALETTE))
    return f":root{{{series}}}\n"


@contextmanager
def theme() -> Iterator[None]:
    """Draw within this: seaborn's theme, and settings that make the same figure the same bytes."""
    settings: Any = {
        **sns.axes_style("ticks", {"axes.spines.right": False, "axes.spines.top": False}),
        "axes.grid": True,
        "grid.color": INK,
        "grid.alpha": 0.1,
        "grid.linewidth": 0.7,
        "axes.axisbelow": True,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.facecolor": "none",
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.labelsize": 10,
        "legend.fontsize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "axes.linewidth": 0.8,
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "text.parse_math": False,  # a label may hold dollars
        "svg.fonttype": "none",  # text, so that it can be searched, and every script has a font where it is read
        "svg.hashsalt": "nin_bench",  # ids that do not change from run to run
    }
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()  # whatever the user's own matplotlibrc says
        mpl.rcParams.update(settings)
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
