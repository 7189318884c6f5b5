import itertools
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from nin_bench.analysis.search.budget import Budget, Overhead, budgets, expected_best
from nin_bench.analysis.search.studies import read_search
from tests.search_fixture import Made, failed, pruned, sweep, trial, write_search


def budget(folder: Path, made: list[Made], **settings: Any) -> Budget:
    [found] = budgets(read_search(write_search(folder, {"a": made}, **settings)))
    return found


def test_the_expected_best_of_k_is_that_over_all_ways_to_draw_them() -> None:
    scores = [0.3, 0.9, 0.0, 0.5, 0.5, 0.7]
    for best, higher in ((max, True), (min, False)):
        by_hand = [fmean(map(best, itertools.combinations(scores, k))) for k in range(1, 7)]
        assert expected_best(scores, higher) == pytest.approx(by_hand)


def test_the_expected_best_of_three_by_hand() -> None:
    # of two: 6 and 9 of the three pairs have 9 twice and 6 once
    assert expected_best([3, 9, 6], higher_is_better=True) == pytest.approx([6, 8, 9])
    assert expected_best([], higher_is_better=True) == []


def test_many_trials_are_no_matter() -> None:
    found = expected_best([step / 500 for step in range(500)], higher_is_better=True)
    assert found[0] == pytest.approx(fmean(step / 500 for step in range(500)))
    assert found[-1] == 499 / 500


def test_what_a_study_took_is_counted(tmp_path: Path) -> None:
    found = budget(
        tmp_path / "s",
        [
            trial(0, {"lr": 0.01}, [0.6, 0.8]),
            failed(1, {"lr": 0.1}),
            trial(2, {"lr": 0.1}, [0.9, 0.9], overhead_seconds=0.5, device_seconds=100.0),
            trial(3, {"lr": 0.3}, [0.9, 0.1]),
            trial(4, {"lr": 1.0}, [0.1, None]),
            pruned(5, {"lr": 0.03}, [0.5, 0.7], epochs=4),
        ],
        trials=5,
    )
    assert (found.asked, found.complete, found.pruned, found.failed) == (5, 4, 1, 1)
    assert (found.diverged, found.at_chance) == (1, 1)
    assert found.epochs == 4 * 24 + 8
    assert (found.device_seconds, found.num_unknown) == (3 * 90 + 100 + 30, 1)
    assert found.overhead == Overhead(0.08, 0.5, 5)
    assert found.best_so_far == pytest.approx([0.7, 0.9, 0.9, 0.9, 0.9])
    # worth .7, .9, half of .9 and nothing; where the pruned one would have ended nobody knows
    assert found.expected_best[0] == pytest.approx((0.7 + 0.9 + 0.45) / 4)
    assert (len(found.expected_best), found.expected_best[-1]) == (4, 0.9)
    assert found.trials_needed is None


def test_a_trial_that_was_replaced_counts_in_nothing(tmp_path: Path) -> None:
    at = {"lr": 0.1}
    with_it = budget(tmp_path / "1", [failed(0, at), trial(1, at, [0.8, 0.8])])
    without = budget(tmp_path / "2", [trial(0, at, [0.8, 0.8])])
    assert (with_it.best_so_far, with_it.expected_best) == (without.best_so_far, without.expected_best)
    assert (with_it.num_unknown, without.num_unknown) == (1, 0)


def test_trials_needed_come_within_one_point_in_expectation(tmp_path: Path) -> None:
    # the expected best of one is .845, of two .855, of three .86
    found = budget(tmp_path / "s", sweep([0.83, 0.86, 0.845], [0.01, 0.1, 1.0]))
    assert found.expected_best == pytest.approx([0.845, 0.855, 0.86])
    assert found.trials_needed == 2


def test_where_nothing_learned_no_number_of_trials_is_enough(tmp_path: Path) -> None:
    found = budget(tmp_path / "s", sweep([0.1, None], [0.01, 0.1]))
    assert (found.best_so_far, found.expected_best, found.trials_needed) == ([None, None], [0.0, 0.0], None)


def test_of_a_loss_the_lowest_is_best(tmp_path: Path) -> None:
    # the second is at chance level, which the search counts as ten times the loss of a guess
    made = [
        trial(n, {"lr": rate}, [0.1 if value > 20 else 0.8], value=value)
        for n, (rate, value) in enumerate([(0.01, 0.9), (0.1, 23.0), (0.3, 0.5)])
    ]
    found = budget(tmp_path / "s", made, objective="validation_loss", direction="minimize")
    assert found.best_so_far == [0.9, 0.9, 0.5]
    assert found.expected_best == pytest.approx([(0.9 + 23 + 0.5) / 3, (0.9 + 0.5 + 0.5) / 3, 0.5])
    assert found.trials_needed is None


def test_a_study_without_trials_took_nothing(tmp_path: Path) -> None:
    found = budget(tmp_path / "s", [])
    assert (found.epochs, found.device_seconds, found.overhead, found.expected_best) == (0, 0.0, None, [])
