import json

import pytest

from nin_bench.analysis.compare import compare_results
from nin_bench.errors import ResultsError
from nin_bench.reporting.build import compare_folders
from nin_bench.results import load_results
from tests.costs_fixture import CPU, around, cost_entry, write_costs
from tests.report_fixture import COLLAPSED, ENVIRONMENT, learning, metrics, record, write_results

BEFORE = [0.90, 0.91, 0.92, 0.905, 0.915]


def cells(*accuracies, **others):
    return [record(metrics=metrics(accuracy, **others), history=learning(2, 0.9, 0)) for accuracy in accuracies]


def moves(tmp_path, before, after, **grid):
    """Write two folders, and say what moved from one to the other, by label."""
    a = write_results(tmp_path / "a", before, **grid)
    b = write_results(tmp_path / "b", after, **grid)
    said = json.loads(json.dumps(compare_results(load_results(a), load_results(b)).model_dump(), allow_nan=False))
    return {move["label"]: move for move in said["moves"]}, said


def test_what_repeats_but_for_its_times_is_the_same(tmp_path):
    found, said = moves(tmp_path, {"a": cells(*BEFORE)}, {"a": cells(*BEFORE, train_seconds=99.0)})
    assert found["a"]["verdict"] == "the same"
    assert (found["a"]["num_equal"], found["a"]["num_shared"], found["a"]["difference"]) == (5, 5, 0)
    assert (said["settings"], said["environment"]) == ([], [])
    # one bit of one cell
    (tmp_path / "again").mkdir()
    found, _ = moves(tmp_path / "again", {"a": cells(*BEFORE)}, {"a": cells(*BEFORE, test_loss=0.3000000000001)})
    assert (found["a"]["verdict"], found["a"]["num_equal"]) == ("not known", 0)


def test_a_difference_beyond_noise_is_told_from_one_within(tmp_path):
    up = [0.92, 0.932, 0.938, 0.926, 0.934]  # .020 .022 .018 .021 .019 above
    noise = [0.905, 0.905, 0.922, 0.90, 0.918]  # .005 −.005 .002 −.005 .003
    before = cells(*BEFORE, *BEFORE)
    found, _ = moves(
        tmp_path,
        {"up": before, "noise": before},
        {"up": cells(*up, *up, num_params=2_000_000), "noise": cells(*noise, *noise)},
    )
    assert {label: move["verdict"] for label, move in found.items()} == {"up": "up", "noise": "within noise"}
    # two variants share 5 %; of 55 Walsh averages the sixth from either end, as P(T ≤ 5) = 10/1024 ≤ .0125
    assert (found["up"]["level"], found["up"]["difference"]) == (0.025, pytest.approx(0.02))
    assert found["up"]["interval"] == pytest.approx((0.0185, 0.0215))
    assert (found["up"]["n"], found["up"]["paired"]) == (10, True)
    assert found["up"]["counts"]["num_params"] == [1_992_166, 2_000_000]


def test_seeds_that_are_not_shared_are_compared_without_pairs(tmp_path):
    found, _ = moves(
        tmp_path,
        {"a": [*cells(0.90, 0.91, 0.92), None, None, None]},
        {"a": [None, None, None, *cells(0.8, 0.81, 0.82)]},
    )
    move = found["a"]
    assert (move["verdict"], move["paired"], move["n"], move["num_shared"]) == ("down", False, 6, 0)
    assert move["difference"] == pytest.approx(-0.1)


def test_failed_networks_count_with_their_accuracy(tmp_path):
    found, _ = moves(
        tmp_path,
        {"a": cells(*BEFORE)},
        {"a": [*cells(*BEFORE[:3]), *[record(metrics=metrics(0.1, **COLLAPSED))] * 2]},
    )
    move = found["a"]
    assert (move["difference"], move["n"]) == (0, 5)  # the median
    assert move["failed"] == [{"count": 0, "of": 5}, {"count": 2, "of": 5}]
    assert move["failed_p"] == pytest.approx(4 / 9)  # two-sided: 2 · C(5,3)·C(5,5) / C(10,8)


