from pathlib import Path
from typing import Any

import pytest

from nin_bench.analysis.costs import CostRow, MachineCosts, compare_costs
from nin_bench.reporting.sections.costs import describe_measuring
from nin_bench.results import Results, load_results
from tests.costs_fixture import CPU, OTHER_CPU, around, cost_entry, layer, rounds, write_costs
from tests.report_fixture import metrics, record, write_results


def folder_with(tmp_path: Path, *variants: dict[str, Any], baseline: str = "a", **grid: Any) -> Path:
    """Variants a, b, …, each with an entry of the machine that ran the grid."""
    labels = "abcdefgh"[: len(variants)]
    folder = write_results(
        tmp_path / "r",
        {label: [record(metrics=metrics(0.9))] for label in labels},
        **{"baseline": baseline, "machine": CPU, **grid},
    )
    for number, changes in enumerate(variants):
        write_costs(folder, f"v{number:02}", cost_entry(**changes))
    return folder


def costs_of(folder: Path) -> MachineCosts:
    [costs] = compare_costs(load_results(folder))
    return costs


def training(*samples: float) -> dict[str, Any]:
    return {"train": {**cost_entry()["train"], "images_per_second": rounds(*samples)}}


def row(costs: MachineCosts, label: str) -> CostRow:
    return next(row for row in costs.rows if row.label == label)


def test_without_costs_files_there_are_no_costs(tmp_path):
    results = load_results(write_results(tmp_path / "r", {"a": [record(metrics=metrics(0.9))]}))
    assert compare_costs(results) == []


def test_the_ratio_to_the_baseline_is_paired_by_round(tmp_path):
    # both drift by a factor of four; the ratios are 2, 2, 2.2, 1.8, 2 and 2
    a, b = training(100, 200, 400, 100, 100, 100), training(200, 400, 880, 180, 200, 200)
    costs = costs_of(folder_with(tmp_path, a, b))
    ratio = row(costs, "b").relative_to_baseline["train_images_per_second"]
    assert ratio.estimate == pytest.approx(2)
    assert ratio.interval == pytest.approx((1.8, 2.2))  # six rounds: the whole range has 1 − 2/64
    assert ratio.n == 6
    assert row(costs, "a").relative_to_baseline == {}
    assert (row(costs, "a").baseline, row(costs, "b").baseline) == (True, False)


def test_latencies_are_compared_by_the_medians_of_rounds(tmp_path):
    slow = {"p50": 0.4, "p95": 0.5, "p99": 0.6, "samples": [[0.1, 0.4, 0.9], [0.2, 0.2]]}
    fast = {"p50": 0.1, "p95": 0.2, "p99": 0.3, "samples": [[0.2], [0.1]]}
    costs = costs_of(folder_with(tmp_path, {"latency_seconds": fast}, {"latency_seconds": slow}))
    assert row(costs, "b").relative_to_baseline["latency_p50_seconds"].estimate == pytest.approx(
        2.0
    )  # .4 / .2 and .2 / .1


def test_one_round_has_a_ratio_and_no_interval(tmp_path):
    costs = costs_of(folder_with(tmp_path, training(100), training(50)))
    ratio = row(costs, "b").relative_to_baseline["train_images_per_second"]
    assert (ratio.estimate, ratio.interval, ratio.n) == (pytest.approx(0.5), None, 1)


def test_rounds_of_two_measurings_are_not_paired(tmp_path):
    later = {"measured_at": "2026-02-01T00:00:00+00:00"}
    costs = costs_of(folder_with(tmp_path, {}, {}, later))
    assert set(row(costs, "b").relative_to_baseline) == {
        "train_images_per_second", "predict_images_per_second", "latency_p50_seconds", "train_memory_bytes",
    }  # fmt: skip
    assert row(costs, "c").relative_to_baseline == {}
    assert any("in the same rounds" in remark for remark in describe_measuring(costs))


def test_without_a_baseline_nothing_is_relative(tmp_path):
    costs = costs_of(folder_with(tmp_path, {}, {}, baseline=None))
    assert [row.relative_to_baseline for row in costs.rows] == [{}, {}]


def test_time_sits_in_kinds_of_layer(tmp_path):
    layers = [
        layer("conv1", "convolution", forward_seconds=1.0, backward_seconds=2.0),
        layer("conv2", "convolution", forward_seconds=0.5, backward_seconds=1.0),
        layer("pointwise", "pointwise", forward_seconds=0.25, backward_seconds=0.5),
        layer("relu", "other", forward_seconds=0.125, backward_seconds=None),
    ]
    costs = costs_of(folder_with(tmp_path, {"layers": layers}))
    assert costs.rows[0].seconds_by_kind == {"convolution": 4.5, "pointwise": 0.75, "dense": 0.0, "other": 0.125}


def test_time_of_forward_passes_alone_is_said(tmp_path):
    layers = [layer("conv", "convolution", backward_seconds=None), layer("fc", "dense", backward_seconds=None)]
    costs = costs_of(folder_with(tmp_path, {"layers": layers}))
    assert costs.rows[0].seconds_by_kind == {"convolution": 1e-3, "pointwise": 0.0, "dense": 1e-3, "other": 0.0}
    assert any("forward passes" in remark for remark in describe_measuring(costs))


