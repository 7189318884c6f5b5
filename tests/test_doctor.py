import json
import os
import shutil
import signal
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nin_bench import cli
from nin_bench.catalog import RegistryCatalog
from nin_bench.checkpoint import Checkpoints
from nin_bench.doctor import Finding, examine
from nin_bench.errors import ResultsError
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder, load_results
from nin_bench.results.folder import PARTS
from nin_bench.results.folder_lock import sole_writer
from nin_bench.results.probes import ProbeFile
from nin_bench.runner.record import make_record
from tests.cells import make_cell
from tests.predictions_fixture import write_predictions
from tests.probes_fixture import answers, write_probed
from tests.report_fixture import metrics, record, write_results
from tests.search_fixture import sweep, write_search

RIGHT = {
    "predicted": np.array([1, 2, 3, -1], np.int16),
    "credit": np.array([1, 1, 1, 0], np.float32),
    "probability": np.array([0.5, 0.9, 1.0, 0.1], np.float32),
    "label": np.array([1, 2, 3, 4], np.int16),
}
"""Predictions of which three in four are right."""


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    """Two variants with two seeds each; the last cell has crashed, the others have predictions."""
    trained = record(metrics=metrics(0.75))
    path = write_results(
        tmp_path / "r", {"a": [trained, trained], "b": [trained, record("crashed", error="once")]}
    )
    made = ResultsFolder(path)
    for cell_id in ("c00s0", "c00s1", "c01s0"):
        write_predictions(made, cell_id, RIGHT)
    return made


def files(folder: ResultsFolder) -> dict[str, bytes]:
    found = (path for path in folder.path.rglob("*") if path.is_file() and not path.name.startswith(".lock"))
    return {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in found}


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_sound_folder_is_left_as_it_is(folder):
    before = files(folder)
    assert examine(folder.path) == []
    assert files(folder) == before


def test_the_references_that_ship_are_sound(tmp_path):
    shipped = Path(__file__).parent.parent / "results" / "reference"
    folders = sorted({path.parent for name in ("grid", "search") for path in shipped.glob(f"*/*/{name}.json")})
    assert folders
    for number, folder in enumerate(folders):
        shutil.copytree(folder, tmp_path / str(number))
        assert examine(tmp_path / str(number)) == []


def test_probes_are_held_against_their_records(tmp_path):
    folder = write_probed(tmp_path / "r")
    assert examine(folder, dry_run=True)[1:] == []  # the first says that predictions are lacking
    (folder / "probes" / "c00s0.json").write_text("{")
    ProbeFile.parse(answers("c00s1", 0.5)).write(folder / "probes" / "c00s1.json")
    ProbeFile.parse(answers("c09s9", 0.9)).write(folder / "probes" / "c09s9.json")
    found = [one for one in examine(folder) if one.file != "predictions"]
    assert [(one.file, one.state) for one in found] == [
        ("probes/c00s0.json", "repaired"), ("probes/c00s1.json", "repaired"), ("probes/c09s9.json", "repaired"),
    ]  # fmt: skip
    assert [one.found for one in found[1:]] == ["is of another training than its record", "belongs to no record"]
    assert [one.file for one in examine(folder)] == ["predictions"]


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """A search of two variants, and no run."""
    return write_search(tmp_path / "s", {"a": sweep([0.5] * 6), "b": sweep([0.6] * 6)})


def test_a_search_alone_is_examined(searched):
    assert examine(searched) == []
    (searched / "studies" / "v00.json").write_text("{")
    content = json.loads((searched / "studies" / "v01.json").read_text())
    (searched / "studies" / "v07.json").write_text(json.dumps({**content, "variant_id": "v07"}))
    (searched / "studies" / "v01.json").write_text(json.dumps({**content, "study_name": "another"}))
    found = examine(searched)
    assert [(finding.file, finding.state) for finding in found] == [
        ("studies/v00.json", "repaired"), ("studies/v01.json", "repaired"), ("studies/v07.json", "noted"),
    ]  # fmt: skip
    assert found[1].found == "holds another study, 'another'"
    assert [finding.file for finding in examine(searched)] == ["studies/v07.json"]


