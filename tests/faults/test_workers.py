"""Workers that die, hang, stay or run out of memory: each is its own cell's outcome, and the others train on."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.checkpoint import Checkpoints
from nin_bench.executors import Channel, Slot, workers
from nin_bench.grid import Grid
from nin_bench.results import Record, ResultsFolder
from nin_bench.runner.cell_queue import CellTask
from nin_bench.runner.events import CellStarted, EpochEnded, Event
from nin_bench.runner.messages import Assignment, CellResult
from nin_bench.runner.record import make_record
from nin_bench.runner.run import RunSummary, run_grid
from nin_bench.runner.session import PRELOAD, RunOptions
from tests.faults import stub_cells
from tests.faults.places import STUBS

THREE = STUBS.replace("seeds: 2", "seeds: 1")


class Bad:
    """A task in which one network's cells go wrong, and the others' do not; a worker finds it by its parts."""

    def __init__(self, fault: Callable[..., CellResult], hidden: int = 16) -> None:
        self.fault = fault
        self.hidden = hidden

    def __call__(self, channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
        is_bad = assignment.cell.model.arguments["hidden"] == self.hidden
        return (self.fault if is_bad else stub_cells.train)(channel, slot, assignment)


def run(
    tmp_path: Path,
    fault: Callable[..., CellResult],
    on_event: Callable[[Event], None] = lambda event: None,
    **options: Any,
) -> tuple[RunSummary, dict[int, Record]]:
    """Run three cells, of which the second goes wrong; their records by width."""
    path = tmp_path / "grid.yaml"
    path.write_text(THREE)
    folder = ResultsFolder(tmp_path / "results")
    grid = Grid.load(path, RegistryCatalog(tmp_path))
    summary = run_grid(
        grid,
        folder,
        RunOptions(**{"device": "cpu", "workers": 2, "data_dir": tmp_path, "measure": False, **options}),
        on_event,
        # One forkserver serves a whole test run, and its first user decides what it has imported.
        task=CellTask(Bad(fault), PRELOAD),
    )
    records = (folder.read_record(cell.cell_id) for cell in grid.cells)
    return summary, {record.cell.model.arguments["hidden"]: record for record in records if record}


HUNG_AFTER = 4

FAULTS = {
    "a segmentation fault": (stub_cells.segfault, "its process was killed by SIGSEGV: before the fall"),
    "an exit": (stub_cells.leave, "its process ended with status 3: on my way out"),
    "a kill -9, as by the out-of-memory killer": (
        stub_cells.be_killed,
        "its process was killed by SIGKILL (the system may have run out of memory): more, more",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_worker_that_dies_is_a_crash_with_its_last_words(tmp_path, faults, name):
    fault, error = FAULTS[name]
    summary, records = run(tmp_path, fault, retries=1)
    assert summary.outcomes == {"trained": 2, "crashed": 1}
    assert [attempt.outcome for attempt in records[16].attempts] == ["crashed", "crashed"]
    assert {attempt.error for attempt in records[16].attempts} == {error}
    assert records[8].outcome == records[32].outcome == "trained"
    faults(f"a worker with {name}", 2)


@pytest.mark.parametrize("fault", [stub_cells.hang, stub_cells.hang_deaf_to_sigterm])
def test_a_worker_that_hangs_is_timed_out_and_what_it_told_is_kept(tmp_path, monkeypatch, faults, fault):
    clock = SimpleNamespace(monotonic=time.monotonic)
    monkeypatch.setattr(workers, "time", clock)

    def let_time_pass(event: Event) -> None:
        """No worker has to hang for as long as a slow machine takes to train the others."""
        if isinstance(event, CellStarted):
            clock.monotonic = time.monotonic
        if isinstance(event, EpochEnded) and event.row["epoch"] == HUNG_AFTER:
            clock.monotonic = lambda: time.monotonic() + 7200

    summary, records = run(tmp_path, fault, let_time_pass, workers=1, timeout_seconds=3600.0)
    assert summary.outcomes == {"trained": 2, "timed_out": 1}
    record = records[16]
    assert record.attempts[0].error == "took longer than the limit of 3600 s"
    assert (record.metrics.num_params, record.metrics.num_macs) == (7, 11)
    assert record.metrics.num_steps == 5
    assert record.metrics.test_accuracy is None
    assert [row.epoch for row in record.history] == [1, 2, 3, HUNG_AFTER]
    faults(f"a worker that does {fault.__name__.replace('_', ' ')}", 1)


def save_and_die(channel: Channel, slot: Slot, assignment: Assignment) -> CellResult:
    """Keep more than was told, and die."""
    cell = assignment.cell
    history = [{"epoch": 1, "train_loss": 0.25}, {"epoch": 2, "train_loss": 0.125}]
    record = make_record(
        cell, "interrupted", started_at="", metrics={"num_params": 7, "num_steps": 9}, history=history
    )
    assert assignment.policy.checkpoints is not None
    Checkpoints(assignment.policy.checkpoints, cell).save(record, {})
    os._exit(1)


def test_what_a_checkpoint_knows_of_a_dead_cell_is_recorded(tmp_path, faults):
    _, records = run(tmp_path, save_and_die)
    record = records[16]
    assert record.outcome == "crashed"
    assert (record.metrics.num_params, record.metrics.num_steps) == (7, 9)
    assert [row.train_loss for row in record.history] == [0.25, 0.125]
    faults("a worker that saved and died", 1)


def ask_for_too_much(channel: Channel, slot: Slot, assignment: Assignment) -> Any:
    """A real cell whose batch is more than any memory holds."""
    import torch

    from nin_bench.runner.worker import run_cell_task
    from nin_bench.training.trainer import Trainer

    def step(trainer: Trainer, indices: torch.Tensor) -> tuple[float, int]:
        asked.append(len(indices))
        torch.empty(2**50)
        raise AssertionError("never reached")

    asked: list[int] = []
    Trainer.step = step  # type: ignore[method-assign]
    result = run_cell_task(channel, slot, assignment)
    assert asked == [128], "no smaller batch is tried"
    return result


def test_memory_that_runs_out_is_told_with_what_was_asked(tmp_path, faults):
    summary, records = run(tmp_path, ask_for_too_much, retries=1)
    assert summary.outcomes == {"trained": 2, "out_of_memory": 1}
    record = records[16]
    assert [attempt.outcome for attempt in record.attempts] == ["out_of_memory"] * 2
    assert f"you tried to allocate {4 * 2**50} bytes" in record.attempts[0].error
    assert record.cell.recipe.batch_size == 128
    assert record.metrics.num_params == 64 * 16 + 16 + 16 * 10 + 10
    faults("more memory asked than there is", 2)
