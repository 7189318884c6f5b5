import math

import pytest

from nin_bench.analysis.analysis import analyse
from nin_bench.analysis.curves import find_histories
from nin_bench.analysis.target import find_escapes, find_target, target_epochs
from nin_bench.results import load_results
from tests.report_fixture import COLLAPSED, metrics, record, write_results


def history(*accuracies):
    return [
        {"epoch": epoch, "train_loss": 1.0, "validation_accuracy": accuracy}
        for epoch, accuracy in enumerate(accuracies, start=1)
    ]


def made(*accuracies, outcome="trained", **others):
    return record(outcome, metrics(0.9, validation_accuracy=accuracies[-1], **others), history(*accuracies))


def load(tmp_path, variants, **grid):
    return load_results(write_results(tmp_path / "results", variants, **grid))


def target_of(results):
    return find_target(results, find_histories(results)["validation_accuracy"])


def test_the_target_is_a_point_below_the_baseline_s_median_cell(tmp_path):
    variants = {
        "base": [made(0.5, 0.80), made(0.79, 0.82), made(0.4, 0.90)],
        "other": [made(0.81, 0.85), made(0.5, 0.6), made(0.82, 0.7, outcome="crashed")],
    }
    target = target_of(load(tmp_path, variants, baseline="base"))
    assert target is not None
    assert (target.accuracy, target.of) == (pytest.approx(0.81), "base")
    base, other = target.variants
    # .82 and .90 in epoch 2; the first never, in 12 planned epochs
    assert [(step.time, step.share) for step in base.steps] == [(0, 0), (2, pytest.approx(2 / 3))]
    assert (base.num_reached, base.median, base.horizon) == (2, 2, 12)
    assert (other.num_reached, other.n, other.median) == (2, 3, 1)


def test_without_a_baseline_all_cells_set_the_target(tmp_path):
    target = target_of(load(tmp_path, {"a": [made(0.8), made(0.9)], "b": [made(0.7)]}))
    assert target is not None
    assert (target.accuracy, target.of) == (pytest.approx(0.79), None)


def test_a_grid_may_give_the_target_itself(tmp_path):
    target = target_of(load(tmp_path, {"a": [made(0.8, 0.9)], "b": [made(0.7)]}, baseline="a", target=0.85))
    assert (target.accuracy, target.of) == (0.85, None)
    assert [(one.label, one.num_reached, one.median) for one in target.variants] == [("a", 1, 2), ("b", 0, None)]


def test_a_claim_on_epochs_to_the_target_puts_networks_that_never_get_there_last(tmp_path):
    slow = [made(0.5, 0.7, 0.86) for _ in range(6)] + [made(0.5, 0.6), made(0.1, **COLLAPSED)]
    fast = [made(0.9, 0.8) for _ in range(8)]
    claim = {
        "id": "later", "claim": "It takes longer.", "primary": True, "metric": "target_epoch", "margin": 1.0,
        "compare": ["slow", "fast"], "expect": "greater", "factor": None,
    }  # fmt: skip
    results = load(tmp_path, {"slow": slow, "fast": fast}, target=0.85, hypotheses=[claim])
    assert sorted(target_epochs(results).values()) == [1.0] * 8 + [3.0] * 6 + [math.inf] * 2
    [verdict] = analyse(results).hypotheses
    assert (verdict.verdict, verdict.n, verdict.effect, verdict.interval) == ("supported", 8, 2.0, (2.0, None))


def test_without_a_target_of_the_grid_no_claim_on_it_is_tested(tmp_path):
    assert target_epochs(load(tmp_path, {"a": [made(0.8, 0.9)]})) == {}


@pytest.mark.parametrize(
    "cell", [None, record(metrics=metrics(0.9, validation_accuracy=None)), made(0.1, **COLLAPSED)]
)
def test_there_is_no_target_that_a_guess_reaches(tmp_path, cell):
    assert target_of(load(tmp_path, {"a": [cell]}, baseline="a")) is None


def test_a_cell_that_broke_off_is_followed_to_its_last_epoch(tmp_path):
    stuck = {"escaped": False, "escape_epoch": None, "healthy": False}
    variants = {
        "a": [
            made(0.9, escape_epoch=0.5),
            made(0.9, escape_epoch=3.0),
            made(0.1, 0.1, outcome="crashed", **stuck),  # after two epochs
            record("crashed"),  # before it could tell
            None,
        ]
    }
    [found] = find_escapes(load(tmp_path, variants))
    # three at risk at 0.5; the broken-off one is gone by 3.0, and then the other escapes
    assert [(step.time, step.share) for step in found.steps] == [
        (0, 0), (0.5, pytest.approx(1 / 3)), (3, pytest.approx(1)),
    ]  # fmt: skip
    assert (found.n, found.num_reached) == (3, 2)