def test_a_damaged_search_file_is_quarantined_and_a_missing_one_is_for_a_person(searched):
    content = json.loads((searched / "search.json").read_text())
    (searched / "search.json").write_text(json.dumps({**content, "name": "changed", "digest": "0" * 64}))
    assert [(finding.file, finding.state) for finding in examine(searched)] == [("search.json", "repaired")]
    assert [(finding.file, finding.state) for finding in examine(searched)] == [("search.json", "open")]


def test_a_dry_run_says_the_same_and_changes_nothing(folder):
    folder.record_path("c00s0").write_text("{")
    (folder.path / "cells" / f".x.json.{'0' * 32}.tmp").touch()
    before = {path: path.is_file() and path.read_bytes() for path in folder.path.rglob("*")}
    told = examine(folder.path, dry_run=True)
    assert {path: path.is_file() and path.read_bytes() for path in folder.path.rglob("*")} == before
    assert told[1].done == "would be quarantined as c00s0.json.corrupt; its cell runs again"
    done = examine(folder.path)
    assert [(one.file, one.found, one.state) for one in told] == [(one.file, one.found, one.state) for one in done]


def test_damaged_records_are_quarantined_with_their_predictions_and_the_rest_is_untouched(folder):
    before = files(folder)
    folder.record_path("c00s0").write_text('{"schema": 1, "cell')
    rewrite(folder.record_path("c01s0"), schema=9)
    found = examine(folder.path)
    assert [(finding.file, finding.state) for finding in found] == [
        ("cells/c00s0.json", "repaired"), ("cells/c01s0.json", "repaired"),
        ("predictions/c00s0.npz", "repaired"), ("predictions/c01s0.npz", "repaired"),
    ]  # fmt: skip
    assert found[0].found.startswith("is not whole JSON (")
    assert found[0].done == "quarantined as c00s0.json.corrupt; its cell runs again"
    assert found[1].found == "is of schema 9; this version reads 2"
    assert (found[2].found, found[2].done) == ("belongs to no record", "quarantined as c00s0.npz.corrupt")
    after = files(folder)
    assert after["cells/c01s0.json.corrupt.txt"] == b"c01s0.json is of schema 9; this version reads 2\n"
    assert after["cells/c00s0.json.corrupt"] == b'{"schema": 1, "cell'
    kept = {name: content for name, content in after.items() if ".corrupt" not in name}
    assert kept.items() <= before.items()
    assert load_results(folder.path).cells["outcome"].tolist() == ["missing", "trained", "missing", "crashed"]
    assert examine(folder.path) == []


def test_predictions_that_are_not_of_their_records_are_quarantined(folder):
    folder.predictions_path("c00s1").write_bytes(b"PK")
    folder.predictions_path("c01s0").rename(folder.predictions_path("c01s1"))
    write_predictions(folder, "c77s0", RIGHT)
    found = {finding.file: finding for finding in examine(folder.path)}
    assert list(found) == [
        *(f"predictions/{name}.npz" for name in ("c00s1", "c01s1", "c77s0")), "predictions",
    ]  # fmt: skip
    assert found["predictions/c00s1.npz"].found.startswith("is no whole archive of arrays (")
    assert found["predictions/c01s1.npz"].found == "holds the predictions of another cell, 'c01s0'"
    assert found["predictions/c77s0.npz"].found == "belongs to no record"
    assert found["predictions"].found == "lacks those of 2 trained cells: c00s1; c01s0"
    assert found["predictions"].state == "noted"