def test_a_variant_that_was_changed_is_known_by_its_name(tmp_path):
    a = write_results(tmp_path / "a", {"x": cells(0.9), "gone": cells(0.9)})
    b = write_results(
        tmp_path / "b", {"new": cells(0.9), "x": cells(0.8)}, recipes={"x": {"epochs": 12, "lr": 0.2}}
    )
    for path, prefix in ((a, "before"), (b, "after")):
        grid = json.loads((path / "grid.json").read_text())
        for part in (*grid["variants"], *grid["cells"]):
            part["variant_id"] = prefix + part["variant_id"]
        (path / "grid.json").write_text(json.dumps(grid))
    for cell in (b / "cells").iterdir():
        made = json.loads(cell.read_text())
        cell.write_text(json.dumps({**made, "environment": {**ENVIRONMENT, "processor": "Another CPU"}}))
    said = json.loads(json.dumps(compare_results(load_results(a), load_results(b)).model_dump(), allow_nan=False))
    assert [move["label"] for move in said["moves"]] == ["x"]
    assert said["moves"][0]["verdict"] == "not known"  # one pair has no spread
    assert (said["only_in_a"], said["only_in_b"]) == (["gone"], ["new"])
    assert {"field": "recipe.lr", "a": 0.1, "b": 0.2, "labels": ["x"]} in said["settings"]
    assert said["environment"] == [{"name": "processor", "a": ["Example CPU"], "b": ["Another CPU"]}]


def test_costs_are_ratios_with_intervals(tmp_path):
    for name, speed in (("a", 1000.0), ("b", 1500.0)):
        write_results(tmp_path / name, {"x|y": [None]}, machine=CPU)
        train = {**cost_entry()["train"], "images_per_second": around(speed)}
        write_costs(tmp_path / name, "v00", cost_entry(train=train))
    page = compare_folders(tmp_path / "a", tmp_path / "b", tmp_path / "out")[0].read_text()
    [move] = json.loads((tmp_path / "out" / "compare.json").read_text())["moves"]
    ratio = move["costs"]["train_images_per_second"]
    assert ratio["estimate"] == pytest.approx(1.5)
    # logarithms of the same five rounds have a deviation of .0790 in both: 2.306 · .0790 · √(2/5) on either side
    assert ratio["interval"] == pytest.approx((1.337, 1.683), abs=2e-3)
    assert "| x\\|y | ×1.50 (1.34 to 1.68) | ×1.00 (0.89 to 1.12) |" in page
    assert "| x\\|y | **not known** | – |" in page


def test_nothing_in_common_is_said(tmp_path):
    a = write_results(tmp_path / "a", {"a": cells(0.9)})
    grid = json.loads((a / "grid.json").read_text())
    b = write_results(tmp_path / "b", {"<script>": cells(0.9)})
    other = json.loads((b / "grid.json").read_text())
    for part in (*other["variants"], *other["cells"]):
        part["variant_id"] = "another"
    (b / "grid.json").write_text(json.dumps(other))
    page = compare_folders(a, b, tmp_path / "out")[0].read_text()
    assert "**No variant is in both: there is nothing to compare.**" in page
    assert "- B: &lt;script&gt;" in page
    assert grid["name"] in page


def test_a_folder_without_results_is_refused(tmp_path):
    a = write_results(tmp_path / "a", {"a": cells(0.9)})
    with pytest.raises(ResultsError, match="not a results folder"):
        compare_folders(a, tmp_path / "absent", tmp_path / "out")


# Gates


def gates(tmp_path, before, after, fail_on):
    a, b = write_results(tmp_path / "a", before), write_results(tmp_path / "b", after)
    found = compare_results(load_results(a), load_results(b), fail_on)
    return {(gate.label, gate.metric): gate for gate in found.gates}


