import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError
from nin_bench.results import FINAL_OUTCOMES, Record, ResolvedGrid, ResultsFolder, load_results
from nin_bench.results.cost_entry import CostEntry
from tests import costs_fixture
from tests.predictions_fixture import write_predictions

SPEC = {"model": {"name": "mlp", "hidden": 16}, "data": {"name": "digits"}, "recipe": {"epochs": 2}}
GRID = {
    "name": "tiny", "profile": "full", "question": "?", "data": {}, "recipe": {}, "device_kind": "cpu",
    "seeds": [0, 1, 2],
    "variants": [{"variant_id": "v0", "label": "mlp", **SPEC}],
    "cells": [{"cell_id": f"c{seed}", "variant_id": "v0", "label": "mlp", "seed": seed} for seed in range(3)],
}  # fmt: skip


def grid(**changes: Any) -> ResolvedGrid:
    return ResolvedGrid.parse({**GRID, **changes})


def record(seed: int, **changes: Any) -> Record:
    return Record.parse(plain(seed, **changes))


def plain(seed: int, **changes: Any) -> dict[str, Any]:
    return {
        "cell_id": f"c{seed}", "variant_id": "v0", "label": "mlp", "cell": {**SPEC, "seed": seed},
        "outcome": "trained", "attempts": [{"outcome": "trained", "error": None}],
        "metrics": {"test_accuracy": 0.9, "escape_epoch": None}, "environment": {},
        "history": [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25}],
        **changes,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    made = ResultsFolder(tmp_path / "tiny" / "full")
    made.write_grid(grid())
    return made


def test_outcomes_are_those_of_the_design():
    final = {"trained", "diverged", "invalid"}
    assert final == FINAL_OUTCOMES


def test_what_is_written_comes_back(folder):
    folder.write_record(record(0))
    assert folder.read_grid() == grid()
    assert folder.read_record("c0") == record(0)
    assert folder.read_record("c1") is None


def cost_entry(fingerprint: str, num_macs: int = 70) -> CostEntry:
    counts = {"total": num_macs, "convolution": 0, "pointwise": 0, "dense": num_macs}
    machine = {"fingerprint": fingerprint, "device": "cpu"}
    entry = costs_fixture.cost_entry(machine=machine, num_macs=counts, error="timed_out: took longer")
    return CostEntry.model_validate(entry)


def test_costs_are_kept_machine_by_machine_and_read_for_the_grids_own(folder):
    assert folder.read_costs("v0") is None
    folder.write_cost("v0", "mlp", cost_entry("ours"), is_whole=True)
    folder.write_cost("v0", "mlp", cost_entry("theirs", num_macs=71), is_whole=True)
    folder.write_cost("v0", "mlp", cost_entry("ours", num_macs=72), is_whole=True)
    costs = folder.read_costs("v0")
    assert (costs.variant_id, costs.label) == ("v0", "mlp")
    assert costs.entries == (cost_entry("theirs", num_macs=71), cost_entry("ours", num_macs=72))

    # A grid that was last run before machines were noted has no costs of its own.
    assert load_results(folder.path).costs.empty
    folder.write_grid(grid(machine={"fingerprint": "theirs", "device": "cpu"}))
    results = load_results(folder.path)
    assert results.cost_entries == {"v0": cost_entry("theirs", num_macs=71)}
    (row,) = results.costs.to_dict("records")
    assert (row["variant_id"], row["label"], row["num_params"], row["num_macs"]) == ("v0", "mlp", 1000, 71)
    assert row["error"] == "timed_out: took longer"


def test_damaged_costs_are_left_out_by_reading_and_quarantined_by_writing(folder):
    folder.write_grid(grid(machine={"fingerprint": "ours", "device": "cpu"}))
    folder.write_cost("v0", "mlp", cost_entry("ours"), is_whole=True)
    path = folder.costs_path("v0")
    torn = path.read_bytes()[:50]
    path.write_bytes(torn)
    results = load_results(folder.path)
    assert results.cost_entries == {}
    (sentence,) = results.left_out
    assert sentence.startswith("costs/v0.json was left out: it is not whole JSON (")
    assert path.read_bytes() == torn

    folder.write_cost("v0", "mlp", cost_entry("ours"), is_whole=True)
    assert path.with_name("v0.json.corrupt").read_bytes() == torn
    assert load_results(folder.path).left_out == []


