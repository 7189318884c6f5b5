import math
from typing import Any

import optuna
import pytest

from nin_bench.grid import SearchSpec
from nin_bench.results.studies import Range
from nin_bench.search.samplers import distributions, make_pruner, make_sampler
from tests.search.search_grid_text import ONE

LR = {"lr": Range(low=1e-3, high=1.0, log=True)}
SPACE = LR | {"init": ("default", "normal"), "batch_size": Range(low=16, high=128, log=True)}


def spec(sampler: str, trials: int = 8, space: dict[str, Any] = SPACE, **fields: object) -> SearchSpec:
    return SearchSpec(space=space, trials=trials, sampler=sampler, **fields)


def drawn(spec: SearchSpec, values: list[float] | None = None, skip: int = 0) -> list[dict[str, object]]:
    """What a study draws; each trial is told one of the values, or 0."""
    study = optuna.create_study(direction="maximize", sampler=make_sampler(spec, lambda number: number + skip))
    trials = []
    for number in range(spec.trials):
        trials.append(study.ask(distributions(spec)))
        study.tell(trials[-1], values[number] if values else 0.0)
    return [trial.params for trial in trials]


def test_the_space_is_optuna_s():
    assert distributions(spec("random")) == {
        "lr": optuna.distributions.FloatDistribution(1e-3, 1.0, log=True),
        "init": optuna.distributions.CategoricalDistribution(["default", "normal"]),
        "batch_size": optuna.distributions.IntDistribution(16, 128, log=True),
    }


def test_grid_draws_the_grid_s_points_in_their_order():
    grid = spec("grid", trials=4, space=LR)
    assert drawn(grid) == grid.grid_points() == [{"lr": 0.001}, {"lr": 0.01}, {"lr": 0.1}, {"lr": 1.0}]


@pytest.mark.parametrize("sampler", ["qmc", "tpe", "random"])
def test_draws_lie_in_the_space_and_repeat(sampler):
    first = drawn(spec(sampler))
    assert first == drawn(spec(sampler))
    assert first != drawn(spec(sampler, sampler_seed=1))
    assert {params["init"] for params in first} == {"default", "normal"}
    for params in first:
        assert 1e-3 <= params["lr"] <= 1.0
        assert params["batch_size"] in range(16, 129)


@pytest.mark.parametrize("sampler", ["qmc", "tpe", "random"])
def test_numbers_are_drawn_with_three_digits(sampler):
    rates = [params["lr"] for params in drawn(spec(sampler, trials=14, space=LR))]
    assert [float(f"{rate:.3g}") for rate in rates] == rates
    assert len(set(rates)) == 14


@pytest.mark.parametrize("sampler", ["qmc", "tpe", "random"])
def test_a_narrow_range_has_as_many_digits_as_it_needs(sampler):
    """Of a range from 0.9 to 0.9004 every draw has its place, and none lies outside."""
    narrow = {"momentum": Range(low=0.9, high=0.9004)}
    values = [params["momentum"] for params in drawn(spec(sampler, trials=14, space=narrow))]
    assert len(set(values)) > 7
    assert all(0.9 <= value <= 0.9004 and float(f"{value:.6g}") == value for value in values)


@pytest.mark.parametrize("sampler", ["qmc", "tpe", "random"])
def test_a_draw_is_the_same_however_many_were_asked_for(sampler):
    assert drawn(spec(sampler, trials=3)) == drawn(spec(sampler))[:3]


@pytest.mark.parametrize("sampler", ["qmc", "random"])
def test_draws_that_do_not_learn_go_by_their_number_alone(sampler):
    """A study that was deleted, or one of another variant, draws what any other draws."""
    assert drawn(spec(sampler, trials=12), skip=2)[:6] == drawn(spec(sampler))[2:]


def test_quasi_random_draws_fill_the_range_evenly():
    """Of eight Sobol points, each eighth holds exactly one."""
    rates = [params["lr"] for params in drawn(spec("qmc", space=LR))]
    assert sorted(math.floor((math.log10(rate) + 3) / 3 * 8) for rate in rates) == list(range(8))


def test_tpe_learns_from_what_it_was_told():
    values = [-abs(math.log10(0.1) - k) for k in range(14)]
    one, other = (drawn(spec("tpe", trials=14, space=LR), values=told) for told in (values, values[::-1]))
    assert one[:10] == other[:10]  # the first ten are random
    assert one[11:] != other[11:]


@pytest.mark.parametrize(
    ("pruner", "kind"),
    [("none", "NopPruner"), ("median", "MedianPruner"), ("hyperband", "HyperbandPruner")],
)
def test_pruners_are_optuna_s(pruner, kind):
    assert type(make_pruner(spec("grid", trials=2, space=LR, pruner=pruner), 9)).__name__ == kind


def test_hyperband_knows_how_long_a_trial_is():
    """With 9 epochs it has brackets that first look after 1, 3 and 9 of them."""
    pruner = make_pruner(spec("grid", trials=2, space=LR, pruner="hyperband"), 9)
    study = optuna.create_study(pruner=pruner)
    trial = study.ask()
    trial.report(0.5, 1)
    trial.should_prune()
    assert pruner._n_brackets == 3  # type: ignore[attr-defined]


def test_the_grid_text_of_these_tests_draws_three_rates(load):
    assert [params["lr"] for params in drawn(load(ONE).search)] == [0.01, 0.1, 1.0]
