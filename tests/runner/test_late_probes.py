"""Probes in runs: made as cells end, made later from kept weights, taken over from other folders."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder, load_results
from nin_bench.runner.events import CellStarted, Event, Planned, Probed
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions

GRID = """
schema: 1
name: {name}
data: {{name: digits}}
recipe: {{epochs: 1, batch_size: 64, lr: 0.1, momentum: 0.9}}
models:
  - {{name: nin_mnist, width: 0.1, head: [gap, fc_linear]}}
"""
PROBES = "probes: {shift: [0, 1], resolution: [4, 8], class_maps: 2}\n"


class Root:
    """A root of results folders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []

    def folder(self, name: str) -> ResultsFolder:
        return ResultsFolder(self.path / name / "full")

    def run(self, name: str, probes: str = "", **options: Any) -> int:
        """Run a grid, and say how many cells it trained."""
        self.events = []
        (self.path / f"{name}.yaml").write_text(GRID.format(name=name) + probes)
        grid = Grid.load(self.path / f"{name}.yaml", RegistryCatalog(self.path))
        options = {"device": "cpu", "workers": 2, "data_dir": self.path, "measure": False, **options}
        run_grid(grid, self.folder(name), RunOptions(**options), self.events.append)
        return sum(isinstance(event, CellStarted) for event in self.events)

    def probed(self) -> list[str | None]:
        return [event.error for event in self.events if isinstance(event, Probed)]

    def notes(self) -> list[str]:
        (planned,) = [event for event in self.events if isinstance(event, Planned)]
        return list(planned.notes)

    def states(self) -> list[str | None]:
        (planned,) = [event for event in self.events if isinstance(event, Planned)]
        return [cell.probes for cell in planned.cells]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A root with a grid whose networks answered probes as they ended; tests write beside it."""
    root = Root(tmp_path_factory.mktemp("root"))
    assert root.run("probed", PROBES) == 2
    assert (root.states(), root.probed()) == (["to make", "to make"], [])
    return root


def test_what_was_answered_is_asked_no_more(root):
    results = load_results(root.folder("probed").path)
    pooled, dense = (results.probes[record.cell_id] for record in results.records)
    assert (len(pooled.class_maps), len(dense.class_maps)) == (2, 0)
    assert [one.not_possible is None for one in dense.resolution] == [False, True]
    for record in results.records:
        assert results.probes[record.cell_id].shift[0].accuracy == record.metrics.test_accuracy
    assert root.run("probed", PROBES) == 0
    assert (root.states(), root.probed(), root.notes()) == (["made", "made"], [], [])


def test_kept_weights_answer_later_what_they_would_have_answered_at_once(root):
    assert root.run("later", keep_weights=True) == 2
    folder = root.folder("later")
    before = [path.read_bytes() for path in sorted((folder.path / "cells").iterdir())]
    assert root.states() == [None, None]
    assert root.run("later", PROBES) == 0
    assert root.notes() == ["probes of 2 cells that are done are missing: a run makes them from kept weights"]
    assert (root.states(), root.probed()) == (["to make", "to make"], [None, None])
    assert load_results(folder.path).probes == load_results(root.folder("probed").path).probes
    assert [path.read_bytes() for path in sorted((folder.path / "cells").iterdir())] == before
    # more are asked, of weights one of which is damaged
    first, second = load_results(folder.path).records
    content = bytearray(folder.state_path(first.cell_id).read_bytes())
    content[-1000] ^= 1
    folder.state_path(first.cell_id).write_bytes(content)
    root.run("later", PROBES.replace("[0, 1]", "[0, 1, 2]"))
    answers = dict(zip(("damaged", "whole"), sorted(root.probed(), key=lambda error: error is None), strict=True))
    assert answers["whole"] is None
    assert "quarantined as" in answers["damaged"]
    assert [len(load_results(folder.path).probes[one.cell_id].shift) for one in (first, second)] == [2, 3]
    root.run("later", PROBES.replace("[0, 1]", "[0, 1, 2]"))
    assert (root.states(), root.probed()) == (["no weights", "made"], [])


def test_without_weights_it_is_said_and_nothing_is_asked(root):
    root.run("dropped")
    assert root.run("dropped", PROBES) == 0
    assert root.notes() == [
        "probes of 2 cells that are done are missing: their weights were not kept; --fresh trains anew"
    ]
    assert (root.probed(), load_results(root.folder("dropped").path).probes) == ([], {})
    assert root.run("dropped", PROBES, fresh=True) == 2
    assert len(load_results(root.folder("dropped").path).probes) == 2
    assert root.run("dropped", fresh=True) == 2
    assert not any((root.folder("dropped").path / "probes").iterdir()), "those of another training are not kept"


def test_probes_are_taken_over_with_their_cells(root, tmp_path):
    shutil.copytree(root.path / "probed", tmp_path / "probed")
    assert root.run("taken", PROBES, other_roots=[tmp_path]) == 0
    assert root.states() == ["made", "made"]
    ours, theirs = (load_results(root.folder(name).path).probes for name in ("taken", "probed"))
    assert ours == theirs
    # Neither answered nor kept: only training them can answer.
    other = PROBES.replace("[4, 8]", "[4, 6, 8]")
    assert root.run("more", other, other_roots=[tmp_path]) == 2