def test_predictions_and_a_record_that_disagree_are_both_left_for_a_person(folder):
    """A record that was changed by hand: which of the two is true, no file tells."""
    rewrite(folder.record_path("c00s0"), metrics=metrics(0.5))
    before = files(folder)
    assert examine(folder.path) == [
        Finding(
            "predictions/c00s0.npz",
            "has an accuracy of 0.75, and its record one of 0.5",
            "put back what was changed, or make both again: run --fresh --only a --seeds 0",
            "open",
        )
    ]
    assert files(folder) == before


def test_what_is_missing_is_made_again_by_a_run_of_its_cells_alone(folder):
    grid = json.loads(folder.grid_path.read_text())
    for entry in (*grid["cells"], *grid["variants"]):
        entry["label"] = entry["label"].replace("b", "b [c]")
    rewrite(folder.grid_path, **grid)
    for cell_id in ("c00s0", "c00s1", "c01s0"):
        folder.remove_predictions(cell_id)
    (finding,) = examine(folder.path)
    assert finding.done == (
        "the records stand without them; to make them again: run --fresh --only a --seeds 0,1; "
        "run --fresh --only 'b [[]c]' --seeds 0"
    )
    assert fnmatchcase("b [c]", "b [[]c]")


@pytest.mark.parametrize("part", [*PARTS, "report", "report/figures"])
def test_a_file_in_a_folders_place_is_for_a_person_and_nothing_is_moved(folder, part):
    path = folder.path / part
    if path.exists():
        path.rename(folder.path / "elsewhere")
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    before = files(folder)
    assert examine(folder.path) == [Finding(part, "is no folder", "move it away, and put the folder back", "open")]
    assert files(folder) == before


def test_records_that_are_gone_as_a_whole_cost_no_predictions(folder):
    (folder.path / "cells").rename(folder.path / "elsewhere")
    before = files(folder)
    (finding,) = examine(folder.path)
    assert (finding.file, finding.state) == ("cells", "open")
    assert finding.found == "is missing, and its cells' predictions are there"
    assert files(folder) == before
    with pytest.raises(ResultsError, match=r"r/cells: is missing, .*; put it back, or remove them too$"):
        load_results(folder.path)
    (folder.path / "elsewhere").rename(folder.path / "cells")
    assert examine(folder.path) == []


def test_predictions_for_which_there_is_no_memory_are_left_for_a_person(folder, monkeypatch):
    def refuse(*arguments: Any, **options: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "load", refuse)  # what takes the memory, and on a small machine finds none
    before = files(folder)
    found = examine(folder.path)
    assert {finding.found for finding in found} == {"cannot be read: no memory left"}
    assert [finding.state for finding in found] == ["open"] * 3
    assert files(folder) == before


def test_what_a_report_left_half_written_is_cleared_away(folder):
    left = [f"{part}/.x.{'0' * 32}.tmp" for part in ("report", "report/figures", "report/tables")]
    for name in left:
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).touch()
    assert [(finding.file, finding.done) for finding in examine(folder.path)] == [
        (name, "removed") for name in left
    ]
    assert examine(folder.path) == []


def test_predictions_of_a_cell_that_failed_since_are_quarantined(folder):
    write_predictions(folder, "c01s1", RIGHT)
    (finding,) = examine(folder.path)
    assert finding.found == "belongs to no record: that of its cell says crashed"


def test_damaged_costs_are_quarantined(folder):
    folder.costs_path("v0").parent.mkdir(exist_ok=True)
    folder.costs_path("v0").write_text('{"schema": 2, "variant_id": "v1", "label": "b", "entries": []}')
    (finding,) = examine(folder.path)
    assert (finding.file, finding.state) == ("costs/v0.json", "repaired")
    assert finding.found == "holds the costs of another variant, v1"
    assert finding.done == "quarantined as v0.json.corrupt"
    assert examine(folder.path) == []


