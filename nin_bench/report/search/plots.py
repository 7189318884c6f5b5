"""Figures of a search, but for its curves: where variants learn, what budgets buy, what parameters decide."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from nin_bench.analysis.search.budget import Budget
from nin_bench.analysis.search.importances import Importances, Shares
from nin_bench.analysis.search.rates import Axis, RateCurve, nearest_parts
from nin_bench.report.look import (
    FAINT,
    QUIET,
    WIDTH,
    Picture,
    figure_of_strips,
    grid_of_panels,
    head_notes,
    legend_below,
    percent_tick,
    render,
    styles,
    theme,
    wrapped,
)
from nin_bench.report.plots import MAX_DRAWN
from nin_bench.results.studies import SearchSettings

LINE: Any = {"linewidth": 2, "markersize": 4}
"""The line that a panel is about; its marker is the variant's."""

_LEARNED: Any = {"alpha": 0.4, "linewidth": 0}
_ESCAPED: Any = {"alpha": 0.15, "linewidth": 0}
_TRIED: Any = {"color": "0.3", "linewidth": 0.9}
_STRETCH: Any = {"linewidth": 2.5, "solid_capstyle": "butt"}
_PEAK: Any = {"markersize": 6, "markeredgecolor": "white", "linestyle": ""}


def draw_learning(axis: Axis, curves: Sequence[RateCurve]) -> Picture | None:
    """A strip per variant, filled over the axis to the share of seeds that learned; its peak and width above.

    Returns:
        None if of no trial it is known whether it learned.
    """
    drawn = curves[:MAX_DRAWN]
    if not any(curve.chance for curve in drawn):
        return None
    with theme():
        look = styles([curve.variant_id for curve in drawn])
        figure, strips = figure_of_strips([curve.name for curve in drawn], legend_lines=2)
        scale_axis(strips[-1], axis)
        strips[-1].xaxis.set_minor_locator(NullLocator())
        for curve, ax in zip(drawn, strips, strict=True):
            color, marker = look[curve.variant_id].color, look[curve.variant_id].marker
            ax.set_ylim(0, 1.45)
            for point, left, right in nearest_parts(axis, curve.points):
                ax.fill_between([left, right], point.escaped.count / point.escaped.of, color=color, **_ESCAPED)
                ax.fill_between([left, right], point.learned.count / point.learned.of, color=color, **_LEARNED)
                ax.plot([point.rate] * 2, [0, 0.2], **_TRIED)
            if curve.width:
                ax.plot([curve.width.low, curve.width.high], [1.22] * 2, color=color, **_STRETCH)
            if curve.peak:
                ax.plot(curve.peak.rate, 1.22, color=color, marker=marker, **_PEAK)
            ax.text(1.01, 0.5, _chance(curve), transform=ax.transAxes, va="center", fontsize=9)
        head_notes(strips[0], "learns (95 %)")
        strips[-1].set_xlabel(axis.title)
        points = [point for curve in drawn for point in curve.points]
        handles: list[tuple[Artist, str]] = [(Patch(color=QUIET, **_LEARNED), "share of seeds that learned")]
        if any(point.escaped.count > point.learned.count for point in points):
            handles.append((Patch(color=QUIET, **_ESCAPED), "left chance level, then fell back or diverged"))
        handles.append((Line2D([], [], linestyle="", marker="|", markersize=7, color="0.3"), "tried"))
        if any(curve.peak for curve in drawn):
            handles.append((Line2D([], [], color=QUIET, marker="o", **_PEAK), "peak of accuracy"))
        if any(curve.width and curve.width.size for curve in drawn):
            handles.append((Line2D([], [], color=QUIET, **_STRETCH), "within one point of it"))
        legend_below(figure, handles, columns=3)
        return render(figure)