def test_predictions_come_back_and_can_be_dropped(folder):
    said: dict[str, Any] = {
        "predicted": np.array([-1, 3], np.int16),
        "credit": np.array([0.0, 1.0], np.float32),
        "probability": np.array([0.1, 0.8], np.float32),
        "label": np.array([3, 3], np.int16),
    }
    assert folder.read_predictions("c0") is None
    write_predictions(folder, "c0", said)
    found = folder.read_predictions("c0")
    assert found is not None
    assert {name: (array.dtype, array.tolist()) for name, array in found.items()} == {
        name: (array.dtype, array.tolist()) for name, array in said.items()
    }
    for _ in range(2):
        folder.remove_predictions("c0")
        assert folder.read_predictions("c0") is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cell_id": "other"}, "is the record of another cell, 'other'"),
        ({"outcome": "fine"}, "outcome: "),
        ({"metrics": None}, "metrics: "),
        ({"history": [1]}, "history.0: "),
        ({"attempts": []}, "attempts: "),
    ],
)
def test_a_record_that_is_not_what_its_place_says_is_damaged(folder, changes, reason):
    content = {"schema": Record.SCHEMA, **plain(0, **changes)}
    folder.record_path("c0").parent.mkdir()
    folder.record_path("c0").write_text(json.dumps(content))
    with pytest.raises(DamagedFileError, match=reason):
        folder.read_record("c0")


@pytest.mark.parametrize("part", ["cells", "predictions", "costs", "checkpoints", "studies", "report"])
def test_a_part_that_is_a_link_is_not_followed(folder, tmp_path, part):
    (tmp_path / "elsewhere").mkdir()
    (folder.path / part).symlink_to(tmp_path / "elsewhere")
    refusal = rf"full/{part}: is a link, and none is followed in a results folder; put the folder itself there$"
    for look in (folder.read_grid, folder.find_grid, lambda: load_results(folder.path)):
        with pytest.raises(ResultsError, match=refusal):
            look()


@pytest.mark.parametrize("part", ["cells", "predictions", "costs", "checkpoints", "studies", "weights", "report"])
def test_a_file_in_a_parts_place_is_told(folder, part):
    (folder.path / part).touch()
    refusal = rf"full/{part}: is no folder; move it away, and put the folder back$"
    for look in (folder.read_grid, folder.find_grid, lambda: load_results(folder.path)):
        with pytest.raises(ResultsError, match=refusal):
            look()


def test_a_results_folder_may_lie_behind_a_link(folder, tmp_path):
    folder.write_record(record(0))
    (tmp_path / "linked").symlink_to(folder.path)
    assert load_results(tmp_path / "linked").cells["outcome"].tolist() == ["trained", "missing", "missing"]


def test_a_folder_that_was_never_run_has_no_grid(tmp_path):
    assert ResultsFolder(tmp_path).find_grid() is None
    assert ResultsFolder(tmp_path / "absent").find_grid() is None


def test_leftovers_are_removed_from_every_part_and_nothing_else(folder):
    left = [folder.path / f".grid.json.{'0' * 32}.tmp"]
    for part in ("cells", "predictions", "costs", "checkpoints", "studies", "report", "report/tables"):
        (folder.path / part).mkdir(exist_ok=True)
        left.append(folder.path / part / f".x.{'f' * 32}.tmp")
    kept = [folder.path / ".x.tmp", folder.path / "cells" / "c0.json.tmp"]
    for path in (*left, *kept):
        path.touch()
    assert sorted(folder.remove_leftovers()) == sorted(left)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    assert folder.remove_leftovers() == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}"])
def test_predictions_that_are_torn_are_damaged(folder, content):
    path = folder.predictions_path("c0")
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="is no whole archive of arrays"):
        folder.read_predictions("c0")


def test_a_torn_record_is_quarantined_and_told(folder):
    folder.write_record(record(0))
    torn = folder.record_path("c0")
    torn.write_bytes(torn.read_bytes()[:40])
    found, told = folder.read_record_or_quarantine("c0")
    assert found is None
    assert told is not None
    assert told.startswith("cells/c0.json is not whole JSON (")
    assert told.endswith("quarantined as c0.json.corrupt, its cell runs again")
    reason = torn.with_name("c0.json.corrupt.txt").read_text()
    assert reason.startswith("c0.json is not whole JSON (")
    assert folder.read_record_or_quarantine("c0") == (None, None)


