import math
from pathlib import Path
from typing import Any

import pytest

from nin_bench.analysis.search.rates import (
    Axis,
    RateCurve,
    Width,
    nearest_parts,
    rate_curves,
    search_axis,
)
from nin_bench.analysis.search.studies import read_search
from nin_bench.analysis.tables import Spread, Tally
from tests.search_fixture import Made, failed, pruned, sweep, trial, write_search

LR = Axis("lr", 0.001, 1.0, log=True)


def curve(folder: Path, made: list[Made], **settings: Any) -> RateCurve:
    [found] = rate_curves(read_search(write_search(folder, {"a": made}, **settings)))
    return found


@pytest.mark.parametrize(
    ("space", "axis"),
    [
        ({"init": ["default"], "lr": {"low": 0.001, "high": 1, "log": True}}, LR),
        ({"momentum": {"low": 0, "high": 0.9}, "lr": {"low": 0.001, "high": 1, "log": True}}, LR),
        ({"init": ["default"], "momentum": {"low": 0, "high": 0.9}}, Axis("momentum", 0, 0.9, log=False)),
        ({"lr": [0.1, 0.01, 1.0]}, Axis("lr", 0.01, 1.0, log=True)),
        ({"momentum": [0.0, 0.5, 0.9]}, Axis("momentum", 0.0, 0.9, log=False)),
        ({"batch_size": [32, 64, 128]}, Axis("batch_size", 32, 128, log=False)),
        ({"lr": [0.1, 0.2]}, None),
        ({"lr": [0.1, 0.2, "auto"]}, None),
        ({"lr": [0.1, 0.1, 0.1]}, None),
        ({"momentum": [0.0, 0.9], "nesterov": [True, False, None], "init": ["default", "normal", "x"]}, None),
    ],
)
def test_the_axis_is_the_learning_rate_or_the_first_number(
    tmp_path: Path, space: dict[str, Any], axis: Axis | None
) -> None:
    assert search_axis(read_search(write_search(tmp_path / "s", {"a": None}, space=space)).settings) == axis


def test_points_hold_the_best_trial_s_seeds_and_who_learned(tmp_path: Path) -> None:
    found = curve(
        tmp_path / "s",
        [
            trial(0, {"lr": 0.1, "init": "default"}, [0.80, 0.82]),
            trial(1, {"lr": 0.1, "init": "normal"}, [0.90, 0.1]),
            trial(2, {"lr": 0.01, "init": "default"}, [0.70, 0.74]),
            trial(3, {"lr": 0.01, "init": "normal"}, [0.60, None]),
            failed(4, {"lr": 1.0, "init": "normal"}),
        ],
        space={"lr": {"low": 0.001, "high": 1, "log": True}, "init": ["default", "normal"]},
    )
    low, high = found.points
    assert (low.rate, low.num_complete, low.learned, low.escaped) == (0.01, 2, Tally(3, 4), Tally(4, 4))
    assert low.accuracy == Spread(pytest.approx(0.72), pytest.approx(0.04 / math.sqrt(2)), 2)
    assert (high.rate, high.learned, high.escaped) == (0.1, Tally(3, 4), Tally(3, 4))
    assert found.peak == high
    assert found.connected


@pytest.mark.parametrize(
    ("accuracies", "low", "high", "at_most"),
    [
        # level .89: half of the way from .90 down to .88, a quarter of that down to .86
        ([0.88, 0.90, 0.86], -1.5, -0.75, 0.75),
        ([0.895, 0.90, 0.86], -2.0, -0.75, None),
        ([0.88, 0.90, 0.899], -1.5, 0.0, None),
        ([0.90, 0.80, 0.90], -2.0, -1.9, None),  # the second peak is not beside the first
        # where a seed failed the curve ends, nobody knows how far behind the peak
        ([0.1, 0.90, None], -1.0, -1.0, 2.0),
        ([0.88, 0.90, [0.9, 0.1]], -1.5, -1.0, 1.5),
        ([[0.9, 0.1], 0.90, 0.895], -1.0, 0.0, None),
    ],
)
def test_width_is_interpolated_over_the_logarithm(
    tmp_path: Path, accuracies: list[Any], low: float, high: float, at_most: float | None
) -> None:
    width = curve(tmp_path / "s", sweep(accuracies, [0.01, 0.1, 1.0])).width
    assert width is not None
    assert (math.log10(width.low), math.log10(width.high)) == pytest.approx((low, high))
    assert (width.size, width.at_most) == (pytest.approx(high - low), at_most and pytest.approx(at_most))


def test_width_of_a_plain_range_is_in_its_own_unit(tmp_path: Path) -> None:
    trials = [trial(n, {"momentum": m}, [a]) for n, (m, a) in enumerate([(0.0, 0.88), (0.4, 0.9), (0.8, 0.86)])]
    found = curve(tmp_path / "s", trials, space={"momentum": {"low": 0, "high": 0.8}})
    assert found.width == Width(pytest.approx(0.2), pytest.approx(0.5), pytest.approx(0.3), pytest.approx(0.3))
    assert found.width.shown(Axis("momentum", 0, 0.8, log=False)) == "0.3"


