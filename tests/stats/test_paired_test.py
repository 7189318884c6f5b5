"""The exact paired test against published tables and examples, scipy, and its own interval."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nin_bench.stats.claims import Claim, Expectation
from nin_bench.stats.paired_test import (
    end_rank,
    is_heavy_tailed,
    least_pairs,
    null_distribution,
    paired_differences,
    paired_test,
)

# Hamilton's depression scale of nine patients before and after a tranquilizer; Hollander and Wolfe, 1973
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]

# the largest rank sums that are significant, two-sided; Wilcoxon and Wilcox, 1964
CRITICAL = {
    0.05: dict(enumerate([0, 2, 3, 5, 8, 10, 13, 17, 21, 25, 29, 34, 40, 46, 52, 58, 65, 73, 81, 89], start=6)),
    0.01: dict(enumerate([0, 1, 3, 5, 7, 9, 12, 15, 19, 23, 27, 32, 37, 42, 48, 54, 61, 68], start=8)),
}


@pytest.mark.parametrize("level", CRITICAL)
def test_critical_values_are_those_of_the_tables(level: float) -> None:
    assert {n: end_rank("signed-rank", n, level) - 1 for n in CRITICAL[level]} == CRITICAL[level]
    assert end_rank("signed-rank", min(CRITICAL[level]) - 1, level) == 0


@pytest.mark.parametrize(
    ("n", "rank"), [(5, 0), (6, 1), (8, 1), (9, 2), (10, 2), (12, 3), (15, 4), (20, 6), (25, 8)]
)
def test_the_sign_test_s_interval_has_the_tabled_ranks(n: int, rank: int) -> None:
    assert end_rank("sign", n, 0.05) == rank


def test_the_published_example() -> None:
    found = paired_test(np.subtract(BEFORE, AFTER), heavy_tailed=False)
    assert found.test == "signed-rank"
    assert found.estimate == pytest.approx(0.46)
    assert found.above(0) == pytest.approx(0.01953, abs=5e-6)
    assert found.interval(0.05) == pytest.approx((0.010, 0.786))
    assert found.interval(0.001) == (-math.inf, math.inf)


@given(
    st.lists(st.integers(-4000, 4000), min_size=1, max_size=25, unique_by=abs).filter(
        lambda values: 0 not in values
    ),
    st.sampled_from(["greater", "less"]),
)
def test_without_ties_it_is_scipy_s_exact_test(images: list[int], side: str) -> None:
    differences = np.array(images) / 10_000
    signed = paired_test(differences, heavy_tailed=False)
    signs = paired_test(differences, heavy_tailed=True)
    expected = stats.wilcoxon(differences, alternative=side, method="exact").pvalue
    of_signs = stats.binomtest(int((differences > 0).sum()), len(images), alternative=side).pvalue
    assert (signed.above(0) if side == "greater" else signed.below(0)) == pytest.approx(expected)
    assert (signs.above(0) if side == "greater" else signs.below(0)) == pytest.approx(of_signs)


images = st.lists(st.integers(-300, 300), min_size=1, max_size=24)
"""Differences in images, of 10,000: heavily tied."""


@given(
    images,
    st.booleans(),
    st.sampled_from(["greater", "less", "equivalent"]),
    st.integers(0, 200),
    st.sampled_from([0.05, 0.0125, 0.005]),
)
def test_interval_and_p_values_say_the_same(
    counts: list[int], heavy_tailed: bool, expect: Expectation, margin: int, level: float
) -> None:
    # accuracies as floats: their differences are off in the last bits
    a, b = np.array(counts) / 10_000 + 0.9, np.full(len(counts), 0.9)
    test, claim = paired_test(paired_differences(a, b), heavy_tailed=heavy_tailed), Claim(expect, margin / 10_000)
    weighed, decision = test.p_values(claim), claim.decide(test.interval(level))
    assert (decision == "supported") == (weighed.support <= level / 2)
    assert (decision == "refuted") == (weighed.refute <= level / 2)
    low, high = test.interval(level)
    assert low <= test.estimate <= high


@given(images, st.booleans(), st.integers(-100, 100))
def test_it_moves_with_the_data_and_turns_with_them(counts: list[int], heavy_tailed: bool, shift: int) -> None:
    differences = np.array(counts) / 10_000
    here = paired_test(differences, heavy_tailed=heavy_tailed)
    there = paired_test(differences + shift / 10_000, heavy_tailed=heavy_tailed)
    turned = paired_test(-differences, heavy_tailed=heavy_tailed)
    assert there.estimate == pytest.approx(here.estimate + shift / 10_000)
    assert there.interval(0.1) == pytest.approx(tuple(end + shift / 10_000 for end in here.interval(0.1)))
    assert there.above(shift / 10_000) == here.above(0)
    assert turned.above(0) == here.below(0)
    assert turned.interval() == tuple(-end for end in reversed(here.interval()))


def test_a_difference_equal_to_the_margin_counts_for_neither_side() -> None:
    differences = paired_differences([0.91, 0.93, 0.95, 0.92, 0.94, 0.96], [0.90, 0.92, 0.94, 0.91, 0.93, 0.95])
    for heavy_tailed in (False, True):
        test = paired_test(differences, heavy_tailed=heavy_tailed)
        assert test.interval() == (0.01, 0.01)
        assert (test.above(0.01), test.below(0.01)) == (1, 1)
        assert Claim("greater", 0.01).decide(test.interval()) == "undecided"
        assert Claim("equivalent", 0.01).decide(test.interval()) == "undecided"
        assert Claim("greater", 0.0099).decide(test.interval()) == "supported"


@pytest.mark.parametrize("factor", [1.1, 1.2, 1.5, 2.0, 3.0])
def test_a_ratio_equal_to_the_factor_counts_for_neither_side(factor: float) -> None:
    costs = np.array([3.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0])
    test = paired_test(paired_differences(np.log(factor * costs), np.log(costs)), heavy_tailed=False)
    for claim in (Claim("greater", math.log(factor)), Claim("equivalent", math.log(factor))):
        assert claim.decide(test.interval()) == "undecided"


@pytest.mark.parametrize(
    ("expect", "margin", "decision"),
    [
        ("greater", 0.005, "supported"),
        ("greater", 0.01, "undecided"),
        ("greater", 0.8, "refuted"),
        ("less", 0.0, "refuted"),
        ("less", 0.5, "refuted"),
        ("equivalent", 0.8, "supported"),
        ("equivalent", 0.5, "undecided"),
        ("equivalent", 0.005, "refuted"),
    ],
)
def test_the_whole_interval_decides(expect: Expectation, margin: float, decision: str) -> None:
    interval = paired_test(np.subtract(BEFORE, AFTER), heavy_tailed=False).interval()  # 0.010 to 0.786
    assert Claim(expect, margin).decide(interval) == decision


def test_failed_networks_count_with_the_value_they_have() -> None:
    inf = math.inf
    losses_a, losses_b = [0.3, inf, 0.3, inf, 0.3, 0.3, 0.3, 0.3], [0.4, 0.4, inf, inf, 0.4, 0.4, 0.4, 0.4]
    test = paired_test(paired_differences(losses_a, losses_b), heavy_tailed=False)
    assert test.test == "sign"
    assert sorted(test.differences) == [-inf, -0.1, -0.1, -0.1, -0.1, -0.1, 0, inf]
    assert test.estimate == pytest.approx(-0.1)
    assert test.interval() == (-inf, inf)
    assert test.below(0) == pytest.approx(stats.binomtest(6, 8, alternative="greater").pvalue)


def test_a_median_between_infinities_is_zero_and_beside_one_infinite() -> None:
    assert paired_test([-math.inf, math.inf], heavy_tailed=True).estimate == 0
    assert paired_test([0.1, math.inf], heavy_tailed=True).estimate == math.inf


def test_five_pairs_decide_nothing_and_six_that_agree_do() -> None:
    assert (least_pairs(0.05), least_pairs(0.0125), least_pairs(0.05 * 0.1)) == (6, 8, 9)
    for heavy_tailed in (False, True):
        assert paired_test([0.5] * 5, heavy_tailed=heavy_tailed).interval() == (-math.inf, math.inf)
        assert paired_test([0.5] * 6, heavy_tailed=heavy_tailed).interval() == (0.5, 0.5)


@pytest.mark.parametrize(
    ("a", "b", "failed", "heavy"),
    [
        ([0.90, 0.95], [0.91, 0.92], [False] * 4, False),  # 5 points are not more than 5
        ([0.90, 0.9501], [0.91, 0.92], [False] * 4, True),
        ([0.90, 0.91], [0.85, 0.92], [False] * 4, True),
        ([0.90, 0.91], [0.91, 0.92], [False, False, True, False], True),
    ],
)
def test_failures_or_a_wide_spread_call_for_the_sign_test(
    a: list[float], b: list[float], failed: list[bool], heavy: bool
) -> None:
    assert is_heavy_tailed([a, b], failed) == heavy


def test_the_null_distribution_is_a_count_of_signs() -> None:
    # of the 8 ways to sign the ranks 1, 2, 3 the sums are 0, 1, 2, 3, 3, 4, 5, 6
    assert null_distribution("signed-rank", 3) == pytest.approx(np.array([1, 2, 3, 5, 6, 7, 8]) / 8)
    assert null_distribution("sign", 3) == pytest.approx(np.array([1, 4, 7, 8]) / 8)
