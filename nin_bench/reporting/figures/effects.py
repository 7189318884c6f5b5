"""The figure of all verdicts: what was found of each claim, how sure that is, and what it is held against."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.names import Names
from nin_bench.analysis.verdicts import Verdict
from nin_bench.errors import counted
from nin_bench.metrics import METRICS
from nin_bench.reporting.figures.drawing import Canvas, Mark
from nin_bench.reporting.figures.plot_style import BLUE, INK, PAPER, QUIET, RED, WIDTH, ink, legend_below, wrapped
from nin_bench.reporting.text import EXACT, human_count
from nin_bench.reporting.units import as_cells
from nin_bench.reporting.verdict_text import VerdictText
from nin_bench.stats.claims import Interval

MOST_ROWS = 40
"""Claims that a figure holds; the table has them all."""

_OUTCOMES = ("supported", "refuted", "undecided")
_HOLDS: Any = {"color": ink(0.1), "linewidth": 0}
_LINE: Any = {"color": INK, "linewidth": 0.9}
_FACTOR = "factor, A / B"


@dataclass(frozen=True)
class Row:
    """One claim's line in the figure."""

    verdict: Verdict
    panel: str
    """The label of the axis it is drawn on."""
    value: float
    interval: Interval | None
    holds: tuple[float | None, float | None]
    """From where to where the claim is true; None where that has no end."""

    @property
    def decides(self) -> tuple[float, ...]:
        """What the interval is held against."""
        return tuple(end for end in self.holds if end is not None)


def effect_rows(verdicts: Sequence[Verdict]) -> list[Row]:
    """The claims that a figure can show, panel by panel; a claim that could not be tested has nothing to show."""
    rows = [row for row in map(_row, verdicts) if row is not None]
    order = dict.fromkeys(row.panel for row in rows)
    return sorted(rows, key=lambda row: list(order).index(row.panel))[:MOST_ROWS]


def draw_effects(analysis: Analysis) -> Canvas | None:
    """A panel per unit, a line per claim: effect, interval, where the claim is true, verdict."""
    rows, names = effect_rows(analysis.hypotheses), analysis.names
    if not rows:
        return None
    panels: dict[str, list[Row]] = {}
    for row in rows:
        panels.setdefault(row.panel, []).append(row)
    figure = Figure(figsize=(WIDTH, 0.6 + 0.42 * len(rows) + 0.5 * len(panels)), layout="constrained")
    canvas = Canvas(figure, alt=_alt(rows), caption=_caption(analysis.hypotheses, rows))
    heights = [len(own) + 0.4 for own in panels.values()]
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for (label, own), ax in zip(panels.items(), axes, strict=True):
        _draw_panel(canvas, ax, label, own, names)
    seen = {row.verdict.verdict for row in rows}
    handles: list[tuple[Artist, str]] = [
        (Line2D([], [], linewidth=1.5, **_look(outcome)), outcome) for outcome in _OUTCOMES if outcome in seen
    ]
    handles.append((Patch(**_HOLDS), "where the claim is true"))
    legend_below(figure, handles, columns=6)
    return canvas


def _alt(rows: Sequence[Row]) -> str:
    counts = Counter(row.verdict.verdict for row in rows)
    return f"Effects of {counted(len(rows), 'claim')} with their intervals: " + ", ".join(
        f"{count} {outcome}" for outcome, count in counts.items()
    )


def _caption(verdicts: Sequence[Verdict], rows: Sequence[Row]) -> str:
    drawn = {row.verdict.id for row in rows}
    missing = [verdict.id for verdict in verdicts if verdict.id not in drawn]
    return (
        "The mark is the effect, the line its interval. The grey field shows where the claim is true, and its "
        "black edge is the margin. A claim is supported if the whole line lies in the field, refuted if it "
        "lies outside, and undecided if it crosses the edge."
        + (f" Without an effect to show: {', '.join(missing)}." if missing else "")
    )


def _row(verdict: Verdict) -> Row | None:
    if verdict.effect is None:
        return None
    if verdict.factor is not None:
        holds = _holds(verdict, 1 / verdict.factor, verdict.factor)
        return Row(verdict, _FACTOR, verdict.effect, verdict.ends, holds)
    unit = verdict.unit
    label = {"share": "difference A − B, points", "count": f"{METRICS[verdict.metric].title}, A − B"}.get(
        unit, f"difference A − B, {unit}"
    )
    margin = verdict.margin or 0.0
    return Row(verdict, label, verdict.effect, verdict.ends, _holds(verdict, -margin, margin))


