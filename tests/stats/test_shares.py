"""Shares of networks against published examples, scipy and statsmodels."""

import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from nin_bench.stats.claims import Claim, Expectation, Interval
from nin_bench.stats.shares import PairedShares, paired_shares, points_against, wilson_interval


@pytest.mark.parametrize(
    ("counts", "interval"),
    [  # both, only A, only B, neither; Newcombe, 1998, table II, method 10
        ((59, 6, 16, 80), (-0.1186, -0.0046)),  # Cavo et al., 2012, in Fagerland, Lydersen and Laake, 2017
        ((14, 5, 0, 22), (0.0115, 0.2265)),  # Altman et al., Statistics with Confidence, 2000, table 6.2
    ],
)
def test_newcombe_s_interval_of_published_examples(counts: tuple[int, int, int, int], interval: Interval) -> None:
    assert PairedShares(*counts).interval() == pytest.approx(interval, abs=5e-5)


@pytest.mark.parametrize(("only_a", "only_b"), [(4, 0), (6, 16), (0, 0), (3, 3)])
def test_mcnemar_is_exact(only_a: int, only_b: int) -> None:
    found = PairedShares(1, only_a, only_b, 2)
    assert found.mcnemar_p == pytest.approx(mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue)
    if only_a + only_b:
        greater = stats.binomtest(only_a, only_a + only_b, alternative="greater").pvalue
        assert found.a_greater_p == pytest.approx(greater)


@pytest.mark.parametrize(("count", "n"), [(0, 12), (1, 20), (12, 12)])
def test_wilson_is_that_of_statsmodels(count: int, n: int) -> None:
    assert wilson_interval(count, n) == pytest.approx(proportion_confint(count, n, method="wilson"))


def test_no_failure_in_twelve_still_allows_many() -> None:
    assert wilson_interval(0, 12)[1] == pytest.approx(0.2425, abs=5e-5)  # z² / (12 + z²)
    assert PairedShares(0, 0, 0, 12).interval() == pytest.approx((-0.2425, 0.2425), abs=5e-5)


@pytest.mark.parametrize("counts", [(59, 6, 16, 80), (1, 4, 0, 0), (5, 0, 0, 0), (0, 0, 5, 0), (0, 3, 2, 0)])
def test_shares_mirror_when_the_variants_are_swapped(counts: tuple[int, int, int, int]) -> None:
    both, only_a, only_b, neither = counts
    test, swapped = PairedShares(*counts), PairedShares(both, only_b, only_a, neither)
    low, high = test.interval()
    assert swapped.interval() == pytest.approx((-high, -low))
    assert -1 <= low <= test.difference <= high <= 1
    assert test.a_greater_p == swapped.b_greater_p


def test_a_share_is_not_decided_against_mcnemar_s_exact_test() -> None:
    claim, four_of_five, six_of_six = Claim("greater", 0.0), PairedShares(1, 4, 0, 0), PairedShares(0, 6, 0, 0)
    assert four_of_five.interval()[0] > 0
    assert four_of_five.decide(claim, 0.05) == "undecided"
    assert six_of_six.decide(claim, 0.05) == "supported"
    assert PairedShares(0, 0, 6, 0).decide(claim, 0.05) == "refuted"


def test_shares_are_counted_in_pairs() -> None:
    counted = paired_shares([True, True, False, False, True], [True, False, True, False, True])
    assert counted == PairedShares(both=2, only_a=1, only_b=1, neither=1)
    assert (counted.n, counted.counts, counted.difference) == (5, (3, 3), 0)


NO_FAILURES, A_FAILS, B_FAILS = PairedShares(0, 0, 0, 12), PairedShares(0, 3, 0, 9), PairedShares(0, 0, 3, 9)


@pytest.mark.parametrize(
    ("expect", "decision", "estimate", "higher_is_better", "against"),
    [
        # A is called better, or no worse: that A fails more often speaks against it
        ("greater", "supported", 0.03, True, A_FAILS),
        ("less", "supported", -0.03, False, A_FAILS),
        ("less", "refuted", 0.0, True, A_FAILS),
        ("equivalent", "refuted", 0.03, True, A_FAILS),
        # A is called worse, or no better
        ("greater", "refuted", 0.0, True, B_FAILS),
        ("less", "supported", -0.03, True, B_FAILS),
        ("greater", "supported", 0.03, False, B_FAILS),
        ("equivalent", "refuted", -0.03, True, B_FAILS),
    ],
)
def test_failures_of_the_variant_that_is_called_better_point_against_a_verdict(
    expect: Expectation, decision: str, estimate: float, higher_is_better: bool, against: PairedShares
) -> None:
    def pointing(failures: PairedShares) -> bool:
        return points_against(
            failures,
            decision,  # type: ignore[arg-type]
            Claim(expect, 0.01),
            estimate,
            higher_is_better=higher_is_better,
        )

    assert [one for one in (NO_FAILURES, A_FAILS, B_FAILS) if pointing(one)] == [against]
    two_of_two = PairedShares(0, 2, 0, 10), PairedShares(0, 0, 2, 10)  # p = 1/4
    assert not any(map(pointing, two_of_two))


def test_equal_variants_have_equal_failures_and_an_open_claim_none_against_it() -> None:
    claim = Claim("equivalent", 0.01)
    against = [
        points_against(failures, "supported", claim, 0.0, higher_is_better=True)
        for failures in (NO_FAILURES, A_FAILS, B_FAILS)
    ]
    assert against == [False, True, True]
    assert not points_against(A_FAILS, "undecided", claim, 0.0, higher_is_better=True)
