"""Quick simulations: a few settings of docs/statistics.md, and that they judge as the package does."""

import numpy as np
import pytest

from nin_bench.stats.paired_test import is_heavy_tailed, paired_differences, paired_test
from tests import error_rates
from tests.error_rates import Setting, fixed, looks

REPEATS = 2_000
MOST = 5.0 + 3 * 0.49
"""Percent: 5 and three standard errors of so many repeats."""


@pytest.mark.parametrize(
    "setting",
    [
        Setting(),
        Setting("heavy-tailed"),
        Setting(step=0.5),
        Setting(failing=(0.1, 0.0), cost=7.0),
        Setting(failing=(0.3, 0.0)),
        Setting(failing=(0.2, 0.2)),
    ],
)
@pytest.mark.parametrize("at", [fixed(12), looks(24)], ids=["12 seeds", "looks"])
def test_hardly_any_verdict_is_wrong(setting: Setting, at: list[error_rates.Look]) -> None:
    assert error_rates.wrong(setting, at, repeats=REPEATS) <= MOST


@pytest.mark.parametrize("num_claims", [2, 6])
def test_hardly_any_verdict_of_a_family_is_wrong(num_claims: int) -> None:
    assert error_rates.wrong(Setting(), fixed(24), num_claims=num_claims, repeats=REPEATS) <= MOST


def test_a_t_test_would_err_where_networks_fail() -> None:
    failing = Setting(failing=(0.3, 0.0))
    assert error_rates.wrong(failing, fixed(24), repeats=REPEATS, by=error_rates.by_t) > 80
    assert error_rates.wrong(failing, fixed(24), repeats=REPEATS, by=error_rates.by_ranks) > 10


@pytest.mark.parametrize("setting", [Setting(), Setting(step=0.5), Setting(failing=(0.1, 0.1), cost=7.0)])
@pytest.mark.parametrize("n", [5, 6, 13])
def test_the_simulation_judges_as_the_package_does(setting: Setting, n: int) -> None:
    (a,), b = error_rates.draw_networks(setting, 0.3, (40, n), np.random.default_rng(n))
    lows, highs = error_rates.by_rule(a, b, 0.05)
    for row, interval in enumerate(zip(lows, highs, strict=True)):
        accuracies = [one.accuracies[row] / 100 for one in (a, b)]
        failed = [*a.failed[row], *b.failed[row]]
        test = paired_test(paired_differences(*accuracies), heavy_tailed=is_heavy_tailed(accuracies, failed))
        assert tuple(100 * end for end in test.interval(0.05)) == pytest.approx(interval, abs=1e-9)
