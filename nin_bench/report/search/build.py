"""Build the report of a search: a pure function of search.json and studies/, so that they give the same bytes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nin_bench.analysis.search.analysis import SearchAnalysis, analyse_search
from nin_bench.analysis.search.studies import read_search
from nin_bench.errors import ResultsError
from nin_bench.files import write_atomically
from nin_bench.report import text
from nin_bench.report.glossary import explain_arguments
from nin_bench.report.look import Picture
from nin_bench.report.page import (
    digest_of,
    field_value,
    machine_and_software,
    render_page,
    write_figures,
)
from nin_bench.report.plots import MAX_DRAWN
from nin_bench.report.search import plots
from nin_bench.report.search.plot_curves import draw_curves
from nin_bench.report.search.sentences import caveats, ease_of_tuning
from nin_bench.results.studies import Range

FIGURES = {
    "search_curves": (
        "Validation accuracy against {axis}",
        "One panel per variant: the thick line is the mean over seeds, small points and thin lines are single "
        "seeds, the shaded stretch lies within one point of the peak; the other variants stand in grey behind. "
        "Lines break where a seed did not learn; its mark stands at the bottom. Under each name: the peak, where "
        "it lies, and how wide the stretch is: from what is shaded to the most it can be, where a value at which "
        "a seed failed ends it. Pruned seeds are grey, at what they had reached when they were stopped.",
    ),
    "search_learning": (
        "Where each variant learns",
        "A strip is filled to the share of seeds that learned, each {axis} tried standing for the part of the "
        "range that is nearest to it, so that the filled part of a strip is the chance to learn at one drawn at "
        "random, given on the right with its 95 % interval.",
    ),
    "search_budget": (
        "What fewer trials would have found",
        "The thick line is the expected best of k trials drawn at random from those of the search that ran to "
        "their end, the thin steps are the best so far in the order in which they were tried; the other variants' "
        "expected best stand in grey.",
    ),
    "search_importances": (
        "What each parameter decides",
        "Of the variance between trials, the part that each parameter explains alone and the part that they do "
        "together: on the left over all trials, on the right over those that learned.",
    ),
}
"""Title and how to read it, of each figure by name, in the page's order."""


def build_search_report(folder: Path, out: Path) -> Path:
    """Write search.md, search.json and figures/search_*.svg and *.png; each is seen whole or not at all.

    Args:
        folder: a results folder that was searched in, `<root>/<grid>/<profile>`.
        out: where the report goes; a run's report may lie there too.

    Returns:
        The path of search.md.

    Raises:
        ResultsError: there is no readable search.json, or `out` cannot be written or is the folder itself, where
            the report's search.json would take the place of the search's.
    """
    if out.resolve() == folder.resolve():
        raise ResultsError(f"{out}: holds the search itself; give its report another --out")
    analysis = analyse_search(read_search(folder))
    pictures = draw_figures(analysis)
    write_figures(pictures, out / "figures", FIGURES, digest_of(analysis))
    analysis.write(out / "search.json")
    page = out / "search.md"
    write_atomically(page, render_markdown(analysis, list(pictures)))
    return page


def draw_figures(analysis: SearchAnalysis) -> dict[str, Picture]:
    """The figures that the studies can fill, by name."""
    axis, curves = analysis.axis, analysis.curves
    drawn = {
        "search_curves": draw_curves(analysis, axis) if axis else None,
        "search_learning": plots.draw_learning(axis, curves) if axis else None,
        "search_budget": plots.draw_budget(analysis.settings, analysis.budgets),
        "search_importances": plots.draw_importances(list(analysis.settings.space), analysis.importances),
    }
    return {name: picture for name, picture in drawn.items() if picture is not None}


def _caption(name: str, analysis: SearchAnalysis) -> dict[str, str]:
    axis = analysis.axis
    title, caption = (words.replace("{axis}", axis.title if axis else "") for words in FIGURES[name])
    num_variants = len(analysis.studies)
    if name == "search_budget" and analysis.settings.sampler == "grid":
        caption += (
            " The grid sampler tries values in ascending order, so that the best so far tells where in the range "
            "the best lies, and is flat behind it by construction: read what trials buy off the thick line."
        )
    if num_variants > MAX_DRAWN:
        caption += f" Drawn are the first {MAX_DRAWN} of {num_variants} variants, in the grid's order."
    return {"name": name, "title": title, "caption": caption}


def render_markdown(analysis: SearchAnalysis, figures: Sequence[str]) -> str:
    """The page.

    Args:
        analysis: what it shows.
        figures: names of the figures that were drawn.
    """
    by_points = analysis.settings.objective == "validation_accuracy"
    axis = analysis.axis
    filters: dict[str, Callable[..., str]] = {
        "spread": text.percent_spread if by_points else text.quantity_spread,
        "worth": lambda value: f"{100 * value:.1f}" if by_points else f"{value:.3f}",
        "own_markdown": text.Markdown,
        "tenths": lambda share: f"{100 * share:.1f}",
        "params": lambda params: ", ".join(f"{name} {_shown(value)}" for name, value in params.items()),
        "values": _values,
        "shown": _shown,
        "width": lambda width: width.shown(axis) if axis and width else text.NOT_KNOWN,
        "percent": lambda share: f"{100 * share:.0f} %",
        "interval": lambda ends: f"{100 * ends[0]:.0f}–{100 * ends[1]:.0f} %",
        "minutes": lambda seconds: f"{seconds / 60:,.1f}",
        "milliseconds": lambda seconds: f"{1000 * seconds:,.0f}",
    }
    most = max((len(budget.expected_best) for budget in analysis.budgets), default=0)
    context = {
        **dict(analysis),
        "search": analysis.settings,
        "arguments": explain_arguments(analysis.names),
        "axis_title": axis.title if axis else "",
        "caveats": caveats(analysis),
        "ease_of_tuning": ease_of_tuning(axis, analysis.curves) if axis else [],
        "environment": machine_and_software(analysis.setting.environment),
        "epochs": _length(analysis.settings.epochs),
        "figures": [_caption(name, analysis) for name in figures],
        "not_repeated": analysis.names.not_repeated,
        "sizes": [*(2**power for power in range(most.bit_length()) if 2**power < most), most] if most else [],
    }
    return render_page("search.md.j2", context, filters)


def _length(epochs: int | None) -> str:
    """How long trials train."""
    return "as many epochs as a run" if epochs is None else f"{epochs} {'epoch' if epochs == 1 else 'epochs'}"


def _shown(value: Any) -> str:
    """A parameter's value to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else field_value(value)


def _values(searched: Any) -> str:
    """Where a parameter is searched."""
    if isinstance(searched, Range):
        return f"{searched.low:g} to {searched.high:g}{' on a log scale' if searched.log else ''}"
    return ", ".join(_shown(value) for value in searched)
