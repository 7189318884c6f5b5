import numpy as np
import pytest
from scipy import stats

from nin_bench.stats import Claim, Ranking, least_pairs, pairs_needed, share_interval


def test_the_exact_interval_is_the_published_one() -> None:
    # Clopper and Pearson's for 10 of 20: Newcombe, 1998, Statistics in Medicine 17, 857–872
    assert share_interval(10, 20) == pytest.approx((0.2720, 0.7280), abs=1e-4)


def test_it_lies_above_one_half_exactly_where_the_sign_test_rejects() -> None:
    for n in range(1, 20):
        for count in range(n + 1):
            rejects = stats.binomtest(count, n, alternative="greater").pvalue <= 0.025
            assert (share_interval(count, n)[0] > 0.5) == rejects, (count, n)


@pytest.mark.parametrize(("alpha", "least"), [(0.05, 6), (0.01, 8), (0.025, 7)])
def test_the_least_pairs_are_those_that_decide_when_all_agree(alpha: float, least: int) -> None:
    assert least_pairs(alpha) == least == pairs_needed(1.0, alpha)
    assert stats.binomtest(least, least).pvalue <= alpha < stats.binomtest(least - 1, least - 1).pvalue


def test_so_many_pairs_decide_with_the_chance_foretold() -> None:
    n = pairs_needed(0.8)
    assert n is not None
    draws = np.random.default_rng(0).binomial(n, 0.8, 4000)
    decided = np.mean([stats.binomtest(int(count), n).pvalue <= 0.05 and count > n / 2 for count in draws])
    assert 0.78 <= decided <= 0.9
    assert pairs_needed(0.5) is pairs_needed(0.52) is None


def test_a_claim_leans_to_where_most_pairs_point() -> None:
    ranking = Ranking((0.03, 0.02, -0.05, 0.001, float("inf"), float("nan")), 0.01, higher_is_better=True)
    assert [ranking.num_holding(Claim(expect, 0.01)) for expect in ("greater", "less", "equivalent")] == [3, 1, 1]
    assert ranking.leaning(Claim("greater", 0.01)) == (3 / 6, "supported")
    assert ranking.leaning(Claim("less", 0.01)) == (4 / 6, "refuted")
    assert ranking.leaning(Claim("equivalent", 0.01)) == (3 / 6, "refuted")