def test_a_gate_fails_beyond_noise_alone_and_its_tests_share_5_percent(tmp_path):
    down = [one - 0.02 - 0.001 * (number % 5) for number, one in enumerate(BEFORE * 4)]
    before = {"down": cells(*BEFORE * 4), "same": cells(*BEFORE * 4)}
    found = gates(tmp_path, before, {**before, "down": cells(*down)}, ("accuracy",))
    assert {label: gate.verdict for (label, _), gate in found.items()} == {"down": "worse", "same": "the same"}
    assert found["down", "test_accuracy"].level == 0.025
    assert found["down", "test_accuracy"].change == pytest.approx(-0.022)
    assert found["down", "test_accuracy"].interval[1] < 0


def test_five_seeds_cannot_tell_and_do_not_fail(tmp_path):
    worse = [one - 0.1 for one in BEFORE]
    (gate,) = gates(tmp_path, {"a": cells(*BEFORE)}, {"a": cells(*worse)}, ("accuracy",)).values()
    assert (gate.verdict, gate.interval, gate.change) == ("not known", None, pytest.approx(-0.1))


def test_speed_is_judged_by_its_rounds_and_memory_by_what_is_counted(tmp_path):
    """Five rounds within 4 % tell a fifth less from noise; two metrics share 5 %."""
    a, b = (write_results(tmp_path / side, {"v": cells(*BEFORE)}, machine=CPU) for side in "ab")
    variant_id = load_results(a).grid.variants[0].variant_id
    memory = cost_entry()["memory_bytes"]
    for folder, factor in ((a, 1.0), (b, 0.8)):
        entry = cost_entry(
            train={**cost_entry()["train"], "images_per_second": around(1000.0 * factor)},
            memory_bytes={**memory, "train_peak_estimate": memory["train_peak_estimate"] + (factor < 1)},
        )
        write_costs(folder, variant_id, entry)
    found = compare_results(load_results(a), load_results(b), ("speed", "memory")).gates
    told = {gate.metric: (gate.asked, gate.verdict, gate.level) for gate in found}
    assert told == {
        "train_images_per_second": ("speed", "worse", 0.025),
        "predict_images_per_second": ("speed", "not worse", 0.025),
        "train_tensor_bytes": ("memory", "worse", None),
    }
    page, _ = compare_folders(a, b, tmp_path / "out", ("speed",))
    assert "| **worse** |" in (page.parent / "gate.md").read_text()
    assert str(a) in page.read_text()


def test_nothing_is_judged_that_was_not_asked_for(tmp_path):
    assert gates(tmp_path, {"a": cells(*BEFORE)}, {"a": cells(*BEFORE)}, ()) == {}


def test_what_nobody_measured_is_not_known(tmp_path):
    (gate,) = gates(tmp_path, {"a": cells(*BEFORE)}, {"a": cells(*BEFORE)}, ("memory",)).values()
    assert (gate.verdict, gate.change) == ("not known", None)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("variables", "ONEDNN_MAX_CPU_ISA", "AVX2"),
        ("variables", "MKL_CBWR", "COMPATIBLE"),
        ("variables", "OMP_NUM_THREADS", "4"),
        ("torch", "num_threads", 4),
        ("torch", "cpu_capability", "AVX2"),
        ("torch", "deterministic_algorithms", True),
    ],
)
def test_records_taken_under_another_setting_that_changes_bits_are_told_apart(tmp_path, section, name, value):
    a, b = (write_results(tmp_path / side, {"a": cells(*BEFORE)}) for side in ("a", "b"))
    for cell in (b / "cells").glob("*.json"):
        made = json.loads(cell.read_text())
        made["environment"][section] = {**made["environment"].get(section, {}), name: value}
        cell.write_text(json.dumps(made))
    found = compare_results(load_results(a), load_results(b)).environment
    assert [(one.name, one.b) for one in found] == [(f"{section}.{name}", [value])]
