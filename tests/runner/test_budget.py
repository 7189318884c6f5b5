import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.planning import plan_cells
from nin_bench.results import ResultsFolder, load_results
from nin_bench.runner.budget import stopped_at, work_ends_at
from nin_bench.runner.run import RunSummary, measure_grid, run_grid
from nin_bench.runner.session import RunOptions
from tests.budget_fixture import end_at_first_checkpoint

GRID = """
schema: 1
name: tiny
data: {name: digits}
recipe: {epochs: 100000, batch_size: 64, lr: 0.1}
seeds: 3
models:
  - {name: mlp, hidden: 16}
"""


@dataclass
class Stoppable:
    num_stops: int = 0
    out_of_time: bool = False

    def stop(self) -> None:
        self.num_stops += 1

    @property
    def stopping(self) -> bool:
        return self.num_stops > 0


def wait_for(condition: Any) -> None:
    ends = time.monotonic() + 30
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)


def test_work_ends_early_enough_for_what_follows():
    assert work_ends_at(100.0, 3600.0) == 100 + 3600 - 5
    assert work_ends_at(100.0, 3600.0, num_cells=200) == 100 + 3600 - (5 + 15 + 20)
    assert work_ends_at(100.0, 30.0, num_cells=200) == 100 + 15


def test_when_the_time_has_come_the_executor_is_asked_once():
    executor = Stoppable()
    with stopped_at(time.monotonic() - 1, executor, executor):
        wait_for(lambda: executor.stopping)
    assert (executor.num_stops, executor.out_of_time) == (1, True)


def test_one_that_was_asked_to_stop_before_is_not_asked_again():
    executor = Stoppable(num_stops=1)
    with stopped_at(time.monotonic(), executor, executor):
        time.sleep(0.1)
    assert (executor.num_stops, executor.out_of_time) == (1, False)


@pytest.mark.parametrize("ends_at", [None, float("1e9")])
def test_before_that_nothing_happens(ends_at):
    executor = Stoppable()
    with stopped_at(ends_at, executor, executor):
        pass
    assert (executor.num_stops, executor.out_of_time) == (0, False)


@pytest.fixture
def place(tmp_path: Path) -> tuple[Grid, ResultsFolder]:
    (tmp_path / "grid.yaml").write_text(GRID)
    grid = Grid.load(tmp_path / "grid.yaml", RegistryCatalog(tmp_path))
    return grid, ResultsFolder(tmp_path / "results" / "tiny" / "full")


def run(place: tuple[Grid, ResultsFolder], seconds: float, **options: Any) -> tuple[RunSummary, list[str]]:
    ended: list[str] = []
    run_options = RunOptions(device="cpu", workers=1, measure=False, ends_at=time.monotonic() + seconds, **options)
    return run_grid(*place, run_options, lambda event: None, at_end=lambda: ended.append("report")), ended


def test_a_run_out_of_time_saves_what_it_has_and_reports_it(place, monkeypatch):
    folder = place[1]
    end_at_first_checkpoint(monkeypatch, folder.path)
    summary, ended = run(place, 600.0)
    assert summary == RunSummary(Counter({"missing": 2, "interrupted": 1}), out_of_time=True)
    assert ended == ["report"]
    (record,) = load_results(folder.path).records
    assert record.attempts[-1].error == "stopped before its end"
    planned = plan_cells(*place)
    assert [one.state for one in planned] == ["continue", "missing", "missing"]
    assert planned[0].num_epochs_saved == len(record.history)


def test_without_any_time_nothing_is_trained_or_measured(place):
    summary, ended = run(place, 0.0)
    assert summary == RunSummary(Counter({"missing": 3}), out_of_time=True)
    assert ended == ["report"]
    grid, folder = place
    options = RunOptions(device="cpu", workers=1, ends_at=time.monotonic())
    measured = measure_grid(grid, folder, options, lambda event: None)
    assert (measured.num_left, [cost.entry for cost in measured.costs]) == (1, [None])
