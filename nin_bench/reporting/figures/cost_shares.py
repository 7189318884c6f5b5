"""The figure of where costs sit: parameters, MACs and time of every variant, by kind of layer."""

from collections.abc import Callable

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.costs import KINDS, CostRow
from nin_bench.errors import counted
from nin_bench.reporting.figures import plot_style as plot
from nin_bench.reporting.figures.drawing import Canvas, Mark
from nin_bench.reporting.text import human_count
from nin_bench.results.cost_entry import Breakdown

Counts = dict[str, float] | None
"""Counts or seconds by kind of layer; None if they were not measured."""


def own_costs(analysis: Analysis) -> list[CostRow]:
    """What the grid's own machine measured."""
    return [row for costs in analysis.costs if costs.of_grid for row in costs.rows]


def draw_cost_shares(analysis: Analysis) -> Canvas | None:
    """Three bars per variant, of its parameters, MACs and measured time by kind of layer."""
    measured = own_costs(analysis)
    rows = measured[: plot.MAX_DRAWN]
    if not rows:
        return None
    labels = [plot.wrapped(row.name, 30) for row in rows]
    height = 0.14 + 0.15 * max(label.count("\n") + 1 for label in labels)
    figure = Figure(figsize=(plot.WIDTH, 1.3 + height * len(rows)), layout="constrained")
    canvas = Canvas(
        figure,
        alt=f"Shares of parameters, MACs and time by kind of layer, of {counted(len(rows), 'variant')}",
        caption="Percent of each variant's total, which stands on the right, by kind of layer. Where a kind has a "
        "larger share of the time than of the MACs, each of its MACs takes longer than average."
        + plot.left_out(len(measured)),
    )
    panels = figure.subplots(1, 3, sharey=True)
    bars: tuple[tuple[str, list[Counts], Callable[[float], str]], ...] = (
        ("parameters", [by_kind(row.entry.num_params) for row in rows], human_count),
        ("MACs per image", [by_kind(row.entry.num_macs) for row in rows], human_count),
        ("measured time per image", [row.seconds_by_kind for row in rows], _human_seconds),
    )
    for ax, (title, parts, shown) in zip(panels, bars, strict=True):
        for place, (row, counts) in enumerate(zip(rows, parts, strict=True)):
            _draw_bar(canvas, ax, place, row, counts, shown)
        ax.set_title(title)
        ax.set_xlim(0, 1)
        ax.xaxis.set_major_formatter(plot.percent_tick)
        ax.set_xticks([0, 0.5, 1])
        plot.without_frame(ax)
    panels[0].set_yticks(range(len(rows)), labels)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    present = {kind for _, parts, _ in bars for counts in parts if counts for kind in counts if counts[kind]}
    handles: list[tuple[Artist, str]] = [
        (Patch(color=kind_styles()[kind].color, linewidth=0), title)
        for kind, title in KINDS.items()
        if kind in present
    ]
    plot.legend_below(figure, handles, columns=4)
    return canvas


def kind_styles() -> dict[str, plot.Style]:
    """How kinds of layers look; what has no weights is grey."""
    return plot.styles(["convolution", "pointwise", "dense"]) | {"other": plot.Style(plot.ink(0.3), "X")}


def by_kind(counts: Breakdown) -> dict[str, float]:
    """The parts of a count, with what is in the total beyond them as the fourth."""
    known = {"convolution": counts.convolution, "pointwise": counts.pointwise, "dense": counts.dense}
    return {**known, "other": counts.total - sum(known.values())}


def _draw_bar(
    canvas: Canvas, ax: Axes, place: int, row: CostRow, counts: Counts, shown: Callable[[float], str]
) -> None:
    total = sum(counts.values()) if counts else 0
    if not counts or not total:
        ax.text(0.5, place, "none" if counts else "not measured", ha="center", va="center", color=plot.QUIET)
        return
    start = 0.0
    for kind, count in counts.items():
        share = count / total
        if not count:
            continue
        [bar] = ax.barh(
            place,
            share,
            left=start,
            height=0.62,
            color=kind_styles()[kind].color,
            edgecolor=plot.PAPER,
            linewidth=0.6,
        )
        said = f"{row.name}, {KINDS[kind]}: {shown(count)}, {100 * share:.1f} % of {shown(total)}"
        canvas.mark(bar, Mark(said, row.variant_id))
        if share >= 0.12:
            ax.text(
                start + share / 2, place, f"{100 * share:.0f}", ha="center", va="center", fontsize=8,
                color=plot.INK if kind == "other" else plot.PAPER,
            )  # fmt: skip
        start += share
    ax.text(1.02, place, shown(total), va="center", fontsize=8.5, clip_on=False)


def _human_seconds(value: float) -> str:
    return f"{1e3 * value:.3g} ms" if value >= 1e-3 else f"{1e6 * value:.3g} µs"
