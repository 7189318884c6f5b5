from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nin_bench.cell import Cell
from nin_bench.files import DamagedFileError
from nin_bench.results import Record, ResultsFolder
from nin_bench.results.sharing import OtherFolders, device_kind, differing_versions
from nin_bench.runner.record import make_record
from tests.cells import make_cell
from tests.predictions_fixture import write_predictions

CELL = make_cell(hidden=16)
PREDICTIONS: dict[str, Any] = {
    "predicted": np.array([0, 1, 1, 0], np.int16), "credit": np.ones(4, np.float32),
    "probability": np.full(4, 0.5, np.float32), "label": np.array([0, 1, 1, 1], np.int16),
}  # fmt: skip


def make(outcome: str = "trained", cell: Cell = CELL, accuracy: float = 0.75, **environment: Any) -> Record:
    metrics = {"test_accuracy": accuracy} if outcome == "trained" else {}
    environment = {"device": "cpu", **environment}
    made = make_record(cell, outcome, started_at="", metrics=metrics, environment=environment)
    return made.model_copy(update={"label": "as it was called there"})


def keep(folder: ResultsFolder, record: Record, predictions: Any = PREDICTIONS) -> ResultsFolder:
    if predictions is not None:
        write_predictions(folder, record.cell_id, predictions)
    folder.write_record(record)
    return folder


def any_record(record: Record) -> bool:
    return True


@pytest.fixture
def there(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path / "root" / "onexone" / "cpu")


@pytest.fixture
def here(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path / "root" / "tuned" / "cpu")


def find(here: ResultsFolder, is_wanted: Any = any_record) -> Any:
    return OtherFolders.under([here.path.parent.parent], here).find(CELL, is_wanted)


def files(folder: ResultsFolder) -> dict[str, bytes]:
    return {
        path.relative_to(folder.path).as_posix(): path.read_bytes()
        for path in folder.path.rglob("*")
        if path.is_file()
    }


def test_a_record_is_found_and_taken_over_with_all_that_belongs_to_it(here, there):
    made = make()
    keep(there, made)
    there.weights_path(CELL.cell_id).parent.mkdir()
    there.weights_path(CELL.cell_id).write_bytes(b"weights")
    there.state_path(CELL.cell_id).write_bytes(b"state")
    before = files(there)
    found = find(here)
    assert (found.source, found.record) == ("onexone/cpu", made)
    taken = found.take_over(here, "as it is called here")
    assert (taken.label, taken.reused_from) == ("as it is called here", "onexone/cpu")
    assert here.read_record(CELL.cell_id) == taken
    told = {"label": "as it was called there", "reused_from": None}
    assert taken.model_copy(update=told) == made
    copied = {name: content for name, content in files(here).items() if not name.startswith("cells/")}
    assert copied == {name: content for name, content in before.items() if not name.startswith("cells/")}
    assert files(there) == before


def test_where_a_cell_was_trained_is_kept_over_several_folders(here, there):
    keep(there, make().model_copy(update={"reused_from": "first/full"}))
    assert find(here).take_over(here, "").reused_from == "first/full"


@pytest.mark.parametrize("outcome", ["interrupted", "crashed", "timed_out", "out_of_memory"])
def test_what_did_not_end_is_not_found(here, there, outcome):
    keep(there, make(outcome))
    assert find(here) is None


def test_a_diverged_cell_is_taken_over_without_predictions(here, there):
    keep(there, make("diverged"), predictions=None)
    keep(here, make("crashed"))  # whose predictions nobody can explain
    assert find(here).take_over(here, "").outcome == "diverged"
    assert here.read_predictions(CELL.cell_id) is None


def test_damaged_and_other_files_are_passed_over(here, there):
    path = there.record_path(CELL.cell_id)
    keep(there, make())
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert find(here) is None
    path.write_bytes(whole.replace(b'"seed": 0', b'"seed": 1'))
    assert find(here) is None
    path.write_bytes(whole)
    assert find(here) is not None
    for name in (f"{path.name}.corrupt", f"{CELL.cell_id}.0123456789abcdef.outdated.json"):
        aside = path.rename(path.with_name(name))
        assert find(here) is None
        aside.rename(path)
    path.rename(there.path / "elsewhere.json")
    path.symlink_to(there.path / "elsewhere.json")
    assert find(here) is None


def test_a_record_of_another_default_is_passed_over(here, there):
    recipe = CELL.recipe.model_copy(update={"init_std": 0.05})
    keep(there, make().model_copy(update={"cell": CELL.model_copy(update={"recipe": recipe})}))
    assert find(here) is None


def test_only_what_is_wanted_is_found(here, there):
    keep(there, make())
    assert find(here, lambda found: found.record.environment["device"] == "cuda") is None
    second = keep(ResultsFolder(there.path.with_name("full")), make(device="NVIDIA Example"))
    found = find(here, lambda found: device_kind(found.record) == "cuda")
    assert found.folder == second


def test_a_trained_cell_without_predictions_is_passed_over(here, there):
    keep(there, make(), predictions=None)
    assert find(here) is None


@pytest.mark.parametrize("how", ["torn", "gone", "of other answers", "a link"])
def test_predictions_that_went_bad_since_are_refused_and_nothing_is_written(here, there, how):
    keep(there, make())
    found = find(here)
    path = there.predictions_path(CELL.cell_id)
    match how:
        case "torn":
            path.write_bytes(path.read_bytes()[:-9])
        case "gone":
            path.unlink()
        case "of other answers":
            write_predictions(there, CELL.cell_id, {**PREDICTIONS, "predicted": PREDICTIONS["label"]})
        case "a link":
            path.symlink_to(path.rename(path.with_name("elsewhere.npz")))
    with pytest.raises(DamagedFileError):
        found.take_over(here, "")
    assert not here.path.exists()


def test_own_folder_links_and_other_places_are_not_looked_into(here, there, tmp_path):
    keep(here, make())
    keep(ResultsFolder(tmp_path / "root" / "cpu"), make())
    keep(ResultsFolder(tmp_path / "root" / "deep" / "er" / "cpu"), make())
    keep(ResultsFolder(tmp_path / "elsewhere" / "grid" / "cpu"), make())
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere" / "grid")
    assert find(here) is None
    others = OtherFolders.under([tmp_path / "root", tmp_path / "elsewhere", tmp_path / "no-such-folder"], here)
    assert [folder.path for folder in others.folders] == [tmp_path / "elsewhere" / "grid" / "cpu"]


def test_looking_for_cells_opens_no_other_records(here, there, monkeypatch):
    keep(there, make(cell=make_cell(hidden=8)))
    others = OtherFolders.under([here.path.parent.parent], here)
    monkeypatch.setattr(Record, "read", lambda path: pytest.fail(f"{path} was read"))
    assert others.find(CELL, any_record) is None


def test_kinds_of_devices():
    assert device_kind(make()) == "cpu"
    assert device_kind(make(device="mps")) == "mps"
    assert device_kind(make(device="NVIDIA H200")) == "cuda"
    assert device_kind(make().model_copy(update={"environment": {}})) is None


def test_other_versions_are_told():
    record = make(python="3.11.2", processor="A", software={"torch": "2.5.1", "pandas": "1"}, commit="abc")
    here = {"device": "cpu", "python": "3.11.2", "processor": "B", "software": {"torch": "2.6.0", "numpy": "2"}}
    assert differing_versions(record, here) == ["processor A, here B", "torch 2.5.1, here 2.6.0"]