@pytest.mark.parametrize("content", [None, "", "{", '{"schema": 2}', '{"schema": 7, "cells": []}'])
def test_a_folder_without_a_readable_grid_is_refused_with_a_remedy(tmp_path, content):
    if content is not None:
        (tmp_path / "grid.json").write_text(content)
    remedy = "give one <root>/<grid>/<profile>" if content is None else "run its grid again: its records stay"
    with pytest.raises(ResultsError, match=f"{remedy}$"):
        load_results(tmp_path)


def test_frames_have_a_row_for_every_cell_and_every_epoch(folder):
    folder.write_record(record(0))
    failed = [{"outcome": "crashed", "error": "once"}, {"outcome": "crashed", "error": "twice"}]
    folder.write_record(record(2, outcome="crashed", attempts=failed, metrics={"test_accuracy": None}, history=[]))
    results = load_results(folder.path)
    assert results.left_out == []
    assert [found.cell_id for found in results.records] == ["c0", "c2"]
    cells = results.cells
    assert cells["cell_id"].tolist() == ["c0", "c1", "c2"]
    assert cells["outcome"].tolist() == ["trained", "missing", "crashed"]
    assert [error if isinstance(error, str) else None for error in cells["error"]] == [None, None, "twice"]
    assert cells["test_accuracy"].tolist() == pytest.approx([0.9, np.nan, np.nan], nan_ok=True)
    history = results.history
    assert history[["cell_id", "seed", "epoch", "train_loss"]].values.tolist() == [
        ["c0", 0, 1, 0.5], ["c0", 0, 2, 0.25],
    ]  # fmt: skip


def test_a_folder_without_records_has_frames_too(folder):
    results = load_results(str(folder.path))
    assert results.cells["outcome"].tolist() == ["missing"] * 3
    assert results.history.empty
    assert {"cell_id", "variant_id", "label", "seed"} <= set(results.history.columns)


def test_files_that_are_not_used_are_told_and_left_alone(folder):
    folder.write_record(record(0))
    folder.record_path("c0").write_text("{")
    folder.write_record(record(1, cell={**SPEC, "recipe": {"epochs": 3}, "seed": 1}))
    folder.write_record(record(2))
    folder.write_record(record(3, cell_id="foreign"))
    before = {path.name: path.read_bytes() for path in (folder.path / "cells").iterdir()}
    results = load_results(folder.path)
    torn, outdated, foreign = results.left_out
    assert torn.startswith("cells/c0.json was left out: it is not whole JSON (")
    assert outdated.startswith("cells/c1.json was left out: a default has changed since")
    assert foreign.startswith("1 cell is no longer in the grid; kept, and left out of the analysis: ")
    assert [cell.cell_id for cell in results.former] == ["foreign"]
    assert results.cells["outcome"].tolist() == ["missing", "missing", "trained"]
    assert {path.name: path.read_bytes() for path in (folder.path / "cells").iterdir()} == before


def test_what_is_read_is_shown_on_a_line():
    results = load_results(Path(__file__).parents[2] / "results" / "reference" / "precision" / "full")
    assert repr(results).endswith(f", {len(results.rows)} cells: {len(results.rows)} trained)")
    assert repr(results.records[0]).startswith(f"Record(cell_id={results.records[0].cell_id!r}, ")
    assert repr(results.grid).startswith("ResolvedGrid(name='precision', profile='full'")
    assert all(
        len(repr(value)) < 300 for value in (results.grid, *results.records, *results.cost_entries.values())
    )


def test_reading_results_does_not_wait_for_torch(folder):
    program = """
import sys
from nin_bench import load_results

load_results(sys.argv[1])
assert "torch" not in sys.modules
"""
    root = str(Path(__file__).parents[2])
    subprocess.run(
        [sys.executable, "-c", program, str(folder.path)], env={**os.environ, "PYTHONPATH": root}, check=True
    )


def test_only_tables_wait_for_pandas(folder):
    program = """
import sys
from nin_bench.results import load_results

results = load_results(sys.argv[1])
assert [row["outcome"] for row in results.rows] == ["missing"] * 3
assert "pandas" not in sys.modules
assert len(results.cells) == 3
"""
    subprocess.run([sys.executable, "-c", program, str(folder.path)], check=True)
