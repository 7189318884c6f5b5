"""Optuna's samplers and pruners by the names that grids give them, every draw a function of its number.

So a search that was interrupted draws what it would have drawn, and all variants are offered the same values
wherever a sampler does not learn from what it saw. Values are rounded before they are trained with, so that a
tuned grid holds what was trained, and can be read.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nin_bench.cell import Scalar
from nin_bench.grid import SearchSpec
from nin_bench.results.studies import Range
from nin_bench.training.trainer import seed_for

Distributions = dict[str, BaseDistribution]


def distributions(spec: SearchSpec) -> Distributions:
    """The space as Optuna has it."""
    found: Distributions = {}
    for name, searched in spec.space.items():
        if not isinstance(searched, Range):
            found[name] = CategoricalDistribution(searched)
        elif isinstance(searched.low, int):
            found[name] = IntDistribution(searched.low, int(searched.high), log=searched.log)
        else:
            found[name] = FloatDistribution(searched.low, searched.high, log=searched.log)
    return found


def make_pruner(spec: SearchSpec, epochs: int) -> BasePruner:
    """The search's pruner, for trials of so many epochs."""
    if spec.pruner == "median":
        return MedianPruner()
    if spec.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    return NopPruner()


def make_sampler(spec: SearchSpec, draw_of: Callable[[int], int]) -> BaseSampler:
    """The search's sampler; `draw_of` tells the draw of a trial, both by number from 0."""
    if spec.sampler == "tpe":
        return _SeededTPE(spec.sampler_seed, draw_of)
    return _Listed(distributions(spec), _points(spec), draw_of)


def _points(spec: SearchSpec) -> Sequence[dict[str, Scalar]]:
    """The values of every draw of a sampler that does not learn."""
    if spec.sampler == "grid":
        return spec.grid_points()
    seed, space = _seed(spec.sampler_seed), distributions(spec)
    if spec.sampler == "random":
        scratch = optuna.create_study(sampler=RandomSampler(seed))
        return [_readable(scratch.ask(space).params, space) for _ in range(spec.trials)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        scratch = optuna.create_study(sampler=QMCSampler(scramble=True, seed=seed))
    scratch.ask(space)  # learns the space from its first trial, whose own values are no part of the sequence
    return [_readable(scratch.ask(space).params, space) for _ in range(spec.trials)]


def _readable(params: dict[str, Any], space: Distributions) -> dict[str, Any]:
    """The values with three digits, or as many as tell apart two hundred steps of the range."""
    return {name: _rounded(value, space[name]) for name, value in params.items()}


def _rounded(value: Any, distribution: BaseDistribution) -> Any:
    if not isinstance(distribution, FloatDistribution):
        return value
    low, high = distribution.low, distribution.high
    rounded = (float(f"{value:.{digits}g}") for digits in range(3, 17))
    near = next((one for one in rounded if abs(one - value) * 200 <= high - low), value)
    return min(max(near, low), high)


def _seed(*purpose: object) -> int:
    return seed_for(0, "sampler", *purpose) % 2**32


class _Listed(BaseSampler):
    """Values that were drawn beforehand, by the draw's number."""

    def __init__(
        self, space: Distributions, points: Sequence[dict[str, Scalar]], draw_of: Callable[[int], int]
    ) -> None:
        self._space = space
        self._points = points
        self._draw_of = draw_of

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Distributions:
        return self._space

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Distributions) -> dict[str, Any]:
        # A draw beyond the last is of a trial that will not be trained.
        return self._points[self._draw_of(trial.number) % len(self._points)]

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise AssertionError(f"{param_name} is no part of the space")


class _SeededTPE(BaseSampler):
    """Optuna's TPE, seeded anew for every draw; what it saw before, it knows from the study."""

    def __init__(self, seed: int, draw_of: Callable[[int], int]) -> None:
        self._seed = seed
        self._draw_of = draw_of
        self._tpe = TPESampler(seed=_seed(seed))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Distributions:
        # The first thing that is asked of a sampler, and only for a trial whose values are not known yet.
        self._tpe = TPESampler(seed=_seed(self._seed, self._draw_of(trial.number)))
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Distributions) -> dict[str, Any]:
        return _readable(self._tpe.sample_relative(study, trial, search_space), search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        value = self._tpe.sample_independent(study, trial, param_name, param_distribution)
        return _rounded(value, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._tpe.after_trial(study, trial, state, values)
