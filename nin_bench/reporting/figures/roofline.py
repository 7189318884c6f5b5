"""The figure of how near to the machine's limits each layer works, of the baseline and one other variant."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.costs import KINDS, CostRow
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.cost_shares import kind_styles, own_costs
from nin_bench.reporting.figures.drawing import Canvas, Mark
from nin_bench.reporting.text import human_count
from nin_bench.results.cost_entry import CostEntry, Layer

_ROOF: Any = {"color": plot.INK, "linewidth": 1.1, "zorder": 1.5}
_OTHER_ROOF: Any = {"color": plot.ink(0.5), "linewidth": 0.9, "linestyle": (0, (4, 2)), "zorder": 1}
_ROOFS = {"bf16": "bf16_flops_per_second", "fp32": "fp32_flops_per_second"}
_LARGEST_MARK = 160
"""Square points, of a layer that takes all of the time."""


def draw_roofline(analysis: Analysis) -> Canvas | None:
    """A panel per variant: each layer's speed in its forward pass over its operations per byte, below the roof."""
    measured = [row for row in own_costs(analysis) if layer_points(row.entry) and roofs_of(row.entry)]
    known = {row.variant_id: row for row in measured}
    drawn = [
        known[row.variant_id] for row in plot.notable(analysis.comparison) if row.variant_id in known
    ] or measured[:1]
    if not drawn:
        return None
    figure, panels = plot.grid_of_panels(len(drawn), "operations per byte", "operations per second")
    figure.set_figheight(4.2)
    canvas = Canvas(
        figure,
        alt=f"Speed of every layer under the machine's roof, of {' and of '.join(row.name for row in drawn)}",
        caption="Each mark is a layer in its forward pass, the larger the more time it takes. The line is the "
        "most that the machine can do: below its slope a layer waits for memory, below its flat part "
        "for arithmetic. A mark above it worked in caches that are faster than memory. Shown are the "
        "baseline and the other variant with the best median accuracy.",
    )
    left, right, low, high = _extent([row.entry for row in drawn])
    for row, ax in zip(drawn, panels, strict=True):
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlim(left, right)
        ax.set_ylim(low, high)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(lambda value, _: human_count(value))
        ax.set_title(plot.wrapped(row.name, 44) + (" (baseline)" if row.baseline else ""))
        _draw_roofs(ax, row.entry, (left, right))
        _draw_layers(canvas, ax, row)
    kinds = {layer.kind for row in drawn for _, _, layer in layer_points(row.entry)}
    handles: list[tuple[Artist, str]] = [
        (_mark(kind_styles()[kind]), title) for kind, title in KINDS.items() if kind in kinds
    ]
    handles.append((Line2D([], [], **_ROOF), "roof at the precision trained in"))
    if any(len(roofs_of(row.entry)) > 1 for row in drawn):
        handles.append((Line2D([], [], **_OTHER_ROOF), "ceiling of the other precision"))
    plot.legend_below(figure, handles, columns=3)
    return canvas


def _extent(entries: Sequence[CostEntry]) -> tuple[float, float, float, float]:
    """Left, right, bottom and top: all layers and every ridge, with the roof's slope in view."""
    points = [point for entry in entries for point in layer_points(entry)]
    roofs = [(flops, copy_bandwidth(entry)) for entry in entries for flops in roofs_of(entry).values()]
    ridges = [flops / bandwidth for flops, bandwidth in roofs]
    left, right = (
        min([x for x, _, _ in points] + [ridge / 20 for ridge in ridges]),
        max([x for x, _, _ in points] + ridges),
    )
    top = max(flops for flops, _ in roofs)
    return left / 2, right * 3, min([top / 100, *(y / 2 for _, y, _ in points)]), top * 6


def layer_points(entry: CostEntry) -> list[tuple[float, float, Layer]]:
    """Operations per byte and per second of each layer that computes and was timed."""
    return [
        (layer.flops_per_byte, layer.flops / layer.forward_seconds, layer)
        for layer in entry.layers
        if layer.flops and layer.flops_per_byte and layer.forward_seconds
    ]


def roofs_of(entry: CostEntry) -> dict[str, float]:
    """The ceilings by precision; none without the speed of a copy, the roof's other half.

    They are the highest of all rounds: what was measured beside something else is no ceiling.
    """
    if not copy_bandwidth(entry):
        return {}
    highest = {name: _highest(entry, key) for name, key in _ROOFS.items()}
    return {name: flops for name, flops in highest.items() if flops}


def copy_bandwidth(entry: CostEntry) -> float:
    """Bytes per second of a copy, the slope of the roof; 0 where it was not measured."""
    return _highest(entry, "copy_bytes_per_second")


def _highest(entry: CostEntry, ceiling: str) -> float:
    """0 where it was not measured."""
    found = (entry.ceilings or {}).get(ceiling)
    return max(found.samples) if found else 0.0


def _draw_roofs(ax: Axes, entry: CostEntry, ends: tuple[float, float]) -> None:
    bandwidth, roofs = copy_bandwidth(entry), roofs_of(entry)
    for precision, flops in roofs.items():
        look = _ROOF if (precision == "fp32") == (entry.setting.precision == "fp32") else _OTHER_ROOF
        places = [ends[0], flops / bandwidth, ends[1]]
        ax.plot(places, [min(flops, bandwidth * x) for x in places], **look)
    # in the corner above the slope, where no layer can be
    named = [f"{precision} {human_count(flops)}/s" for precision, flops in roofs.items()]
    ax.text(
        0.02, 0.97, "\n".join([*named, f"copy {human_count(bandwidth)}B/s"]), transform=ax.transAxes,
        va="top", fontsize=7.5, color=_ROOF["color"],
    )  # fmt: skip


def _draw_layers(canvas: Canvas, ax: Axes, row: CostRow) -> None:
    points = layer_points(row.entry)
    total = math.fsum(layer.forward_seconds or 0.0 for layer in row.entry.layers)
    for kind in KINDS:
        mine = [(x, y, layer) for x, y, layer in points if layer.kind == kind]
        if not mine:
            continue
        style = kind_styles()[kind]
        shares = [(layer.forward_seconds or 0.0) / total for _, _, layer in mine]
        drawn = ax.scatter(
            [x for x, _, _ in mine], [y for _, y, _ in mine], s=[12 + _LARGEST_MARK * share for share in shares],
            color=style.color, marker=style.marker, alpha=0.8, edgecolor=plot.PAPER, linewidth=0.6, zorder=2,
        )  # fmt: skip
        canvas.mark(
            drawn,
            *(Mark(f"{layer.name}: {human_count(y)} operations per second at {x:.3g} per byte, "
                   f"{100 * share:.1f} % of the forward pass")
              for (x, y, layer), share in zip(mine, shares, strict=True)),
        )  # fmt: skip


def _mark(style: plot.Style) -> Line2D:
    return Line2D([], [], linestyle="", markersize=7, color=style.color, marker=style.marker)
