import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from nin_bench.stats.survival import survival

# Weeks in remission of 21 patients on 6-mercaptopurine; Freireich et al., 1963, Blood 21, 699–716.
WEEKS = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
RELAPSED = [True] * 9 + [False] * 12


def test_the_curve_is_the_published_one() -> None:
    found = survival(WEEKS, RELAPSED, horizon=35)
    assert [step.time for step in found.steps] == [0, 6, 7, 10, 13, 16, 22, 23]
    published = [1, 0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert [1 - step.share for step in found.steps] == pytest.approx(published, abs=5e-4)
    assert (found.n, found.num_reached, found.median) == (21, 9, 23)
    # area under the published steps
    assert found.restricted_mean == pytest.approx(23.287, abs=1e-3)


def test_the_interval_of_the_median_is_that_of_statsmodels() -> None:
    low, high = survival(WEEKS, RELAPSED, horizon=35).median_interval
    reference = SurvfuncRight(WEEKS, RELAPSED).quantile_ci(0.5, method="cloglog")
    assert reference == (low, np.inf)
    assert high is None
    everybody = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    with np.errstate(divide="ignore", invalid="ignore"):
        reference = SurvfuncRight(everybody, np.ones(10)).quantile_ci(0.5, method="cloglog")
    assert survival(everybody, [True] * 10, horizon=12).median_interval == reference


def test_who_never_gets_there_gives_no_median() -> None:
    nobody = survival([12, 12], [False, False], horizon=12)
    assert (nobody.median, nobody.median_interval, nobody.restricted_mean) == (None, (None, None), 12)
    one = survival([3], [True], horizon=12)
    assert (one.median, one.median_interval, one.restricted_mean) == (3, (None, None), 3)


def test_where_everybody_got_there_the_median_s_interval_ends() -> None:
    # one of eight after 3 epochs, three after 4, the other four after 5: no later than that, as
    # with none of eight left, the share that is left is at most 1 - 0.025 ** (1/8) = 0.369 (Clopper and Pearson)
    found = survival([3, 4, 4, 4, 5, 5, 5, 5], [True] * 8, horizon=12)
    assert (found.median, found.median_interval) == (4, (3, 5))
    assert found.steps[-1].interval == (pytest.approx(0.025 ** (1 / 8)), 1)
    assert found.steps[0].interval == (0, pytest.approx(1 - 0.025 ** (1 / 8)))
    # from order statistics: the whole range of n holds the median with 1 - 2 / 2**n, 0.938 of five, 0.969 of six
    assert survival([1, 2, 3, 4, 5], [True] * 5, horizon=12).median_interval == (None, None)
    assert survival([1, 2, 3, 4, 5, 6], [True] * 6, horizon=12).median_interval == (1, 6)


def test_cells_that_broke_off_leave_the_end_of_a_curve_less_sure() -> None:
    found = survival([1, 2, 2, 3, 4, 5], [True, False, True, True, False, True], horizon=12)
    # at risk 6, 5, 3 and 1: the upper end is that of Beta(6, 1) · Beta(5, 1) · Beta(3, 1) · Beta(1, 1)
    draw = np.random.default_rng(0)
    product = np.prod([draw.beta(at_risk, 1, 200_000) for at_risk in (6, 5, 3, 1)], axis=0)
    assert found.steps[-1].share == 1
    assert 1 - found.steps[-1].interval[0] == pytest.approx(np.quantile(product, 0.975), abs=0.02)
    assert 1 - found.steps[-1].interval[0] > 1 - 0.025 ** (1 / 6)


def test_a_tie_and_a_censored_cell() -> None:
    found = survival([2, 2, 4, 12], [True, True, True, False], horizon=12)
    assert [(step.time, step.share) for step in found.steps] == [(0, 0), (2, 0.5), (4, 0.75)]
    assert (found.median, found.restricted_mean) == (2, 2 * 1 + 2 * 0.5 + 8 * 0.25)


def test_intervals_cover_the_share_that_they_are_of() -> None:
    draw = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        times, until = draw.exponential(4.0, 12), 6.0
        found = survival(np.minimum(times, until), times <= until, horizon=until)
        step = [step for step in found.steps if step.time <= 3.0][-1]
        covered.append(step.interval[0] <= 1 - np.exp(-3 / 4) <= step.interval[1])
    assert 0.92 <= np.mean(covered) <= 0.99
