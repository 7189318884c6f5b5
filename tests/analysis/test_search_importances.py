import logging
from pathlib import Path
from typing import Any

import optuna
import pytest

from nin_bench.analysis.search.importances import LEAST_TRIALS, Importances, importances
from nin_bench.analysis.search.studies import read_search
from tests.search_fixture import RATES, SPACE, Made, trial, write_search

INITS = ["default", "normal"]
BOTH: dict[str, Any] = {**SPACE, "init": INITS}


def assess(folder: Path, trials: list[Made], **settings: Any) -> Importances:
    [found] = importances(read_search(write_search(folder, {"a": trials}, space=BOTH, **settings)))
    return found


def factorial(worth: Any) -> list[Made]:
    """A trial for each rate and initialisation, `worth(place of the rate, place of the init)`."""
    points = [(rate, init) for rate in range(6) for init in range(2)]
    return [
        trial(n, {"lr": RATES[rate], "init": INITS[init]}, [worth(rate, init)])
        for n, (rate, init) in enumerate(points)
    ]


def test_the_parameter_that_decides_has_the_variance(tmp_path: Path) -> None:
    by_rate = assess(tmp_path / "rate", factorial(lambda rate, init: 0.5 + 0.05 * rate)).shares
    by_init = assess(tmp_path / "init", factorial(lambda rate, init: 0.5 + 0.05 * init)).shares
    assert by_rate is not None
    assert by_init is not None
    assert by_rate["lr"] > 0.95
    assert by_init["init"] > 0.95


def test_what_parameters_do_together_is_no_parameter_s_alone(tmp_path: Path) -> None:
    # which initialisation is better depends on the rate alone
    found = assess(tmp_path / "s", factorial(lambda rate, init: 0.8 if (rate < 3) == (init == 0) else 0.6))
    assert found.shares is not None
    assert sum(found.shares.values()) < 0.5


def test_rates_count_by_their_logarithm(tmp_path: Path) -> None:
    # the worse half of the decades is a thirtieth of the plain range: there, nearly nothing would be the rate's
    found = assess(tmp_path / "s", factorial(lambda rate, init: 0.6 + 0.2 * (rate >= 3) + 0.04 * init))
    assert found.shares is not None
    assert found.shares["lr"] > 0.9


def test_what_makes_a_network_learn_is_told_from_what_makes_it_good(tmp_path: Path) -> None:
    found = assess(tmp_path / "s", factorial(lambda rate, init: 0.1 if rate == 5 else 0.7 + 0.1 * init))
    assert found.shares is not None
    assert found.shares_given_learned is not None
    assert (found.num_trials, found.num_learned) == (12, 10)
    assert found.shares["lr"] > 0.8
    assert found.shares_given_learned["init"] > 0.95


def test_the_same_trials_give_the_same_shares(tmp_path: Path) -> None:
    trials = factorial(lambda rate, init: 0.5 + 0.03 * rate + 0.05 * init * rate)
    assert assess(tmp_path / "1", trials) == assess(tmp_path / "2", trials)


@pytest.mark.parametrize(
    "trials",
    [
        [],
        factorial(lambda rate, init: 0.5 + 0.05 * rate)[: LEAST_TRIALS - 1],
        factorial(lambda rate, init: 0.8),
        factorial(lambda rate, init: 0.1),
    ],
    ids=["none", "too few", "all the same", "none learned"],
)
def test_where_nothing_can_be_said_nothing_is(tmp_path: Path, trials: list[Made]) -> None:
    found = assess(tmp_path / "s", trials)
    assert (found.shares, found.shares_given_learned) == (None, None)


def test_one_parameter_needs_no_importance(tmp_path: Path) -> None:
    search = read_search(write_search(tmp_path / "s", {"a": [trial(0, {"lr": 0.1}, [0.8])]}))
    assert importances(search) == []


def test_a_rate_that_misses_its_range_by_a_rounding_is_taken(tmp_path: Path) -> None:
    trials = factorial(lambda rate, init: 0.5 + 0.05 * rate)
    trials[-1]["params"]["lr"] = 1.0000000000000002
    assert assess(tmp_path / "s", trials).shares is not None


def test_optuna_is_left_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.enable_propagation()
    try:
        with caplog.at_level(logging.DEBUG):
            assess(tmp_path / "s", factorial(lambda rate, init: 0.5 + 0.05 * rate))
    finally:
        optuna.logging.disable_propagation()
    assert optuna.logging.get_verbosity() == before
    assert caplog.records == []
