import numpy as np
import pytest
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from nin_bench.stats import unpaired_difference


def test_welch_is_that_of_statsmodels() -> None:
    a, b = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8]
    found = unpaired_difference(a, b)
    reference = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    assert found.mean == pytest.approx(np.mean(a) - np.mean(b))
    assert found.interval(0.1) == pytest.approx(reference.tconfint_diff(0.1, usevar="unequal"))
    assert found.p == pytest.approx(reference.ttest_ind(usevar="unequal")[1])


@pytest.mark.parametrize(("a", "b"), [([0.9], [0.8, 0.7]), ([0.9, 0.9], [0.8, 0.8])])
def test_without_spread_there_is_no_telling(a: list[float], b: list[float]) -> None:
    found = unpaired_difference(a, b)
    assert (found.p, found.interval()) == (1.0, None)
    assert found.mean == pytest.approx(0.9 - np.mean(b))
