"""Runs that trackers follow: whole, interrupted and resumed, and with a worker that is killed."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.listeners import listening
from nin_bench.results import Record, ResultsFolder, load_results
from nin_bench.runner.events import EpochEnded, Event
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions

GRID = """
schema: 1
name: tiny
data: {name: digits, train_size: 200, validation_size: 50}
recipe: {epochs: 4, batch_size: 50}
seeds: 1
models: [{name: mlp, hidden: 8}, {name: mlp, hidden: 4, label: "a/b [c]", recipe: {lr: 1.0e+38}}]
"""


class Followed:
    """A grid's results folder, run with one listener."""

    def __init__(self, tmp_path: Path, name: str) -> None:
        self.path, self.name = tmp_path / "tiny" / "full", name
        self.grid_path = tmp_path / "grid.yaml"
        self.grid_path.write_text(GRID)

    def run(self, then: Callable[[Event], None] = lambda event: None, **options: object) -> None:
        grid = Grid.load(self.grid_path, RegistryCatalog())
        with listening([self.name], self.path) as hand_on:

            def on_event(event: Event) -> None:
                hand_on(event)
                then(event)

            run_grid(grid, ResultsFolder(self.path), RunOptions(**{**OPTIONS, **options}), on_event)

    def records(self) -> list[Record]:
        return load_results(self.path).records


OPTIONS = {"device": "cpu", "workers": 1, "measure": False, "checkpoint_seconds": 0.0}


@pytest.fixture
def followed(tmp_path: Path) -> Callable[[str], Followed]:
    return lambda name: Followed(tmp_path, name)


def once(act: Callable[[], None], epoch: int) -> Callable[[Event], None]:
    """Do something when a cell ends this epoch for the first time."""
    done: list[int] = []

    def then(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.row["epoch"] == epoch and not done:
            done.append(epoch)
            act()

    return then


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def kill_the_worker() -> None:
    for process in multiprocessing.active_children():
        os.kill(process.pid, signal.SIGKILL)


def curve(record: Record, name: str) -> list[tuple[int, float]]:
    """A column of a record's history, epoch by epoch."""
    return [(row.epoch, getattr(row, name)) for row in record.history]
