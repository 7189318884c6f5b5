"""The figure of what fewer trials of a search would have found."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from nin_bench.analysis.search.analysis import SearchAnalysis
from nin_bench.errors import counted
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.drawing import Canvas, Mark
from nin_bench.reporting.figures.search_curves import DOTS, LINE


def draw_budget(analysis: SearchAnalysis) -> Canvas | None:
    """The expected best of k trials and the best so far, a panel per variant; None if no trial counts."""
    settings, drawn = analysis.settings, analysis.budgets[: plot.MAX_DRAWN]
    if not any(budget.expected_best for budget in drawn):
        return None
    most = max(len(budget.best_so_far) for budget in drawn)
    edge = max(0.04 * (most - 1), 0.5 / most)
    look = plot.styles([budget.variant_id for budget in drawn])
    objective = settings.objective_title
    in_order = (
        " The grid sampler tries values in ascending order: the best so far tells where in the range the best "
        "lies and is flat behind it, so that the thick line says what trials buy."
    )
    figure, panels = plot.grid_of_panels(len(drawn), "trials", f"best {objective}")
    canvas = Canvas(
        figure,
        alt=f"Best {objective} by number of trials, a panel for each of {counted(len(drawn), 'variant')}",
        caption="The thick line is the expected best of k trials drawn at random from those of the search "
        "that ran to their end, the thin steps are the best so far in the order in which they were tried. The "
        "expected best of the other variants is grey."
        + (in_order if settings.sampler == "grid" else "")
        + plot.left_out(len(analysis.studies)),
    )
    for budget, ax in zip(drawn, panels, strict=True):
        color, marker = look[budget.variant_id].color, look[budget.variant_id].marker
        for other in drawn:
            if other is not budget:
                line = _over_trials(ax, other.expected_best, color=plot.FAINT, linewidth=0.7)
                canvas.belongs(line, other.variant_id)
        line = _over_trials(ax, budget.best_so_far, color=color, linewidth=1, drawstyle="steps-post", alpha=0.7)
        canvas.belongs(line, budget.variant_id)
        line = _over_trials(ax, budget.expected_best, color=color, **LINE)
        if budget.expected_best:
            last = budget.expected_best[-1]
            shown = f"{100 * last:.1f} %" if settings.in_points else f"{last:.3f}"
            said = f"{budget.name}: expected best of {len(budget.expected_best)} trials {shown}"
            canvas.mark(line, Mark(said, budget.variant_id))
            ax.plot(
                range(1, len(budget.expected_best) + 1), budget.expected_best, color=color, marker=marker, **DOTS
            )
        ax.set_title(plot.wrapped(budget.name, 32))
        ax.set_xlim(1 - edge, most + edge)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if settings.in_points:
        panels[0].yaxis.set_major_formatter(plot.percent_tick)
    else:  # what did not learn counts as a loss far beyond the others
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panels[0].yaxis.set_minor_locator(NullLocator())
    handles: list[tuple[Artist, str]] = [
        (Line2D([], [], color=plot.QUIET, marker="o", markersize=4, **LINE), "expected best of k trials"),
        (Line2D([], [], color=plot.QUIET, linewidth=1), "best so far"),
    ]
    if len(drawn) > 1:
        handles.append((Line2D([], [], color=plot.FAINT, linewidth=0.7), "expected, other variants"))
    plot.legend_below(figure, handles, columns=3)
    return canvas


def _over_trials(ax: Axes, values: Sequence[float | None], **look: Any) -> Artist:
    [line] = ax.plot(range(1, len(values) + 1), [math.nan if value is None else value for value in values], **look)
    return line
