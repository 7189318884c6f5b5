"""Figures of who got there when: chance level left, or a target accuracy reached; a panel per variant."""

from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.target import Reached
from nin_bench.errors import counted
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.axis_limits import epochs_shown
from nin_bench.reporting.figures.drawing import Canvas, Mark

_HOW_TO_READ = (
    "The line climbs as the networks of a variant get there (Kaplan and Meier's estimate), the band is its 95 "
    "% interval. A line that does not reach 100 % has networks that never got there; the count over the panel "
    "says how many did."
)


def draw_escape(analysis: Analysis) -> Canvas | None:
    """When networks leave chance level; None if no record tells."""
    return _draw(analysis, analysis.escapes, "left chance level", _HOW_TO_READ)


def draw_epochs_to_target(analysis: Analysis) -> Canvas | None:
    """When networks reach the target accuracy; None where none could be set."""
    if analysis.target is None:
        return None
    reached = f"reached {100 * analysis.target.accuracy:.1f} %"
    caption = "Read as the figure above: the first epoch whose validation accuracy is at least the target."
    return _draw(analysis, analysis.target.variants, reached, caption)


def _draw(analysis: Analysis, found: Sequence[Reached], event: str, caption: str) -> Canvas | None:
    rows = analysis.comparison[: plot.MAX_DRAWN]
    by_variant = {one.variant_id: one for one in found}
    if not any(row.variant_id in by_variant for row in rows):
        return None
    horizon = max(1.0, *(one.horizon for one in found))
    end = epochs_shown([one.steps[-1].time for one in found], horizon)
    nothing_more = (
        f" After epoch {end:.2g} of {horizon:g} nothing changes, so that the axis ends there."
        if end < horizon
        else ""
    )
    figure, panels = plot.grid_of_panels(len(rows), "epoch", "networks")
    canvas = Canvas(
        figure,
        alt=f"Share of networks that {event}, by epoch, a panel for each of {counted(len(rows), 'variant')}",
        caption=caption + nothing_more + plot.left_out(len(analysis.comparison)),
    )
    panels[0].set_xlim(0, end)
    panels[0].set_ylim(-0.02, 1.04)
    panels[0].set_yticks([0, 0.5, 1])
    panels[0].yaxis.set_major_formatter(plot.percent_tick)
    panels[0].xaxis.set_major_locator(MaxNLocator(6, integer=end > 3, steps=[1, 2, 2.5, 5, 10]))
    looks = plot.styles([row.variant_id for row in rows])
    for row, ax in zip(rows, panels, strict=True):
        one = by_variant.get(row.variant_id)
        color = looks[row.variant_id].color
        if one is None:
            ax.set_title(f"{plot.wrapped(row.name, 36)}\nnot known")
            continue
        ax.set_title(f"{plot.wrapped(row.name, 36)}\n{one.num_reached} of {one.n} {event}")
        times = [*(step.time for step in one.steps), end]
        low, high = zip(*(step.interval for step in one.steps), strict=True)
        band = ax.fill_between(
            times, [*low, low[-1]], [*high, high[-1]], step="post", color=color, alpha=0.2, linewidth=0
        )
        canvas.belongs(band, row.variant_id)
        shares = [step.share for step in one.steps]
        [line] = ax.step(times, [*shares, shares[-1]], where="post", color=color, linewidth=1.8)
        half = "never half of them" if one.median is None else f"half of them by epoch {one.median:.3g}"
        canvas.mark(line, Mark(f"{row.name}: {one.num_reached} of {one.n} {event}, {half}", row.variant_id))
    return canvas
