"""One trial in its worker: a network for each of the search's seeds, trained side by side, epoch by epoch.

Only training and validation images are read: a training is never asked to evaluate.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from nin_bench.cell import Cell
from nin_bench.environment import without_folders
from nin_bench.executors import Channel, Slot
from nin_bench.runner.cell_training import CellTraining
from nin_bench.runner.worker import data_dir_at, prepare_process
from nin_bench.search.events import TrialEpoch, TrialResult

T = TypeVar("T")

WORST_LOSS = 10.0
"""What a network that does not train is told as, in multiples of a constant guess's loss: far beyond any real one,
yet finite, so that every sampler can go on from it."""

_KEPT = ("failed", "escaped", "escape_epoch", "num_steps")
"""Metrics of a network that a study keeps."""

_LOST = frozenset({"crashed", "out_of_memory", "interrupted", "invalid"})
"""Outcomes that say nothing of the values tried."""


def run_trial_task(
    channel: Channel, slot: Slot, cells: Sequence[Cell], objective: str, asks: bool, data_dir: Path | None
) -> TrialResult:
    """Train a trial's cells side by side, as an executor's task.

    After each epoch the channel is sent a `TrialEpoch`; with `asks`, all but the last wait for the word to go on.
    """
    prepare_process(slot)
    trainings = [
        CellTraining(
            cell, data_dir=data_dir_at(slot, data_dir), device=slot.device, should_stop=channel.should_stop
        )
        for cell in cells
    ]
    trial = _Trial(trainings, objective)
    trial.each(CellTraining.prepare)
    num_epochs = cells[0].recipe.epochs
    for epoch in range(1, num_epochs + 1):
        rows = trial.each(CellTraining.run_epoch)
        if trial.error or not rows:
            break
        message = TrialEpoch(epoch, trial.value(at_end=False), rows)
        if not asks or epoch == num_epochs:
            channel.send(message)
        elif not channel.ask(message) and not channel.should_stop():
            return trial.result(pruned=True)
    trial.each(CellTraining.evaluate_on_train)
    return trial.result(pruned=False)


class _Trial:
    def __init__(self, trainings: Sequence[CellTraining], objective: str) -> None:
        self.trainings = trainings
        self.objective = objective
        self.seconds = 0.0

    @property
    def error(self) -> str | None:
        """Why the trial cannot go on, whatever its other networks do."""
        for training in self.trainings:
            if training.outcome in _LOST:
                return f"seed {training.cell.seed}: {training.outcome}: {without_folders(training.error or '')}"
        return None

    def each(self, work: Callable[[CellTraining], T]) -> dict[int, T]:
        """Let every network that still trains do some work, and note its time; what came of it, by seed."""
        done = {}
        for training in self.trainings:
            if self.error or training.outcome != "trained":
                continue
            started = time.perf_counter()
            with training.failures_noted():
                done[training.cell.seed] = work(training)
            self.seconds += time.perf_counter() - started
        return done

    def value(self, *, at_end: bool) -> float:
        """The objective, averaged over the seeds; a failed network counts as the worst."""
        return fmean(self._value_of(training, at_end=at_end) for training in self.trainings)

    def _value_of(self, training: CellTraining, *, at_end: bool) -> float:
        is_loss = self.objective == "validation_loss"
        worst = WORST_LOSS * training.metrics["chance_loss"] if is_loss else 0.0
        if training.outcome != "trained" or (at_end and training.metrics["failed"]):
            return worst
        value: float | None = training.history[-1][self.objective]
        return worst if value is None else min(value, worst) if is_loss else value

    def result(self, *, pruned: bool) -> TrialResult:
        lost = self.error is not None
        return TrialResult(
            value=None if lost or pruned else self.value(at_end=True),
            pruned=pruned,
            error=self.error,
            epochs=sum(len(training.history) for training in self.trainings),
            device_seconds=self.seconds,
            runs=[
                {
                    "seed": training.cell.seed,
                    "outcome": training.outcome,
                    "value": None if lost else self._value_of(training, at_end=not pruned),
                    **{key: training.metrics.get(key) for key in _KEPT},
                    "history": training.history,
                }
                for training in self.trainings
            ],
        )
