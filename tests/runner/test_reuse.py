"""Runs that take over what other results folders hold."""

from collections import Counter
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.results import Record, ResultsFolder, load_results
from nin_bench.runner.events import CellStarted, Event, Planned
from nin_bench.runner.run import RunSummary, run_grid
from nin_bench.runner.session import RunOptions
from tests.cells import repeated
from tests.predictions_fixture import write_predictions

GRID = """
schema: 1
name: {name}
data: {{name: digits}}
recipe: {{epochs: 1, batch_size: 64, lr: {lr}, momentum: 0.9}}
seeds: 2
models:
  - {{name: mlp, hidden: {hidden}}}
"""
CLAIM = """
hypotheses:
  - id: wider-is-better
    claim: Twice the units classify better.
    metric: test_accuracy
    compare: [{name: mlp, hidden: 32}, {name: mlp, hidden: 16}]
    expect: greater
    margin: 0.01
"""


class Root:
    """A root of results folders."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def folder(self, name: str) -> ResultsFolder:
        return ResultsFolder(self.path / name / "full")

    def run(
        self, name: str, hidden: Any = 16, lr: Any = 0.1, claim: str = "", *, profile: str = "full", **options: Any
    ) -> tuple[RunSummary, list[Event]]:
        events: list[Event] = []
        (self.path / f"{name}.yaml").write_text(GRID.format(name=name, hidden=hidden, lr=lr) + claim)
        grid = Grid.load(self.path / f"{name}.yaml", RegistryCatalog(self.path))
        options = {
            "device": "cpu", "workers": 1, "data_dir": self.path, "measure": False, "other_roots": [self.path],
            **options,
        }  # fmt: skip
        return run_grid(grid, self.folder(name), RunOptions(**options), events.append), events

    def records(self, name: str) -> list[Record]:
        return load_results(self.folder(name).path).records


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A root in which a grid has been run; tests write beside it."""
    root = Root(tmp_path_factory.mktemp("root"))
    root.run("first", [16, 32], keep_weights=True)
    return root


def num_trained(events: list[Event]) -> int:
    return sum(isinstance(event, CellStarted) for event in events)


def notes(events: list[Event]) -> list[str]:
    (planned,) = [event for event in events if isinstance(event, Planned)]
    return list(planned.notes)


def test_cells_of_another_grid_are_taken_over_and_only_new_ones_train(trained):
    summary, events = trained.run("second", [16, 24], [0.1, 0.05])
    assert summary == RunSummary(Counter({"trained": 8}), num_skipped=0, num_reused=2)
    assert num_trained(events) == 6
    assert notes(events) == ["2 cells are taken over from first/full"]
    taken = [record for record in trained.records("second") if record.reused_from]
    assert [record.label for record in taken] == ["mlp hidden=16 lr=0.1"] * 2
    theirs, ours = trained.folder("first"), trained.folder("second")
    for record in taken:
        original = theirs.read_record(record.cell_id)
        assert original.label == "mlp hidden=16"
        assert (record.metrics, record.history) == (original.metrics, original.history)
        for path in (ResultsFolder.predictions_path, *(ResultsFolder.weights_path, ResultsFolder.state_path)):
            assert path(ours, record.cell_id).read_bytes() == path(theirs, record.cell_id).read_bytes()
    summary, events = trained.run("second", [16, 24], [0.1, 0.05])
    assert summary == RunSummary(Counter({"trained": 8}), num_skipped=8)


def test_what_was_trained_anew_comes_to_the_same(trained):
    summary, _ = trained.run("anew", [16, 32], reuse=False)
    assert summary == RunSummary(Counter({"trained": 4}))
    for ours, theirs in zip(trained.records("anew"), trained.records("first"), strict=True):
        assert ours.reused_from is None
        assert repeated(ours.metrics) == repeated(theirs.metrics)


def test_a_fresh_run_takes_nothing_over(trained):
    summary, _ = trained.run("fresh", 16, fresh=True)
    assert summary == RunSummary(Counter({"trained": 2}))


@pytest.mark.parametrize("changed", ["code", "device", "predictions"])
def test_what_is_not_the_same_is_trained(trained, tmp_path, changed):
    root = Root(tmp_path)
    folder = root.folder("first")
    for record in trained.records("first"):
        predictions = trained.folder("first").read_predictions(record.cell_id)
        if changed == "code":
            record = record.model_copy(update={"code_digest": "0123456789abcdef"})
        elif changed == "device":
            record = record.model_copy(update={"environment": {**record.environment, "device": "NVIDIA Example"}})
        else:
            predictions["predicted"] = predictions["label"]
        write_predictions(folder, record.cell_id, predictions)
        folder.write_record(record)
    summary, events = root.run("second", 16)
    assert summary == RunSummary(Counter({"trained": 2}))
    assert num_trained(events) == 2
    assert len(notes(events)) == (2 if changed == "predictions" else 0)
    if changed == "code":
        assert root.run("third", 32, accept_code_changes=True)[0].num_reused == 2


def test_claims_on_cells_that_were_trained_elsewhere_are_locked_as_known(trained):
    for name, reuse in (("claims", True), ("claims-anew", False)):
        trained.run(name, [16, 32], claim=CLAIM, reuse=reuse)
        lock = trained.folder(name).read_grid().lock
        assert (lock.num_cells_known, lock.already_trained) == (4, ("wider-is-better",))
    trained.run("claims-new", [16, 32], 0.03, claim=CLAIM)
    lock = trained.folder("claims-new").read_grid().lock
    assert (lock.num_cells_known, lock.already_trained) == (0, ())


def test_two_runs_that_take_over_from_each_other(trained, tmp_path):
    root = Root(tmp_path)
    root.run("a", [8, 16])
    root.run("b", [24, 32])
    before = {name: root.records(name) for name in "ab"}
    summaries: dict[str, RunSummary] = {}

    def take_over(name: str) -> None:
        summaries[name] = root.run(name, [8, 16, 24, 32])[0]

    # A run handles signals, which only a main thread can; so one is in a thread, without them.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nin_bench.runner.session.signal.signal", lambda number, handler: None)
        threads = [Thread(target=take_over, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name, other in ("ab", "ba"):
        assert summaries[name] == RunSummary(Counter({"trained": 8}), num_skipped=4, num_reused=4)
        records = {record.cell_id: record for record in root.records(name)}
        assert all(records[record.cell_id] == record for record in before[name])
        assert all(records[record.cell_id].reused_from == f"{other}/full" for record in before[other])
