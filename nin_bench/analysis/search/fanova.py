"""Functional ANOVA, as Optuna has it. Importing this loads Optuna and scikit-learn, two seconds."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from nin_bench.analysis.search.studies import is_number
from nin_bench.cell import Scalar
from nin_bench.results.studies import Range, SearchSettings


def fanova(
    settings: SearchSettings, params: Sequence[Mapping[str, Scalar]], values: Sequence[float]
) -> dict[str, float]:
    """The part of the variance of trials' values that each searched parameter explains alone."""
    distributions = {name: _distribution(searched) for name, searched in settings.space.items()}
    with _quiet():
        study = optuna.create_study(direction=settings.direction)
        for trial, value in zip(params, values, strict=True):
            scaled = {name: _scaled(trial[name], searched) for name, searched in settings.space.items()}
            study.add_trial(create_trial(params=scaled, distributions=distributions, value=value))
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
