import json
from typing import Any

import pytest

from nin_bench.analysis.references import Comparison, compare_references
from nin_bench.reporting.build import build_report
from nin_bench.reporting.sections.networks import describe_reference
from nin_bench.results import load_results
from tests.report_fixture import COLLAPSED, metrics, record, write_results


def reference(**fields: Any) -> dict[str, Any]:
    return {
        "id": "paper", "claim": "It is 0.88.", "metric": "test_accuracy", "model": "a", "value": 0.88, "n": 1,
        "sd": None, "source": "a paper", "url": None, "differs": None, **fields,
    }  # fmt: skip


def compared(tmp_path, accuracies: list[float | None], **fields: Any) -> Comparison:
    """None is a collapsed network."""
    cells = [record(metrics=metrics(one) if one is not None else metrics(0.1, **COLLAPSED)) for one in accuracies]
    folder = write_results(tmp_path / "results", {"a": cells or [None]}, references=[reference(**fields)])
    (found,) = compare_references(load_results(folder))
    return found


def test_a_published_mean_and_spread_give_an_interval(tmp_path):
    found = compared(tmp_path, [0.89, 0.90, 0.91], n=82, sd=0.005)
    assert found.difference == pytest.approx(0.02)
    # variances .0001 / 3 and .000025 / 82, so 2.04 degrees of freedom and t = 4.25
    assert found.interval == pytest.approx((0.02 - 0.0246, 0.02 + 0.0246), abs=2e-4)
    assert found.percentile is None
    assert describe_reference(found).startswith("The interval reaches across zero")
    far = compared(tmp_path / "far", [0.89, 0.90, 0.91], value=0.8, n=82, sd=0.005)
    assert describe_reference(far) == "The whole interval lies above zero: the means differ."


def test_a_single_published_run_has_a_percentile_among_ours(tmp_path):
    found = compared(tmp_path, [0.87, 0.88, 0.89, 0.90])
    assert (found.percentile, found.interval) == (0.375, None)
    assert describe_reference(found) == "A single published run: it lies above 1 of our 4 and equals 1."


def test_a_mean_without_spread_stands_side_by_side(tmp_path):
    found = compared(tmp_path, [0.87, 0.89], n=3)
    assert (found.difference, found.interval, found.percentile) == (pytest.approx(0), None, None)
    assert describe_reference(found) == "Without a spread on both sides there is no interval."


def test_where_networks_collapsed_there_is_no_interval(tmp_path):
    found = compared(tmp_path, [0.89, 0.90, None], n=82, sd=0.005)
    assert (found.measured.n, found.num_failed, found.interval) == (3, 1, None)
    assert describe_reference(found).startswith("1 of our 3 networks failed")


def test_where_published_networks_failed_there_is_no_test(tmp_path):
    # sd² / (mean (1 - mean)): .0552 / .1948 = .28, and .0025 / .16 = .016
    found = compared(tmp_path / "some at chance", [0.89, 0.90, 0.91], value=0.735, n=74, sd=0.235)
    assert (found.difference, found.interval) == (pytest.approx(0.165), None)
    assert "some of which failed" in describe_reference(found)
    assert compared(tmp_path / "none", [0.89, 0.90, 0.91], value=0.8, n=74, sd=0.05).interval is not None
    gap = compared(tmp_path / "gap", [0.89, 0.90], metric="generalisation_gap", value=0.001, n=9, sd=0.02)
    assert "of which failed" not in describe_reference(gap)


def test_counts_are_equal_or_not(tmp_path):
    assert (
        describe_reference(compared(tmp_path / "a", [0.9], metric="num_params", value=1_992_166))
        == "The two counts are equal."
    )
    assert (
        describe_reference(compared(tmp_path / "b", [0.9], metric="num_params", value=1))
        == "The two counts differ."
    )


def test_without_cells_nothing_is_held_against_it(tmp_path):
    found = compared(tmp_path, [], n=82, sd=0.005)
    assert (found.measured.n, found.difference, found.interval) == (0, None, None)
    assert describe_reference(found) == "Nothing was measured to compare it with."


def test_the_page_says_it(tmp_path):
    folder = write_results(
        tmp_path / "results",
        {"a": [record(metrics=metrics(accuracy)) for accuracy in (0.89, 0.90, 0.91)]},
        references=[
            reference(n=82, sd=0.005, differs="The <size>.", url="https://example.org"),
            reference(id="count", metric="num_params", value=1_992_166),
        ],
        open_claims=[{"claim": "It is |deep|.", "reason": "Nobody measured."}],
    )
    path = build_report(folder, tmp_path / "report")
    page = path.read_text()
    row = "| **paper**: It is 0.88. | a | test accuracy | 88.0 % ± 0.5 (n=82) | 90.0 % ± 1.0 (n=3) | +2.0 points |"
    counted = "| **count**: It is 0.88. | a | parameters | 1,992,166 | 1,992,166 | 0 | – |"
    assert f"{row} −0.5 to +4.5 points |\n{counted}\n" in page
    assert "- **paper**: What differs: The &lt;size&gt;.\n" in page
    assert "\n- It is \\|deep\\|. **Open.** Nobody measured.\n" in page
    document = json.loads(path.with_suffix(".json").read_text())
    assert [entry["id"] for entry in document["references"]] == ["paper", "count"]
    assert document["open_claims"] == [{"claim": "It is |deep|.", "reason": "Nobody measured."}]


def test_a_grid_of_before_has_none(tmp_path):
    folder = write_results(tmp_path / "results", {"a": [record(metrics=metrics(0.9))]})
    assert compare_references(load_results(folder)) == []
    page = build_report(folder, tmp_path / "report").read_text()
    assert "## Published values" not in page
    assert "**Open.**" not in page
