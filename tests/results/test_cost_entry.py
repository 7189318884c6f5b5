import doctest
from typing import Any

import pytest

from nin_bench.files import DamagedFileError
from nin_bench.metrics import METRICS
from nin_bench.results import ResultsFolder
from nin_bench.results import cost_entry as module
from nin_bench.results.cost_entry import CostEntry, CostFile, Rounds
from tests.costs_fixture import cost_entry, layer, rounds, write_costs

MEASURED = [name for name, metric in METRICS.items() if metric.kind == "measured"]


def entry(fingerprint: str = "a", num_rounds: int = 3, **parts: Any) -> CostEntry:
    """What a machine with one worker and without an energy counter measured."""
    speed = {"images_per_second": rounds(30.0, 10.0, 20.0), "busy_images_per_second": None}
    usual = cost_entry()
    changes = {
        "machine": {"fingerprint": fingerprint, "device": "cpu"},
        "setting": {**usual["setting"], "num_rounds": num_rounds, "num_workers": 1},
        "memory_bytes": {**usual["memory_bytes"], "train_peak": 4096},
        "train": {**usual["train"], **speed},
        "predict": speed,
        "latency_seconds": {
            "p50": 0.2, "p95": 0.6, "p99": 0.8, "samples": [[0.1, 0.3, 0.2], [0.4, 0.6, 0.5], [0.2, 0.2, 0.8]],
        },
        "mfu": None,
    }  # fmt: skip
    return CostEntry.model_validate({**usual, **changes, **parts})


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(module).failed == 0


def test_median_and_quartiles_by_hand():
    # Sorted 1 2 4 8 16: the quartiles lie at places 1 and 3 of 0 to 4.
    found = Rounds.of([16.0, 1.0, 8.0, 2.0, 4.0])
    assert (found.median, found.quartiles, found.samples) == (4.0, (2.0, 8.0), (16.0, 1.0, 8.0, 2.0, 4.0))
    # Between places, linearly: 0.25 * 3 = 0.75 of the way from 1 to 2.
    assert Rounds.of([1.0, 2.0, 3.0, 4.0]).quartiles == (1.75, 3.25)
    assert Rounds.of([5.0]) == Rounds(median=5.0, quartiles=(5.0, 5.0), samples=(5.0,))


def test_an_entry_has_the_samples_of_each_metric():
    known = entry()
    assert {name: known.samples(name) for name in MEASURED} == {
        "train_images_per_second": [30.0, 10.0, 20.0],
        "predict_images_per_second": [30.0, 10.0, 20.0],
        "latency_p50_seconds": [0.2, 0.5, 0.2],
        "train_memory_bytes": [4096.0],
        "train_joules_per_image": None,
    }
    counted = ("num_params", "num_macs", "train_tensor_bytes")
    assert [known.samples(name) for name in counted] == [[1000.0], [50_000.0], [3_000_000.0]]


def test_the_headline_has_none_for_what_was_not_measured():
    assert entry().headline() == {
        "measured_at": "2026-01-01T00:00:00+00:00", "num_rounds": 3, "error": None,
        "num_params": 1000, "num_macs": 50_000,
        "train_images_per_second": 20.0, "predict_images_per_second": 20.0, "latency_p50_seconds": 0.2,
        "train_memory_bytes": 4096.0, "train_joules_per_image": None, "busy_train_images_per_second": None,
        "mfu": None,
    }  # fmt: skip
    memory = {**cost_entry()["memory_bytes"], "train_peak": None}
    failed = entry(
        num_rounds=0, error="out_of_memory: 1 TB", train=None, predict=None, latency_seconds=None,
        memory_bytes=memory,
    ).headline()  # fmt: skip
    assert (failed["error"], failed["num_params"]) == ("out_of_memory: 1 TB", 1000)
    assert {failed[name] for name in MEASURED} == {None}


@pytest.mark.parametrize(
    ("known", "wanted_rounds", "num_workers", "enough"),
    [
        (entry(), 3, 1, True),
        (entry(), 4, 1, False),
        (entry(), 3, 2, False),
        (entry(error="out_of_memory: all workers at once"), 3, 2, True),
        (CostEntry.model_validate(cost_entry()), 5, 1, True),
        (CostEntry.model_validate(cost_entry()), 5, 2, True),
        (CostEntry.model_validate(cost_entry()), 5, 3, False),
    ],
)
def test_when_measuring_again_adds_nothing(
    known: CostEntry, wanted_rounds: int, num_workers: int, *, enough: bool
):
    assert known.is_enough(wanted_rounds, num_workers) is enough


# Files


def costs(*entries: CostEntry) -> CostFile:
    return CostFile(variant_id="v", label="nin", entries=entries)


def test_a_file_is_read_as_it_was_written(tmp_path):
    written = costs(entry(), CostEntry.model_validate(cost_entry()))
    written.write(tmp_path / "costs" / "v.json")
    assert ResultsFolder(tmp_path).read_costs("v") == written


def test_a_machine_measures_anew_and_others_are_kept():
    ours, theirs, again = entry("a"), entry("b"), entry("a", measured_at="2026-01-02T00:00:00+00:00")
    assert costs().with_entry(ours, is_whole=True) == costs(ours)
    assert costs(ours).with_entry(theirs, is_whole=True) == costs(ours, theirs)
    assert costs(ours, theirs).with_entry(again, is_whole=True) == costs(theirs, again)


def test_a_measuring_that_was_cut_short_loses_nothing():
    whole, short = entry(num_rounds=5), entry(num_rounds=2)
    assert costs(whole).with_entry(short, is_whole=False) == costs(whole)
    assert costs(short).with_entry(whole, is_whole=False) == costs(whole)
    # Another machine's rounds say nothing of ours.
    assert len(costs(whole).with_entry(entry("b", num_rounds=1), is_whole=False).entries) == 2
    # Who asked for fewer rounds, and has them, has measured anew.
    assert costs(whole).with_entry(short, is_whole=True) == costs(short)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"train": {}}, "train.images_per_second"),
        ({"train": [1]}, "train"),
        ({"mfu": rounds(-0.4)}, "mfu.median"),
        ({"mfu": {**rounds(0.4), "samples": []}}, "mfu.samples"),
        ({"mfu": {**rounds(0.4), "quartiles": [0.4]}}, "mfu.quartiles"),
        ({"measured_at": None}, "measured_at"),
        ({"num_params": {"total": "many", "convolution": 0, "pointwise": 0, "dense": 0}}, "num_params.total"),
        ({"num_macs": {"total": 9, "convolution": 5, "pointwise": 3, "dense": 2}}, "num_macs"),
        ({"layers": [layer("conv", "attention")]}, "layers.0.kind"),
        ({"machine": {"fingerprint": 7, "device": "cpu"}}, "machine.fingerprint"),
        ({"startup_seconds": 2.0}, "startup_seconds"),
        ({"carbon_grams": 1}, "carbon_grams"),
    ],
)
def test_an_entry_in_which_something_is_wrong_damages_its_file(tmp_path, changes: dict[str, Any], place: str):
    write_costs(tmp_path, "v00", cost_entry(), cost_entry(**changes))
    with pytest.raises(DamagedFileError, match=rf"\(entries.1.{place}: "):
        ResultsFolder(tmp_path).read_costs("v00")


def test_a_file_of_another_variant_is_refused(tmp_path):
    costs(entry()).write(tmp_path / "costs" / "w.json")
    with pytest.raises(DamagedFileError, match="another variant, v"):
        ResultsFolder(tmp_path).read_costs("w")