def _holds(verdict: Verdict, low: float, high: float) -> tuple[float | None, float | None]:
    """From where to where a claim is true, by the margin below zero and the one above."""
    return {"greater": (high, None), "less": (None, low), "equivalent": (low, high)}[verdict.expect]


def _draw_panel(canvas: Canvas, ax: Axes, label: str, rows: Sequence[Row], names: Names) -> None:
    places = range(len(rows))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    contrasts = [wrapped(VerdictText(row.verdict, names).contrast, 46) for row in rows]
    labels = [f"{wrapped(row.verdict.id, 46)}\n{said}" for row, said in zip(rows, contrasts, strict=True)]
    ax.set_yticks(places, labels)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(label)
    if label == _FACTOR:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"×{value:.3g}"))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(_formatter(label))
        ax.axvline(0, color=ink(0.4), linewidth=0.8, zorder=0.9)
    _widen(ax, rows)
    ends = ax.get_xlim()
    for place, row in zip(places, rows, strict=True):
        top, bottom = place - 0.36, place + 0.36
        left, right = (end if held is None else held for held, end in zip(row.holds, ends, strict=True))
        ax.fill_betweenx([top, bottom], left, right, **_HOLDS, zorder=0.8)
        for line in row.decides:
            ax.plot([line, line], [top, bottom], **_LINE, zorder=1)
        look = _look(row.verdict.verdict)
        if row.interval:
            low, high = np.clip(row.interval, *ends)  # an end may be infinite
            ax.plot([low, high], [place, place], color=look["color"], linewidth=2, solid_capstyle="butt")
        [point] = ax.plot(row.value, place, **{**look, "linestyle": ""})
        canvas.mark(point, Mark(_says(row.verdict, names)))
        ax.annotate(
            f"{row.verdict.verdict}, {_rests_on(row.verdict)}", (1.015, place), xycoords=("axes fraction", "data"),
            va="center", fontsize=9, color=look["color"], fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def _widen(ax: Axes, rows: Sequence[Row]) -> None:
    """Room for every interval and what it is held against, and for a mark that lies on its own."""
    ends = [end for row in rows for end in (row.value, *(row.interval or ()), *row.decides) if math.isfinite(end)]
    if ax.get_xscale() == "log":
        known = [end for end in ends if end > 0]
        low, high = min([*known, 0.9]), max([*known, 1.1])
        room = (high / low) ** 0.06
        ax.set_xlim(low / room, high * room)
        if high / low > 1e4:
            ax.xaxis.set_major_locator(LogLocator())
        return
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    room = 0.06 * (high - low) or 1e-3
    ax.set_xlim(low - room, high + room)


def _rests_on(verdict: Verdict) -> str:
    trade_off = ", trade-off" if verdict.trade_off else ""
    return EXACT if verdict.n is None else f"n={verdict.n}{trade_off}"


def _formatter(label: str) -> Any:
    if label.endswith("points"):
        return FuncFormatter(lambda value, _: f"{100 * value:+.4g}".replace("-", "−") if value else "0")
    return FuncFormatter(lambda value, _: human_count(value).replace("-", "−"))


def _says(verdict: Verdict, names: Names) -> str:
    """A claim's effect in words, for who points at it."""
    unit = None if verdict.factor is not None else verdict.unit
    assert verdict.effect is not None, verdict.id
    effect, interval = as_cells(unit, verdict.effect, verdict.ends)
    sides = " and ".join(VerdictText(verdict, names).sides)
    shown = f"{effect} ({interval})" if interval else effect
    return f"{verdict.id}: {verdict.verdict}, {_rests_on(verdict)}. {shown}, of {sides}"


def _look(outcome: str) -> dict[str, Any]:
    """A colour and a mark, so that verdicts can be told apart without either."""
    color = {"supported": BLUE, "refuted": RED}.get(outcome, QUIET)
    return {
        "color": color, "marker": "X" if outcome == "refuted" else "o", "markersize": 7, "zorder": 3,
        "markerfacecolor": PAPER if outcome == "undecided" else color, "markeredgecolor": color,
    }  # fmt: skip
