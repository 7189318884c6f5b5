from typing import Any

import pytest
from costs_fixture import cost_entry, layer, rounds, write_costs

from nin_bench.cost_entry import CostEntry
from nin_bench.files import DamagedFileError
from nin_bench.results import ResultsFolder


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
