from typing import Any

import pytest
from pydantic import ValidationError

from nin_bench.files import DamagedFileError
from nin_bench.results import Record, ResultsFolder
from nin_bench.results.probes import THUMBNAIL, ProbeFile, Probes
from nin_bench.runner.record import make_record
from tests.cells import make_cell

CELL = make_cell(hidden=16)
IMAGE = {"index": 3, "label": 0, "thumbnail": "00" * THUMBNAIL**2, "maps": [[[0.5, -1.0]], [[0.0, 2.0]]]}
ANSWERS: dict[str, Any] = {
    "cell_id": CELL.cell_id, "test_accuracy": 0.75,
    "asked": {"shift": [0, 2], "resolution": [6, 8], "class_maps": 1},
    "shift": [{"at": 0, "accuracy": 0.75}, {"at": 2, "accuracy": 0.5}],
    "resolution": [{"at": 6, "accuracy": None, "not_possible": "too small"}, {"at": 8, "accuracy": 0.75}],
    "class_maps": [IMAGE],
}  # fmt: skip


def record(accuracy: float = 0.75, outcome: str = "trained", **options: Any) -> Record:
    return make_record(
        make_cell(hidden=16, **options), outcome, started_at="", metrics={"test_accuracy": accuracy}
    )


def test_answers_are_read_as_they_were_written(tmp_path):
    folder = ResultsFolder(tmp_path)
    written = ProbeFile.parse(ANSWERS)
    assert folder.read_probes(record()) is None
    written.write(folder.probes_path(CELL.cell_id))
    assert folder.read_probes(record()) == written
    assert written.resolution[0].not_possible == "too small"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (record(0.5), "is of another training than its record"),
        (record(outcome="crashed"), "is of another training than its record"),
        (record(seed=1), f"holds the probes of another cell, '{CELL.cell_id}'"),
    ],
    ids=["other accuracy", "no network", "other cell"],
)
def test_answers_of_another_network_are_refused(tmp_path, other, reason):
    folder = ResultsFolder(tmp_path)
    ProbeFile.parse(ANSWERS).write(folder.probes_path(other.cell_id))
    with pytest.raises(DamagedFileError, match=reason):
        folder.read_probes(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"shift": ANSWERS["shift"][:1]},
        {"asked": {"shift": [2, 0], "resolution": [6, 8], "class_maps": 1}},
        {"resolution": [{"at": 6, "accuracy": None}, {"at": 8, "accuracy": 0.75}]},
        {"resolution": [{"at": 6, "accuracy": 0.5, "not_possible": "too small"}, {"at": 8, "accuracy": 0.75}]},
        {"class_maps": [IMAGE, IMAGE]},
        {"class_maps": [{**IMAGE, "thumbnail": "00"}]},
        {"class_maps": [{**IMAGE, "maps": [[[0.5, -1.0]], [[0.0]]]}]},
        {"class_maps": [{**IMAGE, "maps": []}]},
    ],
)
def test_what_no_run_writes_is_refused(changes):
    with pytest.raises(DamagedFileError):
        ProbeFile.parse({**ANSWERS, **changes})


def test_fewer_probes_are_covered_by_more():
    more = Probes(shift=(0, 2, 4), resolution=(8,), class_maps=2)
    assert more.covers(Probes(shift=(2,), class_maps=1))
    assert not more.covers(Probes(shift=(1,)))
    assert not more.covers(Probes(resolution=(6, 8)))
    assert not more.covers(Probes(class_maps=3))


def test_passes_are_counted_by_the_pixels_that_pass():
    assert Probes(shift=(0, 2, 4), resolution=(50, 100, 200)).num_passes(100) == 3 + 0.25 + 1 + 4


def test_probes_can_be_made_while_there_are_weights(tmp_path):
    folder, asked = ResultsFolder(tmp_path), Probes(shift=(0, 2))
    assert folder.probe_state(record(), asked) == "no weights"
    folder.state_path(CELL.cell_id).parent.mkdir()
    folder.state_path(CELL.cell_id).touch()
    assert folder.probe_state(record(), asked) == "to make"
    ProbeFile.parse(ANSWERS).write(folder.probes_path(CELL.cell_id))
    assert folder.probe_state(record(), asked) == "made"
    assert folder.probe_state(record(), Probes(shift=(0, 4))) == "to make"
    assert folder.probe_state(record(0.5), asked) == "to make"
    assert folder.probe_state(record(outcome="diverged"), asked) is None
    folder.probes_path(CELL.cell_id).write_text("{")
    assert folder.probe_state(record(), asked) == "to make"


def test_values_are_ascending_and_in_range():
    for wrong in (
        {"shift": (4, 2)},
        {"shift": (2, 2)},
        {"shift": (-1,)},
        {"resolution": (0,)},
        {"class_maps": 21},
    ):
        with pytest.raises(ValidationError):
            Probes.model_validate(wrong)
