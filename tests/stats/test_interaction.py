import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.anova import AnovaRM

from nin_bench.stats import interaction


def test_the_difference_of_differences() -> None:
    found = interaction([0.90, 0.92], [0.80, 0.81], [0.85, 0.84], [0.79, 0.82])
    # (.90 − .85) − (.80 − .79) = .04; (.92 − .84) − (.81 − .82) = .09
    assert found.differences == pytest.approx((0.04, 0.09))
    assert found.mean == pytest.approx(0.065)


def test_it_is_the_test_of_an_analysis_of_variance() -> None:
    draw = np.random.default_rng(3)
    cells = draw.normal(size=(2, 2, 9)) + draw.normal(size=9)  # seeds share something
    found = interaction(cells[1, 1], cells[1, 0], cells[0, 1], cells[0, 0])
    rows = [(seed, a, b, cells[a, b, seed]) for a in (0, 1) for b in (0, 1) for seed in range(9)]
    table = pd.DataFrame(rows, columns=["seed", "a", "b", "y"])
    reference = AnovaRM(table, "y", "seed", within=["a", "b"]).fit().anova_table.loc["a:b"]
    assert 2 * min(found.above(0), found.below(0)) == pytest.approx(reference["Pr > F"])


def test_intervals_cover_at_the_few_seeds_of_a_grid() -> None:
    draw = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        shared = draw.normal(size=5)
        cells = draw.normal(scale=0.5, size=(2, 2, 5)) + shared
        low, high = interaction(cells[1, 1] + 0.7, cells[1, 0], cells[0, 1], cells[0, 0]).interval() or (0, 0)
        covered += low <= 0.7 <= high
    assert 0.93 <= covered / 1000 <= 0.97
