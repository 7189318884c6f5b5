"""Figures of costs: where parameters, MACs and time sit, and how near to the machine's limits each layer works."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

from nin_bench.analysis.costs import KINDS, CostRow
from nin_bench.report.look import (
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
from nin_bench.report.text import human_count
from nin_bench.results.cost_entry import Breakdown, CostEntry, Layer

_GREY: Any = "0.75"
_ROOF: Any = {"color": "0.25", "linewidth": 1.1, "zorder": 1.5}
_OTHER_ROOF: Any = {"color": "0.6", "linewidth": 0.9, "linestyle": (0, (4, 2)), "zorder": 1}
_ROOFS = {"bf16": "bf16_flops_per_second", "fp32": "fp32_flops_per_second"}
_LARGEST_MARK = 160
"""Square points, of a layer that takes all of the time."""


Counts = dict[str, float] | None
"""By kind of layer; None where not measured."""


def draw_cost_shares(rows: Sequence[CostRow]) -> Picture | None:
    """Three bars per variant, of its parameters, MACs and measured time by kind of layer.

    Returns:
        None without a variant.
    """
    if not rows:
        return None
    labels = [wrapped(row.name, 30) for row in rows]
    height = 0.14 + 0.15 * max(label.count("\n") + 1 for label in labels)
    with theme():
        figure = Figure(figsize=(WIDTH, 1.3 + height * len(rows)), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        bars: tuple[tuple[str, list[Counts], Callable[[float], str]], ...] = (
            ("parameters", [by_kind(row.entry.num_params) for row in rows], human_count),
            ("MACs per image", [by_kind(row.entry.num_macs) for row in rows], human_count),
            ("measured time per image", [row.seconds_by_kind for row in rows], _human_seconds),
        )
        for ax, (title, parts, shown) in zip(panels, bars, strict=True):
            for place, counts in enumerate(parts):
                _draw_bar(ax, place, counts, shown)
            ax.set_title(title)
            ax.set_xlim(0, 1)
            ax.xaxis.set_major_formatter(percent_tick)
            ax.set_xticks([0, 0.5, 1])
            ax.tick_params(axis="y", length=0)
            ax.grid(visible=False)
            for side in ("left", "bottom"):
                ax.spines[side].set_visible(False)
        panels[0].set_yticks(range(len(rows)), labels)
        panels[0].set_ylim(len(rows) - 0.5, -0.5)
        present = {kind for _, parts, _ in bars for counts in parts if counts for kind in counts if counts[kind]}
        handles: list[tuple[Artist, str]] = [
            (Patch(color=kind_styles()[kind].color, linewidth=0), title)
            for kind, title in KINDS.items()
            if kind in present
        ]
        legend_below(figure, handles, columns=4)
        return render(figure)


def draw_roofline(rows: Sequence[CostRow]) -> Picture | None:
    """A panel per variant: every layer's speed in its forward pass over its operations per byte, below the roof.

    Returns:
        None where no layer was timed, or the machine's ceilings were not measured.
    """
    drawn = [row for row in rows if layer_points(row.entry) and roofs_of(row.entry)]
    if not drawn:
        return None
    with theme():
        figure, panels = grid_of_panels(len(drawn), "operations per byte", "operations per second")
        left, right, low, high = _extent([row.entry for row in drawn])
        for row, ax in zip(drawn, panels, strict=True):
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_xlim(left, right)
            ax.set_ylim(low, high)
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_minor_formatter(NullFormatter())
                axis.set_major_formatter(lambda value, _: human_count(value))
            ax.set_title(wrapped(row.name, 32))
            _draw_roofs(ax, row.entry, (left, right))
            _draw_layers(ax, row.entry)
        kinds = {layer.kind for row in drawn for _, _, layer in layer_points(row.entry)}
        handles: list[tuple[Artist, str]] = [
            (_mark(kind_styles()[kind]), title) for kind, title in KINDS.items() if kind in kinds
        ]
        handles.append((Line2D([], [], **_ROOF), "roof at the precision trained in"))
        if any(len(roofs_of(row.entry)) > 1 for row in drawn):
            handles.append((Line2D([], [], **_OTHER_ROOF), "ceiling of the other precision"))
        legend_below(figure, handles, columns=3)
        return render(figure)


def kind_styles() -> dict[str, Style]:
    """Those of the kinds, grey for what has no weights."""
    return styles(["convolution", "pointwise", "dense"]) | {"other": Style(_GREY, "X")}


def by_kind(counts: Breakdown) -> dict[str, float]:
    """The parts of a count, with what is in the total beyond them as the fourth."""
    known = {"convolution": counts.convolution, "pointwise": counts.pointwise, "dense": counts.dense}
    return {**known, "other": counts.total - sum(known.values())}


def _draw_bar(ax: Axes, place: int, counts: Counts, shown: Callable[[float], str]) -> None:
    total = sum(counts.values()) if counts else 0
    if not counts or not total:
        ax.text(0.5, place, "none" if counts else "not measured", ha="center", va="center", color=QUIET)
        return
    start = 0.0
    for kind, count in counts.items():
        share = count / total
        color = kind_styles()[kind].color
        ax.barh(place, share, left=start, height=0.62, color=color, edgecolor="white", linewidth=0.6)
        if share >= 0.12:
            color = "black" if kind == "other" else "white"
            ax.text(
                start + share / 2, place, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=color
            )
        start += share
    ax.text(1.02, place, shown(total), va="center", fontsize=8.5, clip_on=False)


def _human_seconds(value: float) -> str:
    return f"{1e3 * value:.3g} ms" if value >= 1e-3 else f"{1e6 * value:.3g} µs"


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
        look = _ROOF if precision == entry.setting.precision else _OTHER_ROOF
        places = [ends[0], flops / bandwidth, ends[1]]
        ax.plot(places, [min(flops, bandwidth * x) for x in places], **look)
    # in the corner above the slope, where no layer can be
    named = [f"{precision} {human_count(flops)}/s" for precision, flops in roofs.items()]
    ax.text(
        0.02, 0.97, "\n".join([*named, f"copy {human_count(bandwidth)}B/s"]), transform=ax.transAxes,
        va="top", fontsize=7.5, color=_ROOF["color"],
    )  # fmt: skip


def _draw_layers(ax: Axes, entry: CostEntry) -> None:
    points = layer_points(entry)
    total = math.fsum(layer.forward_seconds or 0.0 for layer in entry.layers)
    for kind in KINDS:
        mine = [(x, y, layer.forward_seconds or 0.0) for x, y, layer in points if layer.kind == kind]
        style = kind_styles()[kind]
        ax.scatter(
            [x for x, _, _ in mine], [y for _, y, _ in mine],
            s=[12 + _LARGEST_MARK * seconds / total for _, _, seconds in mine],
            color=style.color, marker=style.marker, alpha=0.8, edgecolor="white", linewidth=0.6, zorder=2,
        )  # fmt: skip


def _mark(style: Style) -> Line2D:
    return Line2D([], [], linestyle="", markersize=7, color=style.color, marker=style.marker)
