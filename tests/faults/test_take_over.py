"""Cells are taken over whole or not at all, wherever the disk fails or the process is killed."""

import os
from pathlib import Path

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.files import DamagedFileError
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder
from nin_bench.results.predictions import check_predictions
from nin_bench.results.sharing import OtherFolders
from tests.faults.broken_disk import ERRORS
from tests.faults.damage import cuts, flips
from tests.faults.places import ONE_NETWORK, Place
from tests.faults.scale import scaled
from tests.faults.stubs import result_of
from tests.predictions_fixture import write_predictions
from tests.processes import linux

pytestmark = linux

SCENARIO = "scenarios:take_over_on_broken_disk"
TWO_CELLS = ONE_NETWORK.replace("seeds: 1", "seeds: 2")


class Root(Place):
    """A place with a results folder that holds all of its grid's cells, and one that holds nothing yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, TWO_CELLS)
        self.cells = Grid.load(path / "grid.yaml", RegistryCatalog(path)).cells
        self.source, self.goal = (ResultsFolder(path / "root" / name / "full") for name in ("source", "goal"))
        self.goal.path.mkdir(parents=True)
        for cell in self.cells:
            record, predictions = result_of(cell)
            write_predictions(self.source, cell.cell_id, predictions)
            for kept in self.source.kept_paths(cell.cell_id):
                kept.parent.mkdir(exist_ok=True)
                kept.write_bytes(f"kept of {cell.cell_id}".encode() * 1000)
            self.source.write_record(record)

    def files(self, folder: ResultsFolder) -> dict[str, bytes]:
        paths = (path for path in folder.path.rglob("*") if path.is_file() and path.name != "operations")
        return {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in paths}

    def check_goal(self) -> int:
        """Every record is there with all that belongs to it; how many there are."""
        for cell_id in self.goal.record_ids():
            record, predictions = self.goal.read_record(cell_id), self.goal.read_predictions(cell_id)
            assert record is not None
            assert predictions is not None
            assert record.reused_from == "source/full"
            check_predictions(predictions, record)
            for ours, theirs in zip(self.goal.kept_paths(cell_id), self.source.kept_paths(cell_id), strict=True):
                assert ours.read_bytes() == theirs.read_bytes()
        return len(self.goal.record_ids())


@pytest.mark.parametrize("how", ["kill", *ERRORS])
def test_a_take_over_that_is_cut_short_leaves_nothing_half(server, tmp_path, faults, how):
    whole = Root(tmp_path / "whole")
    assert server.run(SCENARIO, str(whole), 0, how, log=whole.log) == 0, whole.printed()
    assert whole.check_goal() == 2
    total = int((whole.goal.path / "operations").read_text())
    chosen = range(1, total + 1, scaled(7, 1))
    seen = set()
    for at in chosen:
        root = Root(tmp_path / str(at))
        before = root.files(root.source)
        status = server.run(SCENARIO, str(root), at, how, log=root.log)
        printed = root.printed()
        if how == "kill":
            assert status == -9
        elif status != 0:  # what refuses to be removed at the very end is no loss
            assert status == 2, printed
            assert f": {os.strerror(ERRORS[how])}; " in printed
        seen.add(root.check_goal())
        assert root.files(root.source) == before
        root.goal.remove_leftovers()
        assert server.run(SCENARIO, str(root), 0, how, log=root.log) == 0, root.printed()
        assert root.check_goal() == 2
        assert root.files(root.goal).keys() == root.files(root.source).keys()
    assert {0, 1} <= seen
    faults(f"{how} at an operation of a take-over", len(chosen))


def test_sources_damaged_at_every_place_are_never_taken_over(tmp_path, faults):
    root = Root(tmp_path)
    cell = root.cells[0]
    count = 0
    for path in (root.source.record_path(cell.cell_id), root.source.predictions_path(cell.cell_id)):
        whole = path.read_bytes()
        for damaged in [*cuts(whole, scaled(9, 99)), *flips(whole, scaled(9, 99))]:
            path.write_bytes(damaged)
            found = OtherFolders.under([tmp_path / "root"], root.goal).find(cell, lambda record: True)
            if found is not None:
                try:
                    found.take_over(root.goal, "here")
                except DamagedFileError:
                    pass
                else:  # a byte that says nothing, in a compressed file
                    assert found.record == root.goal.read_record(cell.cell_id).model_copy(
                        update={"label": cell.label, "reused_from": None}
                    )
                    root.check_goal()
                    root.goal.record_path(cell.cell_id).unlink()
            count += 1
            assert root.goal.record_ids() == []
        path.write_bytes(whole)
    faults("a damaged source of a take-over", count)
