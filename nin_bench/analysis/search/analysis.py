"""The analysis of a search: everything that follows from its studies by computing, as one typed artefact."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nin_bench.analysis.artefact import AnalysisArtefact
from nin_bench.analysis.names import Names
from nin_bench.analysis.search.budget import Budget, budgets
from nin_bench.analysis.search.importances import Importances, importances
from nin_bench.analysis.search.rates import Axis, RateCurve, rate_curves, search_axis
from nin_bench.analysis.search.studies import Search, Study
from nin_bench.analysis.search.warnings import SearchWarning, find_warnings
from nin_bench.analysis.setting import FieldValue, compare_sections, environments
from nin_bench.analysis.tables import Spread
from nin_bench.results.studies import SearchSettings


@dataclass(frozen=True)
class Choice:
    """What the search found best of a variant."""

    variant_id: str
    name: str
    params: dict[str, Any] | None
    """The best trial's; None where no trial completed."""
    tuned: dict[str, Any] | None
    """What the tuned grid takes, which can lie between two trials; None where no seed learned."""
    value: Spread
    """The objective over those of the best trial's seeds that learned; without any, the choice is arbitrary."""
    compared: float | None
    """The objective as the search compares it: over all seeds, one that did not learn counting as the worst."""
    num_trials: int
    """Complete ones, of those asked for."""
    warnings: list[str]
    """What is wrong, in a few words each."""


@dataclass(frozen=True)
class SearchSetting:
    """What all variants of a search share, and what differs beside what is searched."""

    data: dict[str, Any]
    recipe: dict[str, Any]
    differing: list[FieldValue]
    environment: dict[str, list[Any]]


class SearchAnalysis(AnalysisArtefact):
    """Everything that the report of a search shows, raw and unrounded: the report's `search.json`."""

    name: str
    profile: str
    question: str
    settings: SearchSettings
    """What the grid's `search` section asked for."""
    storage: str
    names: Names
    axis: Axis | None
    """The parameter that curves are drawn over."""
    choices: list[Choice]
    leader: Choice | None
    """The choice that did best, of those that are not arbitrary."""
    warnings: list[SearchWarning]
    curves: list[RateCurve]
    least_learned: float | None
    """The lowest validation accuracy of a seed that counts as having learned."""
    budgets: list[Budget]
    importances: list[Importances]
    studies: list[Study]
    setting: SearchSetting
    left_out: list[str]
    """A sentence for each file that was not used."""


def analyse_search(search: Search) -> SearchAnalysis:
    """Compute everything that follows from a search."""
    warnings = find_warnings(search)
    choices = _choices(search, warnings)
    return SearchAnalysis(
        name=search.config.name,
        profile=search.config.profile,
        question=search.config.question,
        settings=search.settings,
        storage=search.config.storage,
        names=search.names,
        axis=search_axis(search.settings),
        choices=choices,
        leader=_leader(search, choices),
        warnings=warnings,
        curves=rate_curves(search),
        least_learned=_least_learned(search),
        budgets=budgets(search),
        importances=importances(search),
        studies=search.studies,
        setting=_setting(search),
        left_out=search.left_out,
    )


def _choices(search: Search, warnings: Sequence[SearchWarning]) -> list[Choice]:
    choices = []
    objective = search.settings.objective
    for study in search.studies:
        best = study.best_trial
        values = [run.measured(objective) for run in best.learned_runs] if best else []
        mine = [warning.kind for warning in warnings if study.variant_id in warning.variant_ids]
        choices.append(
            Choice(
                variant_id=study.variant_id,
                name=study.name,
                params={name: best.params[name] for name in search.settings.space} if best else None,
                tuned=study.chosen if values else None,
                value=Spread.of([value for value in values if value is not None]),
                compared=best.value if best else None,
                num_trials=len(study.complete),
                warnings=list(dict.fromkeys(mine)),
            )
        )
    return choices


def _leader(search: Search, choices: Sequence[Choice]) -> Choice | None:
    sign = 1 if search.settings.higher_is_better else -1
    known = [choice for choice in choices if choice.value.n]
    return max(known, key=lambda choice: sign * (choice.compared or 0.0), default=None)


def _least_learned(search: Search) -> float | None:
    trials = (trial for study in search.studies for trial in study.complete)
    learned = [run for trial in trials for run in trial.runs if trial.has_learned(run)]
    accuracies = [run.measured("validation_accuracy") for run in learned]
    return min((accuracy for accuracy in accuracies if accuracy is not None), default=None)


def _setting(search: Search) -> SearchSetting:
    variants = [{**one.model_dump(), "label": search.names[one.label]} for one in search.config.variants]
    fixed, differing = compare_sections(variants)
    searched = search.settings.space
    return SearchSetting(
        data=fixed["data"],
        recipe={name: value for name, value in fixed["recipe"].items() if name not in searched},
        differing=[entry for entry in differing if entry.section == "data" or entry.field not in searched],
        environment=environments([search.config.environment]),
    )
