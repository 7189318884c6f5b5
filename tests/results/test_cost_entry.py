from typing import Any

import pytest
from costs_fixture import cost_entry, layer, rounds, write_costs

from nin_bench.files import DamagedFileError
from nin_bench.metrics import METRICS
from nin_bench.results import ResultsFolder
from nin_bench.results.cost_entry import CostEntry, cost_row, cost_samples, distribution, is_measured


def test_what_was_measured_is_read_as_it_stands():
    entry = CostEntry.model_validate(cost_entry())
    assert entry.train is not None
    assert entry.train.images_per_second.median == 1000.0
    assert entry.train.images_per_second.quartiles == [950.0, 1050.0]
    assert entry.latency_seconds is not None
    assert (entry.latency_seconds.p50, len(entry.latency_seconds.samples)) == (0.002, 5)
    assert entry.machine.model_dump()["software"] == {"python": "3.11.9", "torch": "2.14.0", "nin_bench": "0.1.0"}
    assert entry.energy_joules_per_image is None


def test_what_could_not_be_measured_is_null():
    nothing = dict.fromkeys(
        ("train", "predict", "latency_seconds", "startup_seconds", "energy_joules_per_image", "mfu", "ceilings")
    )
    untimed = layer("conv", "convolution", forward_seconds=None, backward_seconds=None, share_of_roof=None)
    entry = CostEntry.model_validate(cost_entry(**nothing, error="out of memory", load=[], layers=[untimed]))
    assert (entry.train, entry.error) == (None, "out of memory")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"train": {}}, "train.images_per_second"),
        ({"mfu": rounds(-0.4)}, "mfu.median"),
        ({"mfu": {**rounds(0.4), "samples": []}}, "mfu.samples"),
        ({"mfu": {**rounds(0.4), "quartiles": [0.4]}}, "mfu.quartiles"),
        ({"measured_at": None}, "measured_at"),
        ({"num_params": {"total": "many", "convolution": 0, "pointwise": 0, "dense": 0}}, "num_params.total"),
        ({"num_macs": {"total": 9, "convolution": 5, "pointwise": 3, "dense": 2}}, "num_macs"),
        ({"layers": [layer("conv", "attention")]}, "layers.0.kind"),
        ({"startup_seconds": 2.0}, "startup_seconds"),
    ],
)
def test_an_entry_in_which_something_is_wrong_damages_its_file(tmp_path, changes: dict[str, Any], place: str):
    write_costs(tmp_path, "v00", cost_entry(), cost_entry(**changes))
    with pytest.raises(DamagedFileError, match=rf"\(entries.1.{place}: "):
        ResultsFolder(tmp_path).read_costs("v00")


def test_fields_of_a_newer_version_are_left_alone():
    assert CostEntry.model_validate(cost_entry(carbon_grams={"train": 1})).num_params.total == 1000


def lone_entry(num_rounds: int = 3, **parts: Any) -> dict[str, Any]:
    """As a machine without an energy counter, and with one worker, writes it."""
    speed = {"images_per_second": distribution([30.0, 10.0, 20.0]), "busy_images_per_second": None}
    usual = cost_entry()
    return {
        **usual,
        "measured_at": "2026-01-02T03:04:05+00:00",
        "setting": {**usual["setting"], "num_rounds": num_rounds, "num_workers": 1},
        "num_params": {**usual["num_params"], "total": 7},
        "num_macs": {**usual["num_macs"], "total": 70},
        "memory_bytes": {**usual["memory_bytes"], "train_peak": 4096},
        "train": {**usual["train"], **speed},
        "predict": speed,
        "latency_seconds": {
            "p50": 0.2, "p95": 0.6, "p99": 0.8, "samples": [[0.1, 0.3, 0.2], [0.4, 0.6, 0.5], [0.2, 0.2, 0.8]],
        },
        "mfu": None,
        **parts,
    }  # fmt: skip


def test_median_and_quartiles_by_hand():
    # Sorted 1 2 4 8 16: the quartiles lie at places 1 and 3 of 0 to 4.
    assert distribution([16.0, 1.0, 8.0, 2.0, 4.0]) == {
        "median": 4.0, "quartiles": [2.0, 8.0], "samples": [16.0, 1.0, 8.0, 2.0, 4.0],
    }  # fmt: skip
    # Between places, linearly: 0.25 * 3 = 0.75 of the way from 1 to 2.
    assert distribution([1.0, 2.0, 3.0, 4.0])["quartiles"] == [1.75, 3.25]
    assert distribution([5.0]) == {"median": 5.0, "quartiles": [5.0, 5.0], "samples": [5.0]}


MEASURED = [name for name, metric in METRICS.items() if metric.kind == "measured"]


def test_what_an_entry_says_of_each_metric():
    known = lone_entry()
    assert {name: cost_samples(known, name) for name in MEASURED} == {
        "train_images_per_second": [30.0, 10.0, 20.0],
        "predict_images_per_second": [30.0, 10.0, 20.0],
        "latency_p50_seconds": [0.2, 0.5, 0.2],
        "train_memory_bytes": [4096.0],
        "train_joules_per_image": None,
    }
    counted = [name for name, metric in METRICS.items() if metric.cost and metric.kind == "architecture"]
    assert {name: cost_samples(known, name) for name in counted} == {
        "num_params": [7.0], "num_macs": [70.0], "train_tensor_bytes": [3_000_000.0],
    }  # fmt: skip


def test_a_metric_that_is_in_no_entry_is_not_asked_of_one():
    with pytest.raises(AssertionError, match="test_loss is in no cost entry"):
        cost_samples(lone_entry(), "test_loss")


def test_the_headline_of_an_entry_has_null_for_what_was_not_measured():
    assert cost_row(lone_entry()) == {
        "measured_at": "2026-01-02T03:04:05+00:00", "num_rounds": 3, "error": None,
        "num_params": 7, "num_macs": 70,
        "train_images_per_second": 20.0, "predict_images_per_second": 20.0, "latency_p50_seconds": 0.2,
        "train_memory_bytes": 4096.0, "train_joules_per_image": None, "busy_train_images_per_second": None,
        "mfu": None,
    }  # fmt: skip
    failed = lone_entry(
        num_rounds=0, error="out_of_memory: 1 TB", train=None, predict=None, latency_seconds=None,
        memory_bytes={"train_peak": None},
    )  # fmt: skip
    row = cost_row(failed)
    assert (row["error"], row["num_params"]) == ("out_of_memory: 1 TB", 7)
    assert {row[name] for name in MEASURED} == {None}


@pytest.mark.parametrize(
    ("entry", "wanted_rounds", "num_workers", "enough"),
    [
        (None, 1, 1, False),
        (lone_entry(), 3, 1, True),
        (lone_entry(), 4, 1, False),
        (lone_entry(), 3, 2, False),
        (lone_entry(error="out_of_memory: all workers at once"), 3, 2, True),
        (cost_entry(), 5, 1, True),
        (cost_entry(), 5, 2, True),
        (cost_entry(), 5, 3, False),
    ],
)
def test_what_is_enough_to_need_no_measuring(entry, wanted_rounds: int, num_workers: int, *, enough: bool):
    assert is_measured(entry, wanted_rounds, num_workers) is enough