def test_width_is_shown_with_its_unit_and_whether_it_goes_on() -> None:
    assert Width(0.01, 0.1, 1.0, at_most=1.0).shown(LR) == "1.00 decades"
    assert Width(0.01, 0.1, 1.0, at_most=1.4).shown(LR) == "1.00–1.40 decades"
    assert Width(0.01, 0.1, 1.0, at_most=None).shown(LR) == "≥ 1.00 decades"


@pytest.mark.parametrize("accuracies", [[0.1, None, 0.1], [0.1, [0.9, 0.1], [0.9, None]]])
def test_without_a_trial_that_learned_there_is_no_peak(tmp_path: Path, accuracies: list[Any]) -> None:
    found = curve(tmp_path / "s", sweep(accuracies, [0.01, 0.1, 1.0]))
    assert (found.peak, found.width) == (None, None)
    assert found.chance is not None


def test_one_rate_has_a_peak_and_no_width(tmp_path: Path) -> None:
    found = curve(tmp_path / "s", sweep([0.9], [0.1]))
    assert found.peak is not None
    assert found.width is None
    assert found.chance is not None
    assert (found.chance.share, found.chance.num_rates, found.chance.effective) == (1.0, 1, 1.0)
    assert found.chance.interval == pytest.approx((1 / (1 + 1.959964**2), 1.0))  # Wilson's for 1 of 1


def test_a_pruned_trial_is_on_no_curve(tmp_path: Path) -> None:
    trials = [
        trial(0, {"lr": 0.01}, [0.9, 0.9]),
        pruned(1, {"lr": 0.1}, [0.7, 0.1]),
        trial(2, {"lr": 1.0}, [0.895, 0.895]),
    ]
    found = curve(tmp_path / "s", trials)
    # it says that one seed had learned, and of the other nothing
    assert [point.learned for point in found.points] == [Tally(2, 2), Tally(1, 1), Tally(2, 2)]
    assert found.width == Width(pytest.approx(0.01), pytest.approx(1.0), pytest.approx(2.0), at_most=None)


def test_where_other_parameters_vary_freely_the_width_is_a_lower_bound(tmp_path: Path) -> None:
    near = [(0.003, 0.80), (0.01, 0.895), (0.03, 0.70), (0.1, 0.90), (0.3, 0.891), (1.0, 0.6)]
    trials = [
        trial(n, {"lr": lr, "weight_decay": 0.001 * n}, [at, at]) for n, (lr, at) in enumerate(near)
    ]  # fmt: skip
    space = {"lr": {"low": 0.001, "high": 1, "log": True}, "weight_decay": {"low": 0, "high": 0.01}}
    found = curve(tmp_path / "s", trials, space=space, sampler="tpe")
    assert not found.connected
    assert found.width == Width(
        pytest.approx(0.01), pytest.approx(0.3), pytest.approx(math.log10(30)), at_most=None
    )


def test_the_chance_to_learn_weighs_each_rate_by_the_range_it_stands_for(tmp_path: Path) -> None:
    chance = curve(tmp_path / "s", sweep([0.8, 0.8, 0.8, 0.8, [0.8, 0.1], None])).chance
    assert chance is not None
    # six log-spaced rates stand for .1 .2 .2 .2 .2 .1 of the range, and the fifth learned with one seed of two
    assert chance.share == pytest.approx(0.1 + 3 * 0.2 + 0.2 / 2)
    assert (chance.num_rates, chance.effective) == (6, pytest.approx(1 / (2 * 0.1**2 + 4 * 0.2**2)))
    # Wilson's interval for .8 of 50/9: centre (p + z²/2n) / (1 + z²/n), with z² = 3.8415
    assert chance.interval == pytest.approx((0.3937285, 0.9609941), abs=1e-6)


def test_crowded_rates_count_no_more_than_their_share(tmp_path: Path) -> None:
    # nine rates within the lower tenth of the range, which learn, and one in the middle, which does not
    rates = [10 ** (-3 + 0.03 * step) for step in range(9)] + [10**-1.5]
    chance = curve(tmp_path / "s", sweep([0.8] * 9 + [0.1], rates)).chance
    assert chance is not None
    border = (-3 + 0.24 + -1.5) / 2
    assert chance.share == pytest.approx((border + 3) / 3)
    assert chance.effective < 3


def test_each_rate_stands_for_what_is_nearest_to_it(tmp_path: Path) -> None:
    found = curve(tmp_path / "s", sweep([0.8, 0.8, 0.1], [0.01, 0.1, 1.0]))
    parts = [(point.rate, low, high) for point, low, high in nearest_parts(LR, found.points)]
    assert parts == [
        (0.01, pytest.approx(0.001), pytest.approx(10**-1.5)),
        (0.1, pytest.approx(10**-1.5), pytest.approx(10**-0.5)),
        (1.0, pytest.approx(10**-0.5), pytest.approx(1.0)),
    ]


def test_without_trials_nothing_is_known(tmp_path: Path) -> None:
    found = curve(tmp_path / "s", [failed(0, {"lr": 0.1})])
    assert (found.points, found.peak, found.width, found.chance) == ([], None, None, None)
