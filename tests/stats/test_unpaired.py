import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from nin_bench.stats.unpaired import percentile_among, unpaired_difference, welch_interval


def test_welch_is_that_of_statsmodels() -> None:
    a, b = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8]
    found = unpaired_difference(a, b)
    reference = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    assert found.estimate == pytest.approx(np.mean(a) - np.mean(b))
    assert found.interval(0.1) == pytest.approx(reference.tconfint_diff(0.1, usevar="unequal"))
    assert found.p == pytest.approx(reference.ttest_ind(usevar="unequal")[1])


@pytest.mark.parametrize(("a", "b"), [([0.9], [0.8, 0.7]), ([0.9, 0.9], [0.8, 0.8])])
def test_without_spread_there_is_no_telling(a: list[float], b: list[float]) -> None:
    found = unpaired_difference(a, b)
    assert (found.p, found.interval()) == (1.0, None)
    assert found.estimate == pytest.approx(0.9 - np.mean(b))


def test_welch_s_interval_is_scipy_s() -> None:
    a, b = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4]), np.array([1.9, 0.8, 1.1, 0.1])
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    found = welch_interval(a.mean(), a.std(ddof=1), 6, b.mean(), b.std(ddof=1), 4)
    assert found == pytest.approx((interval.low, interval.high))


def test_a_percentile_counts_ties_half() -> None:
    assert percentile_among(0.9, [0.8, 0.9, 0.95, 0.97]) == 0.375
    assert percentile_among(0.5, [0.8]) == 0
    assert percentile_among(0.9, [0.8]) == 1