def test_damaged_checkpoints_are_quarantined(folder):
    cell = make_cell()
    checkpoints = Checkpoints(folder.checkpoints_path, cell)
    for num_steps in (1, 2):
        interrupted = make_record(cell, "interrupted", started_at="", metrics={"num_steps": num_steps})
        checkpoints.save(interrupted, {"step": num_steps})
    assert examine(folder.path) == []
    newest, older = checkpoints.paths()
    newest.write_bytes(newest.read_bytes()[:-1])
    found = f"checkpoints/{newest.name}", "is not whole: its state has another SHA-256"
    assert examine(folder.path) == [Finding(*found, f"quarantined as {newest.name}.corrupt", "repaired")]
    assert checkpoints.paths() == [older]


def test_what_a_killed_process_left_is_cleared_away(folder):
    program = """
import os, signal, sys
from pathlib import Path
from nin_bench.results.folder_lock import sole_writer
from nin_bench.results.probes import ProbeFile
from nin_bench.runner.record import make_record
from nin_bench.results import ResultsFolder

folder = ResultsFolder(Path(sys.argv[1]))
with sole_writer(folder.path):
    os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
    folder.remove_predictions("c00s0")
    folder.write_record(folder.read_record("c00s0"))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    killed = subprocess.run([sys.executable, "-c", program, str(folder.path)], env=environment)
    assert killed.returncode == -signal.SIGKILL
    notes = folder.path / "cells" / ".notes.tmp"  # somebody's own
    notes.touch()
    holder, leftover, predictions = examine(folder.path)
    assert holder == Finding(".lock-holder", "was left by a process that was killed", "removed", "repaired")
    assert leftover.file.startswith("cells/.c00s0.json.")
    assert (leftover.done, leftover.state) == ("removed", "repaired")
    assert predictions.found == "lacks those of 1 trained cells: c00s0"
    assert notes.exists()
    assert examine(folder.path) == [predictions]


def test_records_of_other_cells_and_of_other_defaults_are_told_and_left(folder):
    stranger = json.loads(folder.record_path("c00s0").read_text()) | {"cell_id": "c99"}
    folder.record_path("c99").write_text(json.dumps(stranger))
    cell = json.loads(folder.record_path("c00s1").read_text())["cell"]
    rewrite(folder.record_path("c00s1"), cell=cell | {"recipe": cell["recipe"] | {"lr": 0.7}})
    before = files(folder)
    other, foreign, _ = examine(folder.path)
    assert (other.file, other.found) == (
        "cells/c00s1.json", "is of another experiment: a default has changed",
    )  # fmt: skip
    assert (foreign.file, foreign.found, foreign.state) == (
        "cells/c99.json", "is of a cell that is no longer in the grid", "noted",
    )  # fmt: skip
    assert files(folder) == before


@pytest.mark.parametrize("content", [None, "{", '{"schema": 9}', '{"schema": 2, "name": "onexone"}'])
def test_without_a_grid_a_person_has_to_decide_and_records_stay(folder, content):
    folder.grid_path.unlink()
    if content is not None:
        folder.grid_path.write_text(content)
    before = files(folder)
    (finding,) = examine(folder.path)
    assert (finding.file, finding.state) == ("grid.json", "open")
    assert "what was claimed before the first run, is lost with it" in finding.found
    assert finding.done.startswith("put a copy back, or move it away and run its grid again")
    assert files(folder) == before


@pytest.mark.parametrize("part", ["cells", "predictions", "report"])
def test_nothing_behind_a_link_is_touched(folder, tmp_path, part):
    elsewhere = tmp_path / "elsewhere"
    if (folder.path / part).exists():
        (folder.path / part).rename(elsewhere)
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "c77s0.json").write_text("{")
    (elsewhere / "c77s0.npz").write_text("{")
    (elsewhere / f".x.{'0' * 32}.tmp").touch()
    (folder.path / part).symlink_to(elsewhere)
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    found = examine(folder.path)
    assert found == [
        Finding(part, "is a link, and none is followed in a results folder", "put the folder itself there", "open")
    ]
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before


def test_a_record_that_the_system_refuses_is_for_a_person_and_keeps_its_predictions(folder, monkeypatch):
    opened = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if Path(path).name == "c00s0.json":
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)  # tests may run as root, who is refused nothing
    before = files(folder)
    assert examine(folder.path) == [
        Finding("cells/c00s0.json", "cannot be read: Permission denied", "mend or move it", "open")
    ]
    assert files(folder) == before


@pytest.mark.parametrize("made", [[], ["notes.txt"]])
def test_what_is_no_results_folder_is_refused_and_nothing_is_made(tmp_path, made):
    for name in made:
        (tmp_path / name).touch()
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ResultsError, match="not a results folder"):
            examine(path)
    assert [path.name for path in tmp_path.iterdir()] == made


def test_a_folder_in_use_is_refused_with_its_user(folder):
    before = files(folder)
    with sole_writer(folder.path), pytest.raises(ResultsError, match=f"in use by process {os.getpid()}; "):
        examine(folder.path)
    assert files(folder) == before


# The command


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return int(ended.value.code or 0), capsys.readouterr().out


def test_the_command_tells_what_it_found_and_did(folder, capsys):
    path = str(folder.path)
    assert call(capsys, "doctor", path) == (0, "all is well\n")
    folder.predictions_path("c00s0").write_bytes(b"")
    status, out = call(capsys, "doctor", path)
    assert (status, out.splitlines()) == (0, [
        "predictions/c00s0.npz: is no whole archive of arrays (File is not a zip file); "
        "quarantined as c00s0.npz.corrupt",
        "predictions: lacks those of 1 trained cells: c00s0; the records stand without them; "
        "to make them again: run --fresh --only a --seeds 0",
        "1 mended or quarantined, 1 good to know",
    ])  # fmt: skip
    folder.grid_path.write_text("{")
    status, out = call(capsys, "doctor", path, "--json")
    document = json.loads(out)
    assert status == 1
    assert (document["num_repaired"], document["num_noted"], document["num_open"]) == (0, 1, 1)
    assert document["findings"][0]["file"] == "grid.json"
    assert set(document["findings"][0]) == {"file", "found", "done", "state"}
    assert call(capsys, "doctor", f"{path}/absent")[0] == 2


PICTURES = """
schema: 1
name: pets
data: {name: image_folder, folder: pets, resolution: 8, validation_size: 0}
recipe: {epochs: 1, batch_size: 4, lr: 0.1}
seeds: 1
models: [{name: mlp, hidden: 4}]
"""


def test_pictures_are_read_again_and_what_is_kept_of_them_is_verified(tmp_path):
    for split in ("train", "test"):
        for number, name in enumerate(("cat", "dog")):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (9, 7), (number, 90, 200)).save(folder / "1.bmp")
            os.utime(folder / "1.bmp", (1_000, 1_000))
    (tmp_path / "grid.yaml").write_text(PICTURES)
    results = ResultsFolder(tmp_path / "results")
    results.write_grid(Grid.load(tmp_path / "grid.yaml", RegistryCatalog(tmp_path)).resolved("cpu"))
    assert examine(results.path, data_dir=tmp_path) == []
    (elsewhere,) = examine(results.path, data_dir=tmp_path / "elsewhere")
    assert (elsewhere.file, elsewhere.state, elsewhere.done) == ("pets", "noted", "say where it is by --data-dir")

    array = next((tmp_path / ".pictures").rglob("*train*.npy"))
    rotten = tmp_path / "pets/test/dog/1.bmp"
    for path in (array, rotten):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    os.utime(rotten, (1_000, 1_000))
    for dry_run in (True, False):
        changed, damaged = examine(results.path, data_dir=tmp_path, dry_run=dry_run)
        assert (changed.file, changed.state) == (str(rotten.parents[2]), "open")
        assert changed.found == "changed, with the same size and time of change: test/dog/1.bmp"
        assert (damaged.file, damaged.state) == (str(array), "repaired")
        assert array.exists() == dry_run
    (other,) = examine(results.path, data_dir=tmp_path)
    assert (other.state, other.found) == ("open", "holds other pictures than the cells were trained on")
