"""Figures of a report, each drawn once.

A figure is a function in a module here, from an analysis to a `Canvas`, None if there is nothing to
draw, and a line in a table below.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.search.analysis import SearchAnalysis
from nin_bench.reporting.figures.accuracy_cost import draw_accuracy_against_costs
from nin_bench.reporting.figures.confusions import draw_confusions
from nin_bench.reporting.figures.cost_shares import draw_cost_shares
from nin_bench.reporting.figures.curves import draw_training_loss, draw_validation_accuracy
from nin_bench.reporting.figures.drawing import Canvas, Drawing, draw
from nin_bench.reporting.figures.effects import draw_effects
from nin_bench.reporting.figures.interactions import draw_interactions
from nin_bench.reporting.figures.probes import draw_class_maps, draw_probe_resolution, draw_probe_shift
from nin_bench.reporting.figures.reached import draw_epochs_to_target, draw_escape
from nin_bench.reporting.figures.roofline import draw_roofline
from nin_bench.reporting.figures.search_budget import draw_budget
from nin_bench.reporting.figures.search_curves import draw_curves
from nin_bench.reporting.figures.search_importances import draw_importances
from nin_bench.reporting.figures.search_learning import draw_learning
from nin_bench.reporting.figures.seeds import draw_seeds

__all__ = ["FIGURES", "SEARCH_FIGURES", "Drawing", "figures_of", "search_figures_of"]

_T = TypeVar("_T")
_Row = tuple[str, str, Callable[[_T], Canvas | None]]

FIGURES: Sequence[_Row[Analysis]] = (
    ("seeds", "Test accuracy of every network", draw_seeds),
    ("effects", "Every claim's effect", draw_effects),
    ("accuracy_against_costs", "Accuracy against parameters, MACs and training time", draw_accuracy_against_costs),
    ("learning_curves", "Validation accuracy by epoch", draw_validation_accuracy),
    ("training_loss", "Training loss by epoch", draw_training_loss),
    ("escape", "When networks leave chance level", draw_escape),
    ("epochs_to_target", "When networks reach the target", draw_epochs_to_target),
    ("interactions", "Interactions", draw_interactions),
    ("confusions", "Confusions", draw_confusions),
    ("probe_shift", "Accuracy on moved images", draw_probe_shift),
    ("probe_resolution", "Accuracy at other sizes", draw_probe_resolution),
    ("class_maps", "Class maps", draw_class_maps),
    ("cost_shares", "Where parameters, MACs and time sit", draw_cost_shares),
    ("roofline", "Roofline", draw_roofline),
)
"""Name, title and function of each figure of a report, in the page's order."""

SEARCH_FIGURES: Sequence[_Row[SearchAnalysis]] = (
    ("search_curves", "Validation accuracy over the searched range", draw_curves),
    ("search_learning", "Where each variant learns", draw_learning),
    ("search_budget", "What fewer trials would have found", draw_budget),
    ("search_importances", "What each parameter decides", draw_importances),
)
"""Name, title and function of each figure of a search's report, in the page's order."""


def figures_of(analysis: Analysis) -> Mapping[str, Drawing]:
    """The figures that an analysis can fill, by name."""
    return _drawn(FIGURES, analysis)


def search_figures_of(analysis: SearchAnalysis) -> Mapping[str, Drawing]:
    """The figures that the analysis of a search can fill, by name."""
    return _drawn(SEARCH_FIGURES, analysis)


def _drawn(table: Sequence[_Row[_T]], analysis: _T) -> Mapping[str, Drawing]:
    found = {name: draw(name, title, partial(function, analysis)) for name, title, function in table}
    return {name: drawing for name, drawing in found.items() if drawing is not None}
