"""The figure of where each variant of a search learns, over the parameter that is searched."""

from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from nin_bench.analysis.search.analysis import SearchAnalysis
from nin_bench.analysis.search.rates import Axis, RateCurve, nearest_parts
from nin_bench.errors import counted
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.drawing import Canvas, Mark

_LEARNED: Any = {"alpha": 0.4, "linewidth": 0}
_ESCAPED: Any = {"alpha": 0.15, "linewidth": 0}
_TRIED: Any = {"color": plot.INK, "linewidth": 0.9}
_STRETCH: Any = {"linewidth": 2.5, "solid_capstyle": "butt"}
_PEAK: Any = {"markersize": 6, "markeredgecolor": plot.PAPER, "linestyle": ""}


def draw_learning(analysis: SearchAnalysis) -> Canvas | None:
    """A strip per variant, filled over the axis to the share of seeds that learned; its peak and width above."""
    axis, drawn = analysis.axis, analysis.curves[: plot.MAX_DRAWN]
    if axis is None or not any(curve.chance for curve in drawn):
        return None
    look = plot.styles([curve.variant_id for curve in drawn])
    figure, strips = plot.figure_of_strips([curve.name for curve in drawn], legend_lines=2)
    canvas = Canvas(
        figure,
        alt=f"Share of seeds that learned by {axis.title}, a strip for each of {counted(len(drawn), 'variant')}",
        caption=f"A strip is filled to the share of seeds that learned. Each {axis.title} tried stands for the "
        "part of the range that is nearest to it, so that the filled part of a strip is the chance to learn "
        "at one drawn at random; it stands on the right with its 95 % interval."
        + plot.left_out(len(analysis.studies)),
    )
    scale_axis(strips[-1], axis)
    strips[-1].xaxis.set_minor_locator(NullLocator())
    for curve, ax in zip(drawn, strips, strict=True):
        color, marker = look[curve.variant_id].color, look[curve.variant_id].marker
        ax.set_ylim(0, 1.45)
        for point, left, right in nearest_parts(axis, curve.points):
            ax.fill_between([left, right], point.escaped.count / point.escaped.of, color=color, **_ESCAPED)
            filled = ax.fill_between(
                [left, right], point.learned.count / point.learned.of, color=color, **_LEARNED
            )
            said = f"{curve.name}: {point.learned.count} of {point.learned.of} seeds learned at {point.rate:.3g}"
            canvas.mark(filled, Mark(said, curve.variant_id))
            ax.plot([point.rate] * 2, [0, 0.2], **_TRIED)
        if curve.width:
            ax.plot([curve.width.low, curve.width.high], [1.22] * 2, color=color, **_STRETCH)
        if curve.peak:
            ax.plot(curve.peak.rate, 1.22, color=color, marker=marker, **_PEAK)
        ax.text(1.01, 0.5, _chance(curve), transform=ax.transAxes, va="center", fontsize=9)
    plot.head_notes(strips[0], "learns (95 %)")
    strips[-1].set_xlabel(axis.title)
    points = [point for curve in drawn for point in curve.points]
    handles: list[tuple[Artist, str]] = [(Patch(color=plot.QUIET, **_LEARNED), "share of seeds that learned")]
    if any(point.escaped.count > point.learned.count for point in points):
        handles.append((Patch(color=plot.QUIET, **_ESCAPED), "left chance level, then fell back or diverged"))
    handles.append((Line2D([], [], linestyle="", marker="|", markersize=7, color=plot.INK), "tried"))
    if any(curve.peak for curve in drawn):
        handles.append((Line2D([], [], color=plot.QUIET, marker="o", **_PEAK), "peak of accuracy"))
    if any(curve.width and curve.width.size for curve in drawn):
        handles.append((Line2D([], [], color=plot.QUIET, **_STRETCH), "within one point of it"))
    plot.legend_below(figure, handles, columns=3)
    return canvas


def scale_axis(ax: Axes, axis: Axis) -> None:
    """The searched range, whatever was tried of it."""
    low, high = axis.scaled(axis.low), axis.scaled(axis.high)
    room = 0.04 * (high - low)
    if axis.log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1,) if high - low >= 2 else (1, 2, 5)))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlim(axis.value(low - room), axis.value(high + room))


def _chance(curve: RateCurve) -> str:
    if curve.chance is None:
        return "not known"
    low, high = curve.chance.interval
    return f"{100 * curve.chance.share:.0f} % ({100 * low:.0f}–{100 * high:.0f})"
