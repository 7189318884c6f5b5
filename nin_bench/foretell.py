"""Foretell how long cells take and how much memory, from what their variants were measured to take here.

Arithmetic over cost entries; imports no torch. What was not measured on this machine is not foretold: another
machine's figures say nothing of it.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from nin_bench.cell import Recipe
from nin_bench.results.cost_entry import CostEntry, Predict, Train


@dataclass(frozen=True)
class ImageCounts:
    """Images that a cell goes through."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Forecast:
    """What a cell will take; None where a figure that it needs was not measured."""

    seconds: float | None = None
    """From the start of its process to its record."""
    memory_bytes: int | None = None
    """Of a CPU the whole process; of an accelerator what lies on the device."""


@dataclass(frozen=True)
class RunForecast:
    """What a run of several cells will take."""

    num_workers: int
    num_cells: int
    num_known: int
    """Cells whose time is foretold; `seconds` is of those alone."""
    seconds: float
    """From the start of the first to the end of the last."""
    memory_bytes: int | None
    """The most that the workers hold together, should the largest cells meet; None where no cell's is known."""

    @property
    def num_unknown(self) -> int:
        """Cells without figures."""
        return self.num_cells - self.num_known


def foretell_cell(entry: CostEntry, recipe: Recipe, images: ImageCounts, *, num_workers: int) -> Forecast:
    """Foretell one cell.

    A cell loads its images and builds its network, trains, predicts the validation images after every epoch (and
    the test images, where the recipe has it so), and predicts training and test images at its end.

    Args:
        entry: what this machine measured of the cell's variant.
        recipe: the cell's.
        images: the cell's.
        num_workers: how many cells run at a time. One has the exclusive speed; several have the speed with all
            workers busy, which says nothing of more workers than it was measured with.
    """
    train, predict = (_images_per_second(entry, phase, num_workers) for phase in (entry.train, entry.predict))
    seconds = None
    if train and predict and entry.startup_seconds:
        each_epoch = images.validation + (images.test if recipe.test_every_epoch else 0)
        predicted = recipe.epochs * each_epoch + images.train + images.test
        seconds = entry.startup_seconds.median + recipe.epochs * images.train / train + predicted / predict
    return Forecast(seconds, _memory_bytes(entry))


def foretell_run(forecasts: Iterable[Forecast], num_workers: int) -> RunForecast:
    """Foretell cells that run in this order, each as soon as one of the workers is free."""
    forecasts = list(forecasts)
    seconds = [forecast.seconds for forecast in forecasts if forecast.seconds is not None]
    memory = [forecast.memory_bytes for forecast in forecasts if forecast.memory_bytes is not None]
    return RunForecast(
        num_workers=num_workers,
        num_cells=len(forecasts),
        num_known=len(seconds),
        seconds=makespan(seconds, num_workers),
        memory_bytes=sum(heapq.nlargest(num_workers, memory)) if memory else None,
    )


def makespan(seconds: Iterable[float], num_workers: int) -> float:
    """When the last of some tasks ends that start in this order, each as soon as one of the workers is free.

    >>> makespan([3, 1, 1, 4], num_workers=2)
    6.0
    """
    free_at = [0.0] * num_workers
    for duration in seconds:
        heapq.heapreplace(free_at, free_at[0] + duration)
    return max(free_at)


def _images_per_second(entry: CostEntry, phase: Train | Predict | None, num_workers: int) -> float | None:
    if phase is None:
        return None
    if num_workers == 1:
        return phase.images_per_second.median
    busy = phase.busy_images_per_second
    return busy.median if busy and num_workers <= entry.setting.num_workers else None


def _memory_bytes(entry: CostEntry) -> int | None:
    memory = entry.memory_bytes
    if entry.machine.device != "cpu":
        return memory.train_peak  # the process lies in the host's memory, not in the device's
    return None if memory.train_peak is None or memory.process is None else memory.process + memory.train_peak