def draw_budget(settings: SearchSettings, budgets: Sequence[Budget]) -> Picture | None:
    """The expected best of k trials and the best so far, a panel per variant.

    Returns:
        None if no trial counts.
    """
    drawn = budgets[:MAX_DRAWN]
    if not any(budget.expected_best for budget in drawn):
        return None
    most = max(len(budget.best_so_far) for budget in drawn)
    edge = max(0.04 * (most - 1), 0.5 / most)
    with theme():
        look = styles([budget.variant_id for budget in drawn])
        figure, panels = grid_of_panels(len(drawn), "trials", f"best {settings.objective.replace('_', ' ')}")
        for budget, ax in zip(drawn, panels, strict=True):
            color, marker = look[budget.variant_id].color, look[budget.variant_id].marker
            for other in drawn:
                if other is not budget:
                    _over_trials(ax, other.expected_best, color=FAINT, linewidth=0.7)
            _over_trials(ax, budget.best_so_far, color=color, linewidth=1, drawstyle="steps-post", alpha=0.7)
            _over_trials(ax, budget.expected_best, color=color, marker=marker, **LINE)
            ax.set_title(wrapped(budget.name, 32))
            ax.set_xlim(1 - edge, most + edge)
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        if settings.objective == "validation_accuracy":
            panels[0].yaxis.set_major_formatter(percent_tick)
        else:  # what did not learn counts as a loss far beyond the others
            panels[0].set_yscale("log")
            panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            panels[0].yaxis.set_minor_locator(NullLocator())
        handles: list[tuple[Artist, str]] = [
            (Line2D([], [], color=QUIET, marker="o", **LINE), "expected best of k trials"),
            (Line2D([], [], color=QUIET, linewidth=1), "best so far"),
        ]
        if len(drawn) > 1:
            handles.append((Line2D([], [], color=FAINT, linewidth=0.7), "expected, other variants"))
        legend_below(figure, handles, columns=3)
        return render(figure)


def draw_importances(names: Sequence[str], importances: Sequence[Importances]) -> Picture | None:
    """What each parameter explains of the variance between trials: of all, and of those that learned.

    Returns:
        None if of no variant it is known.
    """
    drawn = importances[:MAX_DRAWN]
    columns = [[found.shares for found in drawn], [found.shares_given_learned for found in drawn]]
    if not any(shares for column in columns for shares in column):
        return None
    with theme():
        figure = Figure(figsize=(WIDTH, 1.3 + 0.36 * len(drawn)), layout="constrained")
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        palette = [*sns.color_palette("Set2", len(names)).as_hex(), FAINT]
        colors = dict(zip([*names, "together"], palette, strict=True))
        for ax, column, title in zip(panels, columns, ("all complete trials", "trials that learned"), strict=True):
            for place, shares in enumerate(column):
                _stack(ax, place, shares, colors)
            ax.set_title(title)
            ax.grid(False)
            ax.tick_params(axis="y", length=0)
            ax.spines[["left", "bottom"]].set_visible(False)
            ax.set_xlim(0, 1)
            ax.set_xticks([])
        panels[0].set_yticks(range(len(drawn)), [wrapped(found.name, 44) for found in drawn])
        panels[0].set_ylim(len(drawn) - 0.5, -0.5)
        legend_below(figure, [(Patch(facecolor=color), name) for name, color in colors.items()], columns=6)
        return render(figure)


def _stack(ax: Axes, place: int, shares: Shares | None, colors: Mapping[str, str]) -> None:
    if shares is None:
        ax.text(0.02, place, "too few, or all worth the same", va="center", fontsize=8.5, color=QUIET)
        return
    left = 0.0
    for name, share in {**shares, "together": max(1 - sum(shares.values()), 0)}.items():
        ax.barh(place, share, left=left, height=0.62, color=colors[name])
        if share >= 0.08:
            ax.text(left + share / 2, place, f"{100 * share:.0f} %", ha="center", va="center", fontsize=8.5)
        left += share


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


def _over_trials(ax: Axes, values: Sequence[float | None], **look: Any) -> None:
    ax.plot(range(1, len(values) + 1), [math.nan if value is None else value for value in values], **look)
