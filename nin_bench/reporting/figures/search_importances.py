"""The figure of what each parameter of a search decides."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nin_bench.analysis.search.analysis import SearchAnalysis
from nin_bench.analysis.search.importances import Importances, Shares
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.drawing import Canvas, Mark


def draw_importances(analysis: SearchAnalysis) -> Canvas | None:
    """What each parameter explains of the variance between trials: of all, and of those that learned."""
    names, drawn = list(analysis.settings.space), analysis.importances[: plot.MAX_DRAWN]
    columns = [[found.shares for found in drawn], [found.shares_given_learned for found in drawn]]
    if not any(shares for column in columns for shares in column):
        return None
    figure = Figure(figsize=(plot.WIDTH, 1.3 + 0.36 * len(drawn)), layout="constrained")
    canvas = Canvas(
        figure,
        alt=f"Share of the variance between trials that each of {', '.join(names)} explains, by variant",
        caption="Of the variance between trials, the part that each parameter explains alone and the part "
        "that they explain together: on the left over all trials, on the right over those that learned."
        + plot.left_out(len(analysis.studies)),
    )
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    colors = {name: style.color for name, style in plot.styles(names).items()} | {"together": plot.ink(0.2)}
    for ax, column, title in zip(panels, columns, ("all complete trials", "trials that learned"), strict=True):
        for place, (found, shares) in enumerate(zip(drawn, column, strict=True)):
            _stack(canvas, ax, place, found, shares, colors)
        ax.set_title(title)
        plot.without_frame(ax)
        ax.set_xlim(0, 1)
        ax.set_xticks([])
    panels[0].set_yticks(range(len(drawn)), [plot.wrapped(found.name, 44) for found in drawn])
    panels[0].set_ylim(len(drawn) - 0.5, -0.5)
    plot.legend_below(figure, [(Patch(facecolor=color), name) for name, color in colors.items()], columns=6)
    return canvas


def _stack(
    canvas: Canvas, ax: Axes, place: int, found: Importances, shares: Shares | None, colors: Mapping[str, str]
) -> None:
    if shares is None:
        ax.text(0.02, place, "too few, or all worth the same", va="center", fontsize=8.5, color=plot.QUIET)
        return
    left = 0.0
    for name, share in {**shares, "together": max(1 - sum(shares.values()), 0)}.items():
        if share > 0:
            [bar] = ax.barh(place, share, left=left, height=0.62, color=colors[name])
            canvas.mark(bar, Mark(f"{found.name}, {name}: {100 * share:.0f} %", found.variant_id))
        if share >= 0.08:
            ax.text(
                left + share / 2, place, f"{100 * share:.0f} %", ha="center", va="center", fontsize=8.5,
                color=plot.INK if name == "together" else plot.PAPER,
            )  # fmt: skip
        left += share
