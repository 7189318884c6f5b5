"""How much of what trials differ by is each parameter's doing, where more than one is searched."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import create_trial

from nin_bench.analysis.search.studies import Search, Study, Trial, is_number
from nin_bench.cell import Scalar
from nin_bench.results.studies import Range, SearchSettings

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
    distributions = {name: _distribution(searched) for name, searched in settings.space.items()}
    with _quiet():
        study = optuna.create_study(direction=settings.direction)
        for trial, value in zip(trials, values, strict=True):
            params = {name: _scaled(trial.params[name], searched) for name, searched in settings.space.items()}
            study.add_trial(create_trial(params=params, distributions=distributions, value=value))
        # imports scikit-learn, which takes a second
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        # not normalised: what parameters do together is no parameter's alone
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0), normalize=False)
    return {name: float(found[name]) for name in settings.space}


def _distribution(values: Range | tuple[Scalar, ...]) -> BaseDistribution:
    if isinstance(values, Range):
        return FloatDistribution(_scaled_number(values.low, values), _scaled_number(values.high, values))
    return CategoricalDistribution(values)


def _scaled(value: Scalar, values: Range | tuple[Scalar, ...]) -> Scalar:
    if not isinstance(values, Range):
        return value
    assert is_number(value), value
    # a rate computed from its logarithm may miss the end of its range by a rounding
    return _scaled_number(min(max(float(value), values.low), values.high), values)


def _scaled_number(value: float, values: Range) -> float:
    """A number, of a log scale its logarithm: Optuna's fANOVA averages over the plain range, mostly 0.1 to 1."""
    return math.log10(value) if values.log else value


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna logs every study that it makes, and warns of arguments whose form may change."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
