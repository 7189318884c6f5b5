"""The figure of who got there when: chance level left, or a target accuracy reached."""

from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from nin_bench.analysis.tables import VariantRow
from nin_bench.analysis.target import Reached
from nin_bench.report.look import Picture, figure_of_strips, head_notes, render, styles, theme
from nin_bench.report.spans import epochs_shown


def draw_reached(rows: Sequence[VariantRow], found: Sequence[Reached], heading: str) -> Picture | None:
    """A strip per variant that fills as its cells get there, with the interval of the share that had.

    Args:
        rows: the variants to draw.
        found: who got there when, by variant.
        heading: what it is to get there.

    Returns:
        None if no record tells.
    """
    if not rows or not found:
        return None
    by_variant = {reached.variant_id: reached for reached in found}
    horizon = max(1.0, *(survival.horizon for survival in by_variant.values()))
    end = epochs_shown([survival.steps[-1].time for survival in by_variant.values()], horizon)
    with theme():
        look = styles([row.variant_id for row in rows])
        figure, strips = figure_of_strips([row.name for row in rows])
        strips[-1].set_xlim(0, end)
        for row, ax in zip(rows, strips, strict=True):
            survival = by_variant.get(row.variant_id)
            color = look[row.variant_id].color
            total, everybody = "not known", True
            if survival is not None:
                everybody = survival.num_reached == survival.n
                total = f"{survival.num_reached} of {survival.n}"
                times = [*(step.time for step in survival.steps), end]
                shares = [step.share for step in survival.steps]
                low, high = _bounds(survival)
                ax.fill_between(
                    times, [*low, low[-1]], [*high, high[-1]], step="post", color=color, alpha=0.2, linewidth=0
                )
                ax.step(times, [*shares, shares[-1]], where="post", color=color, linewidth=1.8)
            ax.text(
                1.01, 0.5, total, transform=ax.transAxes, va="center", fontsize=9,
                fontweight="normal" if everybody else "bold",
            )  # fmt: skip
        head_notes(strips[0], heading)
        nothing_more = f" (until the last, {horizon:g}, nothing more changes)" if end < horizon else ""
        strips[-1].set_xlabel(f"epoch{nothing_more}")
        strips[-1].xaxis.set_major_locator(MaxNLocator(12, integer=end > 3, steps=[1, 2, 2.5, 5, 10]))
        return render(figure)


def _bounds(survival: Reached) -> tuple[list[float], list[float]]:
    """Of the share at each step."""
    low, high = zip(*(step.interval for step in survival.steps), strict=True)
    return list(low), list(high)
