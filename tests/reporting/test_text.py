import doctest

import pytest

from nin_bench.analysis.tables import Spread
from nin_bench.reporting import text


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(text).failed == 0


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (842, "842"),
        (999, "999"),
        (61_706, "61.7 k"),
        (999_600, "1 M"),
        (1_992_166, "1.99 M"),
        (58_105_354, "58.1 M"),
        (7_547_232_256, "7.55 G"),
        (2.5e12, "2.5 T"),
        (None, "–"),
    ],
)
def test_counts_have_three_digits_and_a_unit(count, shown):
    assert text.human_count(count) == shown


def test_one_value_has_no_spread_and_none_has_no_mean():
    assert text.percent_spread(Spread(mean=0.912, sd=0.003, n=3)) == "91.2 ± 0.3 (n=3)"
    assert text.percent_spread(Spread(mean=0.912, sd=None, n=1)) == "91.2 (n=1)"
    assert text.percent_spread(Spread(mean=None, sd=None, n=0)) == "–"
    assert text.percent_spread(Spread(mean=-0.004, sd=0.01, n=5), "+") == "−0.4 ± 1.0 (n=5)"


def test_quantities_keep_three_digits():
    assert text.quantity_spread(Spread(mean=3192.9, sd=41.2, n=2)) == "3,193 ± 41 (n=2)"
    assert text.quantity_spread(Spread(mean=0.0833, sd=0.0083, n=2)) == "0.0833 ± 0.0083 (n=2)"
    assert text.quantity_spread(Spread(mean=0.0, sd=0.0, n=2)) == "0.00 ± 0.00 (n=2)"


def test_number_ranges_join_runs_of_three():
    assert text.number_ranges([4, 0, 1, 2]) == "0–2, 4"
    assert text.number_ranges([0, 1]) == "0, 1"
    assert text.number_ranges([]) == ""
