"""Figures of probes: accuracy over moved images and over sizes, and what class maps show."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.probes import MappedNetwork, ProbedVariant, ProbePoint
from nin_bench.errors import counted
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.drawing import Canvas, Mark
from nin_bench.results.probes import THUMBNAIL

_MOST_SQUARES = 5_000
"""The most squares of a figure of class maps: a page has to hold them all."""
_FAINTEST = 0.02
"""A square that fills less of its room is not drawn."""

_Square = list[tuple[float, float]]


def draw_probe_shift(analysis: Analysis) -> Canvas | None:
    """Accuracy over the pixels that test images are moved by; None if that was not asked."""
    return _draw_accuracies(analysis, "test images moved by, pixels", lambda one: one.shift)


def draw_probe_resolution(analysis: Analysis) -> Canvas | None:
    """Accuracy over the size of the test images; None if that was not asked, or no network can take any."""
    return _draw_accuracies(analysis, "size of the test images, pixels", lambda one: one.resolution)


def _draw_accuracies(
    analysis: Analysis, along: str, points_of: Callable[[ProbedVariant], Sequence[ProbePoint]]
) -> Canvas | None:
    found = analysis.probes.variants if analysis.probes else []
    lines = {
        one.variant_id: [(point.at, point.accuracy) for point in points_of(one) if point.accuracy.n]
        for one in found
    }
    rows = [row for row in analysis.comparison[: plot.MAX_DRAWN] if lines.get(row.variant_id)]
    if not rows:
        return None
    figure = Figure(figsize=(plot.WIDTH, 4.2 + 0.25 * ((len(rows) + 1) // 2)), layout="constrained")
    ax = figure.subplots()
    canvas = Canvas(
        figure,
        alt=f"Test accuracy of {counted(len(rows), 'variant')} by {along}",
        caption="Marks are means over networks, bars one standard deviation to either side."
        + plot.left_out(len(analysis.comparison)),
    )
    looks = plot.styles([row.variant_id for row in analysis.comparison])
    places = sorted({at for row in rows for at, _ in lines[row.variant_id]})
    step = 0.012 * (places[-1] - places[0] or 1)
    handles: list[tuple[Artist, str]] = []
    for number, row in enumerate(rows):
        look, points = looks[row.variant_id], lines[row.variant_id]
        x = [at + step * (number - (len(rows) - 1) / 2) for at, _ in points]
        means = [spread.mean or 0.0 for _, spread in points]
        deviations = [spread.sd or 0.0 for _, spread in points]
        [line] = ax.plot(x, means, color=look.color, linewidth=1.4)
        canvas.belongs(line, row.variant_id)
        bars = ax.vlines(
            x,
            [mean - sd for mean, sd in zip(means, deviations, strict=True)],
            [mean + sd for mean, sd in zip(means, deviations, strict=True)],
            color=look.color,
            linewidth=1.1,
        )
        canvas.belongs(bars, row.variant_id)
        dots = ax.scatter(x, means, color=look.color, marker=look.marker, s=28, zorder=3)
        canvas.mark(
            dots,
            *(
                Mark(f"{row.name}, {at} pixels: {100 * (spread.mean or 0):.1f} % (n={spread.n})", row.variant_id)
                for at, spread in points
            ),
        )
        handles.append(
            (Line2D([], [], color=look.color, marker=look.marker, markersize=5), plot.wrapped(row.name, 44))
        )
    ax.set_xticks(places)
    ax.set_xlabel(along)
    ax.set_ylabel("test accuracy")
    ax.yaxis.set_major_formatter(plot.percent_tick)
    for row, entry in zip(rows, plot.legend_below(figure, handles, 2), strict=True):
        canvas.switch(entry, row.variant_id)
    return canvas


def draw_class_maps(analysis: Analysis) -> Canvas | None:
    """A row per test image, a column per class: what the class's map shows; of at most two variants."""
    known = {one.variant_id: one for one in analysis.probes.networks} if analysis.probes else {}
    order = [*(row.variant_id for row in plot.notable(analysis.comparison)), *known]
    drawn = [known[key] for key in dict.fromkeys(order) if key in known][:2]
    if not drawn:
        return None
    num_squares = sum(
        THUMBNAIL**2 + sum(len(row) for rows in image.maps for row in rows)
        for one in drawn
        for image in one.images
    )
    if num_squares > _MOST_SQUARES:
        drawn = drawn[:1]
    names = [analysis.names[one.label] for one in drawn]
    rows = max(len(one.images) for one in drawn)
    figure = Figure(figsize=(plot.WIDTH, 1.6 + (0.34 if len(drawn) > 1 else 0.62) * rows), layout="constrained")
    canvas = Canvas(
        figure,
        alt=f"Class maps on {rows} test images: {' and '.join(names)}",
        caption="A row is a test image, the first of its class, and a column is what one class's map shows on it. "
        "A square's area is the value at a place of the map: filled above zero, hollow below, on one scale for a "
        "row. The map with the largest mean is framed; its class is what the network takes the image for, of "
        "those shown. One network of each variant.",
    )
    panels = figure.subplots(1, len(drawn), squeeze=False)[0]
    for one, name, ax in zip(drawn, names, panels, strict=True):
        _draw_network(canvas, ax, one, name)
    panels[0].set_ylabel("true class")
    return canvas


def _squares(x: float, y: float, values: npt.NDArray[np.float64]) -> list[_Square]:
    """A matrix as squares in a tile of 0.9 around a place; a value is the share of its room that one fills."""
    height, width = values.shape
    room = 0.9 / max(height, width)
    return [
        plot.square(
            x + room * (column - (width - 1) / 2), y + room * (row - (height - 1) / 2), room * float(value) ** 0.5
        )
        for (row, column), value in np.ndenumerate(values)
        if value >= _FAINTEST
    ]


def _draw_network(canvas: Canvas, ax: Axes, one: MappedNetwork, name: str) -> None:
    pictures: list[_Square] = []
    above: list[_Square] = []
    below: list[_Square] = []
    frames: list[_Square] = []
    for y, image in enumerate(one.images):
        pixels = np.frombuffer(bytes.fromhex(image.thumbnail), np.uint8).reshape(THUMBNAIL, THUMBNAIL)
        pictures += _squares(0, y, pixels / 255)
        maps = np.array(image.maps)
        scaled = maps / max(float(np.abs(maps).max()), 1e-12)
        for x, values in enumerate(scaled, start=1):
            above += _squares(x, y, values.clip(min=0))
            below += _squares(x, y, -values.clip(max=0))
        frames.append(plot.square(int(maps.mean((1, 2)).argmax()) + 1, y, 0.96))
    ax.add_collection(PolyCollection(pictures, facecolors=plot.INK, linewidth=0))
    ax.add_collection(PolyCollection(above, facecolors=plot.BLUE, linewidth=0))
    ax.add_collection(PolyCollection(below, facecolors="none", edgecolors=plot.RED, linewidth=0.7))
    framed = PolyCollection(frames, facecolors="none", edgecolors=plot.INK, linewidth=0.9)
    ax.add_collection(framed)
    canvas.mark(framed, *(Mark(f"{image.label}, by {name}", one.variant_id, one.cell_id) for image in one.images))
    plot.matrix_axes(ax, ["image", *one.classes], [image.label for image in one.images])
    ax.set_xlabel("map of the class")
    ax.set_title(f"{plot.wrapped(name, 44)}\nseed {one.seed}")
