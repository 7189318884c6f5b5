"""The figure of a search: accuracy over the learning rate, with every seed that went into it."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nin_bench.analysis.search.analysis import SearchAnalysis
from nin_bench.analysis.search.rates import Axis, RateCurve, RatePoint
from nin_bench.analysis.search.studies import Run, Study, Trial
from nin_bench.errors import counted
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.drawing import Canvas, Mark
from nin_bench.reporting.figures.search_learning import scale_axis

LINE: Any = {"linewidth": 2}
"""The line that a panel is about."""
DOTS: Any = {"markersize": 4, "linestyle": ""}
"""The points of it; their marker is the variant's."""

_SEED: Any = {"linewidth": 0.7, "marker": "o", "markersize": 2.5, "markeredgewidth": 0, "alpha": 0.5}
_OTHERS: Any = {"color": plot.FAINT, "linewidth": 0.7}
_NEAR: Any = {"alpha": 0.16, "linewidth": 0}
_MARKS: dict[str, Any] = {
    "at chance level": {**plot.BELOW, "markersize": 5},
    "diverged": plot.CROSSED,
    "below the axis": {"marker": "v", "markersize": 3.5, "alpha": 0.5, "linestyle": ""},
    "pruned": {"marker": "1", "markersize": 6, "markeredgewidth": 0.8, "linestyle": "", "color": plot.QUIET},
}
"""How a seed that is on no line is marked, by what became of it; all but a pruned one stand at the bottom.

A pruned one is grey, as nobody knows where it would have ended.
"""

_ROOM_BELOW = 0.15
"""How much accuracy below the best of all the axis shows: with more, one point could not be seen."""


def draw_curves(analysis: SearchAnalysis) -> Canvas | None:
    """Validation accuracy over the axis, a panel per variant, with every seed and the other variants faintly."""
    axis, drawn = analysis.axis, list(zip(analysis.curves, analysis.studies, strict=False))[: plot.MAX_DRAWN]
    if axis is None or not any(curve.points for curve, _ in drawn):
        return None
    look = plot.styles([curve.variant_id for curve, _ in drawn])
    figure, panels = plot.grid_of_panels(len(drawn), axis.title, "validation accuracy")
    canvas = Canvas(
        figure,
        alt=f"Validation accuracy over the {axis.title}, a panel for each of {counted(len(drawn), 'variant')}",
        caption="One panel per variant. The thick line is the mean over seeds, small points and thin lines "
        "are single seeds, and the shaded stretch lies within one point of the peak; the other variants are "
        "grey. Lines break where a seed did not learn; its mark stands at the bottom. Under each name: the "
        "peak, where it lies, and how wide the stretch is: as far as it is seen to go, and the most it can be "
        "where a value at which a seed failed ends it. Pruned seeds are grey, at what they had reached when "
        "they were stopped." + plot.left_out(len(analysis.studies)),
    )
    scale_axis(panels[0], axis)
    panels[0].set_ylim(_accuracies_shown(drawn))
    panels[0].yaxis.set_major_formatter(plot.percent_tick)
    marks: set[str] = set()
    for (curve, study), ax in zip(drawn, panels, strict=True):
        color, marker = look[curve.variant_id].color, look[curve.variant_id].marker
        for other, _ in drawn:
            if other is not curve and other.connected:
                canvas.belongs(_join(ax, other.points, **_OTHERS), other.variant_id)
        if curve.width:
            canvas.belongs(ax.axvspan(curve.width.low, curve.width.high, color=color, **_NEAR), curve.variant_id)
        marks |= _draw_seeds(canvas, ax, axis, study, color)
        if curve.connected:
            canvas.belongs(_join(ax, curve.points, color=color, **LINE), curve.variant_id)
            for point in curve.points:
                if point.num_complete and point.accuracy.mean is not None:
                    [dot] = ax.plot(point.rate, point.accuracy.mean, color=color, marker=marker, **DOTS)
                    shown = f"{100 * point.accuracy.mean:.1f} % at {point.rate:.3g}"
                    canvas.mark(dot, Mark(f"{curve.name}: {shown}, {point.accuracy.n} seeds", curve.variant_id))
        ax.set_title(f"{plot.wrapped(curve.name, 32)}\n{_summary(axis, curve)}")
    plot.legend_below(figure, _legend([curve for curve, _ in drawn], marks), columns=3)
    return canvas