def test_an_untimed_layer_leaves_the_rest_without_a_sum(tmp_path):
    layers = [layer("conv", "convolution"), layer("fc", "dense", forward_seconds=None)]
    assert costs_of(folder_with(tmp_path, {"layers": layers})).rows[0].seconds_by_kind is None


def quiet(**changes: Any) -> dict[str, Any]:
    return {"steal_share": 0.01, "other_cpu_share": 0.02, "throttled": False, **changes}


@pytest.mark.parametrize(
    ("load", "said"),
    [
        ([quiet(), quiet()], None),
        ([quiet(steal_share=None, other_cpu_share=None, throttled=None)], None),
        ([quiet(steal_share=0.2), quiet(other_cpu_share=0.06), quiet()],
         "2 of 3 measurements were disturbed: other guests of its host took up to 20 % of the "
         "processor's time (steal), other processes took up to 6 %."),
        ([quiet(throttled=True), quiet()],
         "1 of 2 measurements were disturbed: the processor was throttled in 1."),
    ],
)  # fmt: skip
def test_what_else_went_on_is_said_when_it_matters(tmp_path, load, said):
    remarks = describe_measuring(costs_of(folder_with(tmp_path, {"load": load})))
    assert [remark for remark in remarks if "were disturbed" in remark] == ([] if said is None else [said])


def test_a_machine_that_was_not_equally_fast_in_all_rounds_is_told(tmp_path):
    ceilings = {
        "fp32_flops_per_second": rounds(100.0, 80.0, 90.0),
        "copy_bytes_per_second": rounds(10.0, 9.5, 9.9),
    }
    unsteady = describe_measuring(costs_of(folder_with(tmp_path, {"ceilings": ceilings}, {})))
    (said,) = (remark for remark in unsteady if "25 %" in remark)
    assert said.startswith("The machine's highest speeds differed")


def test_a_variant_that_could_not_be_measured_is_named(tmp_path):
    nothing = dict.fromkeys(("train", "predict", "latency_seconds", "startup_seconds", "mfu", "ceilings"))
    costs = costs_of(
        folder_with(tmp_path, {}, {**nothing, "error": "out of memory\nin full", "load": [], "layers": []})
    )
    assert "b could not be measured: out of memory." in describe_measuring(costs)
    assert row(costs, "b").relative_to_baseline == {
        "train_memory_bytes": row(costs, "b").relative_to_baseline["train_memory_bytes"]
    }


def test_energy_that_nobody_has_is_said_to_be_missing(tmp_path):
    energy = {"energy_joules_per_image": {"train": around(0.5), "predict": around(0.1)}}
    without, having = folder_with(tmp_path / "1", {}), folder_with(tmp_path / "2", {}, energy)
    assert describe_measuring(costs_of(without)) == [
        "Energy was not measured: this machine has no counter that could be read."
    ]
    assert describe_measuring(costs_of(having)) == []


def test_another_machine_s_costs_stand_apart(tmp_path):
    folder = folder_with(tmp_path, training(100.0))
    entries = [cost_entry(**training(100.0)), cost_entry(**training(10.0), machine=OTHER_CPU)]
    write_costs(folder, "v00", *entries)
    own, other = compare_costs(load_results(folder))
    assert (own.of_grid, own.machine["processor"]) == (True, "Example CPU")
    assert (other.of_grid, other.machine["processor"]) == (False, "Another CPU")
    speeds = [costs.rows[0].entry.train.images_per_second.median for costs in (own, other)]  # type: ignore[union-attr]
    assert speeds == [100.0, 10.0]


def test_of_other_machines_the_one_that_measured_most_comes_first(tmp_path):
    third = {**CPU, "fingerprint": "3"}
    folder = folder_with(tmp_path, {"machine": OTHER_CPU}, {"machine": OTHER_CPU})
    write_costs(folder, "v00", cost_entry(machine=third), cost_entry(machine=OTHER_CPU))
    first, second = compare_costs(load_results(folder))
    assert (first.of_grid, [row.label for row in first.rows], first.missing) == (False, ["a", "b"], [])
    assert (second.of_grid, [row.label for row in second.rows], second.missing) == (False, ["a"], ["b"])


def test_costs_files_that_cannot_be_used_are_left_out_and_said(tmp_path):
    folder = folder_with(tmp_path, {}, {}, {}, {}, {})
    torn = folder / "costs" / "v00.json"
    torn.write_text(torn.read_text()[:-30])
    write_costs(folder, "v01", cost_entry(), schema=99)
    (folder / "costs" / "v02.json").write_text((folder / "costs" / "v04.json").read_text())
    write_costs(folder, "v03", cost_entry(train={"images_per_second": "fast"}))
    write_costs(folder, "v77", cost_entry())  # of no variant of the grid
    results: Results = load_results(folder)
    [costs] = compare_costs(results)
    assert [row.label for row in costs.rows] == ["e"]
    assert costs.missing == ["a", "b", "c", "d"]
    assert [sentence.split(" ")[0] for sentence in results.left_out] == [f"costs/v0{n}.json" for n in range(4)]
    assert "(entries.0.train.images_per_second: " in results.left_out[3]
