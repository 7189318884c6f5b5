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
    assert one.steps[-1].interval is None


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
        if step.interval is not None:
            covered.append(step.interval[0] <= 1 - np.exp(-3 / 4) <= step.interval[1])
    assert len(covered) > 350
    assert 0.92 <= np.mean(covered) <= 0.99