def _accuracies_shown(drawn: Sequence[tuple[RateCurve, Study]]) -> tuple[float, float]:
    """From what learned worst to what learned best, but not so far down that one point cannot be seen."""
    peaks = [curve.peak.accuracy.mean or 0 for curve, _ in drawn if curve.peak]
    if not peaks:
        return 0, 1
    seen = [
        accuracy
        for _, study in drawn
        for trial in study.complete
        for run in trial.learned_runs
        if (accuracy := run.measured("validation_accuracy")) is not None
    ]
    high = max(seen)
    low = max(min(seen), min(max(peaks) - _ROOM_BELOW, min(peaks) - _ROOM_BELOW / 3))
    room = max(0.06 * (high - low), 0.005)
    return low - 3 * room, high + room


def _join(ax: Axes, points: Sequence[RatePoint], **look: Any) -> Artist:
    """A line through means, broken where nothing learned; rates at which all was pruned are passed over."""
    known = [point for point in points if point.num_complete]
    [line] = ax.plot(
        [point.rate for point in known],
        [math.nan if point.accuracy.mean is None else point.accuracy.mean for point in known],
        **look,
    )
    return line


def _draw_seeds(canvas: Canvas, ax: Axes, axis: Axis, study: Study, color: Any) -> set[str]:
    """Every seed of every trial; a line joins those that differ in the rate alone. Returns the marks used."""
    lines: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    at_bottom: Counter[float] = Counter()
    marks: set[str] = set()
    for trial in sorted(study.counted, key=axis.of):
        rate = axis.of(trial)
        others = tuple((name, value) for name, value in trial.params.items() if name != axis.name)
        for run in trial.runs:
            measured = run.measured("validation_accuracy")
            accuracy = math.nan if measured is None else measured
            mark = _mark(trial, run, accuracy < ax.get_ylim()[0])
            on_line = trial.state == "complete" and mark in (None, "below the axis")
            lines.setdefault((*others, run.seed), []).append((rate, accuracy if on_line else math.nan))
            if mark is None:
                continue
            marks.add(mark)
            styled = {"color": color, **_MARKS[mark]}
            if mark == "pruned" and accuracy >= ax.get_ylim()[0]:
                [point] = ax.plot(rate, accuracy, **styled)
            else:
                height = 0.035 + 0.065 * min(at_bottom[rate], 4)
                [point] = ax.plot(rate, height, transform=ax.get_xaxis_transform(), **styled)
                at_bottom[rate] += 1
            canvas.mark(point, Mark(f"{study.name}, seed {run.seed}: {mark} at {rate:.3g}", study.variant_id))
    for line in lines.values():
        [drawn] = ax.plot([rate for rate, _ in line], [accuracy for _, accuracy in line], color=color, **_SEED)
        canvas.belongs(drawn, study.variant_id)
    return marks


def _mark(trial: Trial, run: Run, is_below: bool) -> str | None:
    """What keeps a seed from standing on its line, or None where nothing does."""
    if trial.has_learned(run) is False:
        return "diverged" if run.outcome == "diverged" else "at chance level"
    if trial.state == "pruned":
        return "pruned"
    return "below the axis" if is_below else None


def _legend(curves: Sequence[RateCurve], marks: Collection[str]) -> list[tuple[Artist, str]]:
    peaks = [curve for curve in curves if curve.peak]
    handles: list[tuple[Artist, str]] = []
    if any(curve.connected for curve in peaks):
        handles.append((Line2D([], [], color=plot.QUIET, marker="o", markersize=4, **LINE), "mean over seeds"))
    if peaks:
        handles.append((Line2D([], [], color=plot.QUIET, **_SEED), "one seed"))
    if any(curve.width for curve in peaks):
        handles.append((Patch(color=plot.QUIET, **_NEAR), "within one point of the peak"))
    if len(curves) > 1 and any(curve.connected for curve in peaks):
        handles.append((Line2D([], [], **_OTHERS), "other variants"))
    used = (
        (Line2D([], [], **{"color": plot.QUIET, **look}), f"seed {name}")
        for name, look in _MARKS.items()
        if name in marks
    )
    return [*handles, *used]


def _summary(axis: Axis, curve: RateCurve) -> str:
    if curve.peak is None or curve.peak.accuracy.mean is None:
        return "nothing learned" if any(point.num_complete for point in curve.points) else "no complete trial"
    peak = f"{100 * curve.peak.accuracy.mean:.1f} % at {curve.peak.rate:.3g}"
    # the longest, of bounds in decades, just fits over its panel
    return f"{peak}, {curve.width.shown(axis)}{'' if axis.log else ' wide'}" if curve.width else peak
