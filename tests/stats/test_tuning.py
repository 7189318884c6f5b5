import numpy as np
import pytest

from nin_bench.stats.tuning import choose_rate

RATES = [1e-3, 1e-2, 1e-1, 1.0]
NO_FAILURE = [False] * 4


def parabola(top: float, scale: float = 1.0) -> list[float]:
    """Means that lie on a parabola in the decimal logarithm of the rate."""
    return [0.9 - scale * (np.log10(rate) - top) ** 2 for rate in RATES]


def test_the_top_of_a_parabola_is_found_between_the_rates():
    assert choose_rate(RATES, parabola(-1.4), NO_FAILURE) == pytest.approx(10**-1.4)


def test_the_order_of_the_rates_does_not_matter():
    assert choose_rate(RATES[::-1], parabola(-1.4)[::-1], NO_FAILURE) == pytest.approx(10**-1.4)


def test_three_means_by_hand():
    # Through (-3, 0), (-2, 3), (-1, 2): y = -2x² - 7x - 3, whose top is at -7/4.
    assert choose_rate(RATES[:3], [0.0, 3.0, 2.0], [False] * 3) == pytest.approx(10**-1.75)


@pytest.mark.parametrize(("top", "chosen"), [(-5.0, 1e-3), (2.0, 1.0)])
def test_a_top_beyond_the_rates_is_taken_at_their_end(top, chosen):
    assert choose_rate(RATES, parabola(top), NO_FAILURE) == pytest.approx(chosen)


def test_a_valley_is_not_a_top():
    assert choose_rate(RATES, parabola(-1.4, scale=-1.0), NO_FAILURE) == pytest.approx(1e-3)


def test_a_flat_curve_takes_some_rate():
    assert choose_rate(RATES, [0.5] * 4, NO_FAILURE) in [pytest.approx(rate) for rate in RATES]


def test_a_failed_trial_is_no_part_of_the_fit_and_keeps_the_choice_half_a_step_away():
    means = [*parabola(-1.0)[:3], 0.45]
    assert choose_rate(RATES, means, [False, False, False, True]) == pytest.approx(10**-1.5)
    # A top that is farther from the cliff stays where it is.
    means = [*parabola(-1.8)[:3], 0.45]
    assert choose_rate(RATES, means, [False, False, False, True]) == pytest.approx(10**-1.8)


def test_a_failure_below_is_no_cliff():
    means = [0.1, *parabola(-0.4)[1:]]
    assert choose_rate(RATES, means, [True, False, False, False]) == pytest.approx(10**-0.4)


def test_with_two_healthy_rates_the_best_mean_decides_under_the_same_limit():
    assert choose_rate(RATES, [0.8, 0.7, 0.9, 0.9], [False, False, True, True]) == pytest.approx(1e-3)
    assert choose_rate(RATES, [0.7, 0.8, 0.9, 0.9], [False, False, True, True]) == pytest.approx(10**-2.5)
    assert choose_rate(RATES, [0.7, 0.8, 0.0, 0.0], [False, True, True, True]) == pytest.approx(10**-3.5)


def test_where_some_network_failed_at_every_rate_the_best_mean_decides():
    assert choose_rate(RATES, [0.1, 0.4, 0.2, 0.0], [True] * 4) == pytest.approx(1e-2)
