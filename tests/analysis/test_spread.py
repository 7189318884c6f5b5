import json
import math

import pytest

from nin_bench.analysis.power import power_analysis
from nin_bench.analysis.spread import Failures, Spread, find_pilots
from nin_bench.errors import ResultsError
from nin_bench.results import ResultsFolder

A, B = [0.91, 0.93, 0.95, 0.93], [0.90, 0.90, 0.90, 0.90]  # differences .01, .03, .05, .03
SD = math.sqrt(0.0008 / 3)


def test_a_pilot_of_another_profile_is_read_by_the_hypothesis_of_the_same_name(load, pilot):
    (found,) = power_analysis(load(), [pilot(A, B)])
    assert found.spread == Spread(pytest.approx(SD), "pilot", "tiny/small", 4, pytest.approx(0.03))
    assert found.failures == Failures(4, (0, 0))


def test_a_pilot_of_the_same_variants_is_read_by_them(load, pilot):
    grid = load()
    path = pilot(A, B, hypotheses=[]) / "grid.json"
    assert power_analysis(grid, [path.parent])[0].spread.basis == "default"
    text = path.read_text()
    for written, variant in zip(["v00", "v01"], grid.variants, strict=True):
        text = text.replace(f'"{written}"', json.dumps(variant.variant_id))
    path.write_text(text)
    for record in path.parent.glob("cells/*.json"):
        record.write_text(record.read_text())
    assert power_analysis(grid, [path.parent])[0].spread.sd == pytest.approx(SD)


def test_collapsed_networks_are_counted_and_tell_nothing_of_the_spread(load, pilot):
    (found,) = power_analysis(load(), [pilot([*A, None, 0.92], [*B, 0.90, None])])
    assert (found.spread.sd, found.spread.num_pairs) == (pytest.approx(SD), 4)
    assert found.failures == Failures(6, (1, 1))
    assert found.failures.shares == (1 / 6, 1 / 6)


def test_two_pairs_are_too_few_and_equal_ones_tell_nothing(load, pilot):
    few, equal = pilot(A[:2], B[:2], "few"), pilot([0.9] * 4, [0.8] * 4, "equal")
    assert power_analysis(load(), [few])[0].spread.basis == "default"
    assert power_analysis(load(), [equal])[0].spread.basis == "default"
    assert power_analysis(load(), [equal, pilot(A, B)])[0].spread.basis == "pilot"


def test_what_the_grid_assumes_is_taken_where_no_pilot_tells(load, pilot):
    grid = load(more="assume: {test_accuracy: {sd: 0.02, correlation: 0.5}}\n")
    (found,) = power_analysis(grid, [])
    # 0.02 · √(2 · (1 − 0.5))
    assert found.spread == Spread(pytest.approx(0.02), "assumed")
    assert power_analysis(grid, [pilot(A, B)])[0].spread.basis == "pilot"


def test_the_default_is_one_point_and_of_shares_alone(load):
    sides = "compare: [{hidden: 16}, {hidden: 32}]"
    losses = f"{{id: l, says: l, metric: test_loss, {sides}, expect: less, margin: 0.1}}"
    ratios = f"{{id: r, says: r, metric: test_accuracy, {sides}, expect: less, factor: 2}}"
    shares = f"{{id: s, says: s, metric: test_accuracy, {sides}, expect: less, margin: 0.1}}"
    loss, ratio, share = power_analysis(load(losses, ratios, shares), [])
    assert share.spread == Spread(pytest.approx(math.sqrt(2) * 0.01), "default")
    assert (loss.spread, ratio.spread) == (None, None)


def test_of_a_factor_logarithms_spread(load, pilot):
    sides = "compare: [{hidden: 16}, {hidden: 32}]"
    ratio = f"{{id: better, says: r, metric: test_accuracy, {sides}, expect: greater, factor: 2}}"
    (found,) = power_analysis(load(ratio), [pilot([0.2, 0.4, 0.8], [0.1, 0.1, 0.1])])
    assert found.spread.mean == pytest.approx(math.log(4))
    assert found.spread.sd == pytest.approx(math.log(2))


def test_a_run_s_own_folder_is_asked_first_and_then_other_profiles(load, tmp_path):
    for name in ("cpu", "full", "empty", "torn"):
        (tmp_path / "tiny" / name).mkdir(parents=True)
    for name in ("cpu", "full"):
        ResultsFolder(tmp_path / "tiny" / name).write_grid(load().resolved("cpu"))
    (tmp_path / "tiny" / "torn" / "grid.json").write_text("{")
    full = tmp_path / "tiny" / "full"
    assert find_pilots(ResultsFolder(full)) == [full, tmp_path / "tiny" / "cpu"]
    assert find_pilots(ResultsFolder(tmp_path / "tiny" / "empty")) == [tmp_path / "tiny" / "cpu", full]
    assert find_pilots(ResultsFolder(tmp_path / "other" / "full")) == []


def test_a_pilot_that_is_no_results_folder_is_refused(load, tmp_path):
    with pytest.raises(ResultsError, match="not a results folder"):
        power_analysis(load(), [tmp_path])
