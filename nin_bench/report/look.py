"""How every figure looks: theme, colours and markers, legends outside the data, the same bytes each time.

A variant has the same colour and marker in every figure; with both, 72 of them can be told apart, also by
a reader who sees no colour.
"""

import io
import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from nin_bench.errors import printable
from nin_bench.report.text import shortened

WIDTH = 9.0
"""Inches. A page on GitHub is some 900 pixels wide, so that a point comes out as 1.4 pixels."""

_PALETTE = sns.color_palette("colorblind")
# without its light pink, yellow and grey: too faint on white, and grey is what stands in the background
_COLORS = [*(_PALETTE[i] for i in (0, 1, 2, 3, 4, 5, 9)), to_rgb("#9b2f6b"), to_rgb("#7f8c1f")]
_MARKERS = "osD^P>X<"  # no v: hollow, it stands for collapsed seeds

QUIET = "0.55"
"""The grey of what explains: keys in a legend, the Pareto front."""

FAINT = "0.8"
"""The grey of what stands in the background."""

BELOW: Any = {"marker": "v", "markerfacecolor": "none", "markersize": 6, "linestyle": ""}
"""The mark of a seed that the axis is too short for."""


@dataclass(frozen=True)
class Picture:
    """A figure as two files' contents."""

    svg: bytes
    png: bytes


@dataclass(frozen=True)
class Style:
    """How a variant looks, in every figure."""

    color: Any
    marker: str


def styles(variant_ids: Sequence[str]) -> dict[str, Style]:
    """A colour and a marker for each variant, by its place in the grid."""
    return {
        variant_id: Style(_COLORS[i % len(_COLORS)], _MARKERS[i % len(_MARKERS)])
        for i, variant_id in enumerate(variant_ids)
    }


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
        ax.set_facecolor("0.96")
        for side in ("left", "top", "right"):
            ax.spines[side].set_visible(False)
        ax.tick_params(axis="x", length=3 if ax is strips[-1] else 0)
    return figure, strips


def head_notes(strip: Axes, heading: str) -> None:
    """Say over the first strip what stands on the right of each."""
    strip.annotate(
        heading, (1.01, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
        fontsize=9, color="0.4",
    )  # fmt: skip


def legend_below(figure: Figure, handles: Sequence[tuple[Artist, str]], columns: int) -> None:
    """Put a legend where it can cover no data: into the figure's empty panels, or else under it."""
    empty = [ax for ax in figure.axes if not ax.axison]
    if len(empty) > 1:
        legend = empty[0].legend(
            [handle for handle, _ in handles],
            [label for _, label in handles],
            loc="center left",
            ncols=1 if len(handles) < 6 else 2,
            frameon=False,
        )
        legend.set_in_layout(False)  # it may reach into the panels beside its own
        return
    figure.legend(
        [handle for handle, _ in handles],
        [label for _, label in handles],
        loc="outside lower center",
        ncols=min(columns, len(handles)),
        frameon=False,
    )


def percent_tick(share: float, position: float) -> str:
    """A share as an axis shows it; `position` is matplotlib's, and of no matter."""
    return f"{100 * share:.4g} %"


def wrapped(label: str, width: int) -> str:
    """A label in at most three lines of `width` letters."""
    lines = "\n".join(textwrap.wrap(shortened(printable(label), 3 * width), width))
    # matplotlib drops labels that begin with an underscore
    return f" {lines}" if lines.startswith("_") else lines


@contextmanager
def theme() -> Iterator[None]:
    """Draw within this: seaborn's theme, and settings that make the same figure the same bytes."""
    settings: Any = {
        **sns.axes_style("ticks", {"axes.spines.right": False, "axes.spines.top": False}),
        "axes.grid": True,
        "grid.color": "0.92",
        "grid.linewidth": 0.7,
        "axes.axisbelow": True,
        "axes.edgecolor": "0.4",
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.labelsize": 10,
        "legend.fontsize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "savefig.facecolor": "white",
        "text.parse_math": False,  # a label may hold dollars
        "svg.hashsalt": "nin_bench",  # ids that do not change from run to run
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def render(figure: Figure) -> Picture:
    """The figure as SVG and PNG, without a date."""
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.execute(figure)
    figure.set_layout_engine(None)  # once for both: the layout is much of the time, and with any engine set, even
    # one that does nothing, savefig draws everything twice
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    return Picture(svg=svg.getvalue(), png=png.getvalue())
