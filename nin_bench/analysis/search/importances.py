"""How much of what trials differ by is each parameter's doing, where more than one is searched."""

from collections.abc import Sequence
from dataclasses import dataclass

from nin_bench.analysis.search.studies import Search, Study, Trial
from nin_bench.results.studies import SearchSettings

LEAST_TRIALS = 8
"""Below so many, a forest says nothing of the parameters."""

Shares = dict[str, float]
"""The part of the variance over the space that each parameter explains alone; what is missing to 1 is what
parameters do together."""


@dataclass(frozen=True)
class Importances:
    """What each parameter of one study decides."""

    variant_id: str
    name: str
    num_trials: int
    """Complete ones."""
    shares: Shares | None
    """Over all of them: mostly what makes a network learn at all. None with too few trials, or where all are
    worth the same."""
    num_learned: int
    """Complete trials of which every seed learned."""
    shares_given_learned: Shares | None
    """Over the ones that learned: what makes one better than another."""


def importances(search: Search) -> list[Importances]:
    """Functional ANOVA over each study, in the grid's order; empty where one parameter is searched.

    Source: Hutter, Hoos and Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML
    2014, as Optuna has it. Its alternative, PED-ANOVA, wants at least five trials in the best tenth: more than a
    search of networks has.
    """
    if len(search.settings.space) < 2:
        return []
    return [_importances(search.settings, study) for study in search.studies]


def _importances(settings: SearchSettings, study: Study) -> Importances:
    learned = [trial for trial in study.complete if trial.learned]
    shares = _shares(settings, study.complete)
    all_learned = len(learned) == len(study.complete)
    return Importances(
        variant_id=study.variant_id,
        name=study.name,
        num_trials=len(study.complete),
        shares=shares,
        num_learned=len(learned),
        shares_given_learned=shares if all_learned else _shares(settings, learned),
    )


def _shares(settings: SearchSettings, trials: Sequence[Trial]) -> Shares | None:
    values = [trial.value or 0.0 for trial in trials]
    if len(trials) < LEAST_TRIALS or len(set(values)) < 2:
        return None
    from nin_bench.analysis.search.fanova import fanova  # loads Optuna, which most reports do not need

    return fanova(settings, [trial.params for trial in trials], values)
