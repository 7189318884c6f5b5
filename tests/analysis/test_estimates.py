from typing import Any

import pytest

from nin_bench.analysis.estimates import EstimateRow, compare_estimates
from nin_bench.analysis.tables import Spread
from nin_bench.results import load_results
from tests.report_fixture import metrics, record, write_results


def made(foretold: Any, seconds: Any, outcome: str = "trained", tries: int = 1) -> dict[str, Any]:
    attempt = {"outcome": outcome, "error": None, "estimated_seconds": foretold, "seconds": seconds}
    return {**record(outcome, metrics(0.9)), "attempts": [attempt] * tries}


def test_cells_are_held_against_what_was_foretold(tmp_path):
    folder = write_results(
        tmp_path / "r",
        {
            "a": [made(100.0, 90.0), made(100.0, 110.0), made(100.0, 130.0)],
            "b": [made(40.0, 50.0), None],
            "c": [record(metrics=metrics(0.9)), made(None, 50.0)],
        },
    )
    assert compare_estimates(load_results(folder)) == [
        EstimateRow("v00", "a", 100.0, Spread(mean=110.0, sd=pytest.approx(20.0), n=3), pytest.approx(1.1)),
        EstimateRow("v01", "b", 40.0, Spread(mean=50.0, sd=None, n=1), 1.25),
    ]


@pytest.mark.parametrize(
    "cell",
    [
        made(100.0, 20.0, "diverged"),
        made(100.0, 50.0, tries=2),
        made("soon", 1.0),
        made(0.0, 1.0),
        made(1.0, -1.0),
    ],
    ids=["broke off", "several attempts", "text", "nothing foretold", "no time taken"],
)
def test_what_cannot_be_compared_is_left_out(tmp_path, cell):
    assert compare_estimates(load_results(write_results(tmp_path / "r", {"a": [cell]}))) == []
