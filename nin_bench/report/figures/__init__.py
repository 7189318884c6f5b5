"""Figures of a report."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.search.analysis import SearchAnalysis
from nin_bench.report import cost_plots, plots
from nin_bench.report.captions import ALL_FIGURES, describe_figure
from nin_bench.report.effects import draw_effects
from nin_bench.report.grid_plots import draw_confusions, draw_interactions, notable
from nin_bench.report.look import Picture
from nin_bench.report.reached_plot import draw_reached
from nin_bench.report.search import plots as search_plots
from nin_bench.report.search.plot_curves import draw_curves
from nin_bench.report.signature import sign_png, sign_svg

FIGURES = tuple((name, *ALL_FIGURES[name]) for name in ALL_FIGURES)
"""Name, title and caption of each figure of a report."""

SEARCH_FIGURES = (
    (
        "search_curves",
        "Validation accuracy over the searched range",
        "One panel per variant: the thick line is the mean over seeds, small points and thin lines are single "
        "seeds, the shaded stretch lies within one point of the peak; the other variants stand in grey behind. "
        "Lines break where a seed did not learn; its mark stands at the bottom.",
    ),
    (
        "search_learning",
        "Where each variant learns",
        "A strip is filled to the share of seeds that learned.",
    ),
    (
        "search_budget",
        "What fewer trials would have found",
        "The thick line is the expected best of k trials, the thin steps are the best so far.",
    ),
    (
        "search_importances",
        "What each parameter decides",
        "Of the variance between trials, the part that each parameter explains alone and together.",
    ),
)
"""Name, title and caption of each figure of a search's report."""


@dataclass(frozen=True)
class Drawing:
    """A figure of a report."""

    name: str
    title: str
    alt: str
    """One sentence for readers who see no picture."""
    caption: str
    digest: str
    """Of the data that it draws."""
    picture: Picture

    def files(self) -> Mapping[str, bytes]:
        """The files that report.md shows, by their path beside it."""
        return {
            f"figures/{self.name}.svg": sign_svg(self.picture.svg, self.digest),
            f"figures/{self.name}.png": sign_png(self.picture.png, self.digest),
        }

    def page_svg(self) -> str:
        """The figure for an HTML page."""
        data = base64.b64encode(self.picture.svg).decode()
        inner = f'<image href="data:image/svg+xml;base64,{data}" width="900" height="600"/>'
        return f'<svg class="figure" data-digest="{self.digest}" viewBox="0 0 900 600">{inner}</svg>'


def figures_of(analysis: Analysis) -> dict[str, Drawing]:
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
    captions = {name: describe_figure(name, len(analysis.comparison), len(analysis.seeds)) for name in ALL_FIGURES}
    return _drawings(drawn, {name: (one["title"], one["caption"]) for name, one in captions.items()}, analysis)


def search_figures_of(analysis: SearchAnalysis) -> dict[str, Drawing]:
    """The figures that the analysis of a search can fill, by name."""
    axis, curves = analysis.axis, analysis.curves
    drawn = {
        "search_curves": draw_curves(analysis, axis) if axis else None,
        "search_learning": search_plots.draw_learning(axis, curves) if axis else None,
        "search_budget": search_plots.draw_budget(analysis.settings, analysis.budgets),
        "search_importances": search_plots.draw_importances(list(analysis.settings.space), analysis.importances),
    }
    return _drawings(drawn, {name: (title, caption) for name, title, caption in SEARCH_FIGURES}, analysis)


def _drawings(
    drawn: Mapping[str, Picture | None], texts: Mapping[str, tuple[str, str]], analysis: Analysis | SearchAnalysis
) -> dict[str, Drawing]:
    digest = hashlib.sha256(analysis.model_dump_json().encode()).hexdigest()
    return {
        name: Drawing(name, texts[name][0], texts[name][0], texts[name][1], digest, picture)
        for name, picture in drawn.items()
        if picture is not None
    }
