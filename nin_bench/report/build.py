"""Build a report: a pure function of an analysis, so that the same results give the same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nin_bench.analysis.analysis import Analysis, analyse
from nin_bench.files import write_atomically
from nin_bench.report import cost_plots, plots
from nin_bench.report.captions import ALL_FIGURES, describe_figure
from nin_bench.report.effects import draw_effects, not_drawn
from nin_bench.report.export import write_tables
from nin_bench.report.filters import filters_of
from nin_bench.report.glossary import explain_arguments
from nin_bench.report.grid_plots import draw_confusions, draw_interactions, notable
from nin_bench.report.html.data import page_data
from nin_bench.report.html.page import render_html
from nin_bench.report.in_short import in_short
from nin_bench.report.look import Picture
from nin_bench.report.page import digest_of, machine_and_software, render_page, write_figures
from nin_bench.report.reached_plot import draw_reached
from nin_bench.report.remarks import caveats
from nin_bench.results import load_results


def build_report(folder: Path, out: Path) -> Path:
    """Write report.md, report.html, report.json, figures/ and tables/; each file is seen whole or not at all.

    Args:
        folder: a results folder, `<root>/<grid>/<profile>`.
        out: where the report goes. Figures of an earlier report that this one lacks are removed.

    Returns:
        The path of report.md.

    Raises:
        ResultsError: there is no readable grid.json, or `out` cannot be written.
    """
    analysis = analyse(load_results(folder))
    pictures = draw_figures(analysis)
    markdown = render_markdown(analysis, list(pictures))
    write_figures(pictures, out / "figures", ALL_FIGURES, digest_of(analysis))
    write_tables(analysis, out / "tables")
    analysis.write(out / "report.json")
    figures = describe_figures(analysis, list(pictures))
    write_atomically(out / "report.html", render_html(analysis, figures, markdown, page_data(analysis)))
    page = out / "report.md"
    write_atomically(page, markdown)
    return page


def draw_figures(analysis: Analysis) -> dict[str, Picture]:
    """The figures that an analysis can fill, by name."""
    rows, chance = analysis.comparison[: plots.MAX_DRAWN], analysis.chance
    guess = loss_of_guess = None
    if chance.accuracy is not None:
        guess = (chance.accuracy, f"chance, {100 * chance.accuracy:.3g} %: always the commonest class")
    if chance.loss is not None:
        loss_of_guess = (chance.loss, f"chance, {chance.loss:.3f} nats")
    target = analysis.target
    drawn = {
        "effects": draw_effects(analysis.hypotheses, analysis.names),
        "learning_curves": plots.draw_learning_curves(analysis, "validation_accuracy", guess),
        "training_loss": plots.draw_learning_curves(analysis, "train_loss", loss_of_guess),
        "accuracy_against_costs": plots.draw_accuracy_against_costs(analysis),
        "escape": draw_reached(rows, analysis.escapes, "escaped"),
        "epochs_to_target": draw_reached(rows, target.variants, "reached") if target else None,
        "interactions": draw_interactions(analysis.interactions),
        "confusions": draw_confusions(notable(analysis.confusions, analysis.comparison), analysis.names),
    }
    for costs in analysis.costs:
        if costs.of_grid:
            drawn["cost_shares"] = cost_plots.draw_cost_shares(costs.rows[: plots.MAX_DRAWN])
            drawn["roofline"] = cost_plots.draw_roofline(costs.rows[: plots.MAX_DRAWN])
    return {name: picture for name, picture in drawn.items() if picture is not None}


def describe_figures(analysis: Analysis, names: Sequence[str]) -> list[dict[str, str]]:
    """Name, title and caption of each figure."""
    return [describe_figure(name, len(analysis.comparison), len(analysis.seeds)) for name in names]


def render_markdown(analysis: Analysis, figures: Sequence[str]) -> str:
    """The page.

    Args:
        analysis: what it shows.
        figures: names of the figures that were drawn.
    """
    short = in_short(analysis.hypotheses, analysis.names)
    context: Mapping[str, Any] = {
        **dict(analysis),
        "analysis": analysis,
        "arguments": explain_arguments(analysis.names),
        "caveats": caveats(analysis),
        "effects_not_drawn": not_drawn(analysis.hypotheses),
        "environment": machine_and_software(analysis.setting.environment),
        "figures": describe_figures(analysis, figures),
        "in_short": short and asdict(short),
        "not_repeated": analysis.names.not_repeated,
    }
    return render_page("report.md.j2", context, filters_of(analysis))
