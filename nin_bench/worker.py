"""Train one cell and say what came of it, in whatever process this is called."""

import math
import resource
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from nin_bench.cell import Cell
from nin_bench.cost import count_cost
from nin_bench.data import Dataset, describe_data, load_dataset
from nin_bench.environment import without_folders
from nin_bench.errors import InputError, SpecError
from nin_bench.executors import Channel, Slot
from nin_bench.models import ImageSpec, build_model
from nin_bench.optimization import initialise
from nin_bench.results import Record
from nin_bench.training import (
    Chance,
    DivergedError,
    Epoch,
    Evaluation,
    Images,
    StoppedError,
    Trainer,
    seed_for,
)

METRICS = (
    "test_accuracy", "test_loss", "train_accuracy", "train_loss", "validation_accuracy", "validation_loss",
    "num_params", "num_macs", "train_seconds", "train_images_per_second", "peak_memory_bytes",
    "chance_loss", "chance_accuracy", "escaped", "escape_epoch", "num_dead_maps", "healthy",
    "num_no_prediction", "num_steps", "failed_step",
)  # fmt: skip
"""What a record's metrics hold, null where it is not known."""


@dataclass(frozen=True)
class CellResult:
    """A record, and what the network predicted for every test image (None unless it was trained)."""

    record: Record
    predictions: Mapping[str, npt.NDArray[Any]] | None = None


def now() -> str:
    """The time in UTC, as records keep it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def make_record(
    cell: Cell,
    outcome: str,
    *,
    started_at: str,
    error: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    history: list[Epoch] | None = None,
    environment: Mapping[str, Any] | None = None,
) -> Record:
    """A record of one attempt; what is not given is null, and its error names no folder of this machine."""
    attempt = {
        "outcome": outcome,
        "error": None if error is None else without_folders(error),
        "started_at": started_at,
        "finished_at": now(),
    }
    return {
        "cell_id": cell.cell_id,
        "variant_id": cell.variant_id,
        "label": cell.label,
        "cell": cell.as_dict(),
        "outcome": outcome,
        "attempts": [attempt],
        "metrics": {**dict.fromkeys(METRICS), **(metrics or {})},
        "history": history or [],
        "environment": dict(environment or {}),
    }


def run_cell_task(
    channel: Channel, slot: Slot, cell: Cell, data_dir: Path | None, environment: Mapping[str, Any]
) -> CellResult:
    """`run_cell` as an executor's task: epochs are told as they end. A CPU's worker computes on one thread."""
    if slot.device == "cpu":
        torch.set_num_threads(1)
    # On CUDA convolutions would else compute `fp32` in TF32, unlike dense layers, and not repeat.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    return run_cell(
        cell,
        data_dir=data_dir,
        device=slot.device,
        environment=environment,
        on_epoch=channel.tell,
        should_stop=channel.should_stop,
    )


def run_cell(
    cell: Cell,
    *,
    data_dir: Path | None = None,
    device: str = "cpu",
    environment: Mapping[str, Any] | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> CellResult:
    """Train a cell to its end and evaluate it; the test images are read then, once.

    Raises nothing that a cell can cause: whatever goes wrong is the record's outcome, with its cause.

    Args:
        cell: what to train.
        data_dir: where datasets lie; None looks in the usual places.
        device: a torch device.
        environment: kept in the record, with the device added.
        on_epoch: is told each row of the history when its epoch ends.
        should_stop: is asked before every step of training and every batch of an evaluation.
    """
    started_at = now()
    run = _Run(cell, data_dir, torch.device(device), on_epoch, should_stop)
    outcome, error, predictions = "trained", None, None
    try:
        predictions = run.train_and_evaluate()
    except StoppedError:
        outcome, error = "interrupted", "stopped before its end"
    except DivergedError as divergence:
        outcome, error = "diverged", str(divergence)
        run.metrics["failed_step"] = divergence.step
    except SpecError as refusal:
        outcome, error = "invalid", str(refusal)
    except Exception as failure:
        outcome, error = ("out_of_memory" if _is_out_of_memory(failure) else "crashed"), _told(failure)
    run.note_progress()
    record = make_record(
        cell,
        outcome,
        started_at=started_at,
        error=error,
        metrics=run.metrics,
        history=run.history,
        environment={**(environment or {}), "device": _device_name(run.device)},
    )
    return CellResult(record, predictions)


class _Run:
    """A cell under way: what is known of it is in `metrics` at any moment."""

    def __init__(
        self,
        cell: Cell,
        data_dir: Path | None,
        device: torch.device,
        on_epoch: Callable[[Epoch], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.cell = cell
        self.data_dir = data_dir
        self.device = device
        self.on_epoch = on_epoch
        self.should_stop = should_stop
        self.metrics: dict[str, Any] = {}
        self.trainer: Trainer | None = None
        self.test: Images | None = None

    @property
    def history(self) -> list[Epoch]:
        return self.trainer.progress.history if self.trainer else []

    def train_and_evaluate(self) -> Mapping[str, npt.NDArray[Any]]:
        cell, metrics = self.cell, self.metrics
        image, dataset = self._data()
        count = count_cost(cell.model.name, image, **cell.model.arguments)
        metrics["num_params"], metrics["num_macs"] = count.num_params.total, count.num_macs.total

        batches = dataset.batches(self.device)
        train, validation = (
            Images(batches, indices)
            for indices in dataset.split(cell.data.train_size, cell.data.validation_size or 0, cell.seed)
        )
        chance = Chance.of(dataset.labels[train.indices])
        metrics["chance_loss"], metrics["chance_accuracy"] = chance.loss, chance.accuracy

        torch.manual_seed(seed_for(cell.seed, "init"))
        model = build_model(cell.model.name, image, **cell.model.arguments)
        initialise(model, cell.recipe)
        model = model.to(self.device).to(memory_format=torch.channels_last)
        trainer = Trainer(model, cell.recipe, train, seed=cell.seed, chance_loss=chance.loss)
        self.trainer = trainer
        for _ in range(cell.recipe.epochs):
            row = trainer.run_epoch(self.should_stop)
            if len(validation):
                row |= _named("validation", trainer.evaluate(validation, self.should_stop))
            if cell.recipe.test_every_epoch:
                row |= _named("test", trainer.evaluate(self._test_images(dataset), self.should_stop))
            self.on_epoch(row)

        on_train = trainer.evaluate(train, self.should_stop)
        if not math.isfinite(on_train.loss):  # the very last step did it, and no other noticed
            raise DivergedError(trainer.progress.num_steps, on_train.loss)
        on_test = trainer.evaluate(self._test_images(dataset), self.should_stop)
        metrics |= _named("train", on_train) | _named("test", on_test)
        metrics |= {
            "num_dead_maps": on_train.num_dead_maps,
            "num_no_prediction": on_test.num_no_prediction,
            "healthy": _healthy(trainer.progress.escaped, on_train.num_dead_maps),
        }
        if len(validation):
            metrics |= {key: self.history[-1][key] for key in ("validation_loss", "validation_accuracy")}
        return on_test.as_arrays()

    def _data(self) -> tuple[ImageSpec, Dataset]:
        """The images; a folder that is gone today may be back tomorrow, so its refusal is not final."""
        try:
            return describe_data(self.cell.data, self.data_dir), load_dataset(self.cell.data, self.data_dir)
        except SpecError as refusal:
            raise InputError(str(refusal)) from refusal

    def note_progress(self) -> None:
        """Add what the training so far amounts to, however it ended."""
        self.metrics["peak_memory_bytes"] = _peak_memory_bytes(self.device)
        if self.trainer is None:
            return
        progress = self.trainer.progress
        self.metrics |= {
            "num_steps": progress.num_steps,
            "train_seconds": progress.train_seconds,
            "train_images_per_second": progress.images_per_second,
            "escaped": progress.escaped,
            "escape_epoch": progress.escape_epoch,
        }

    def _test_images(self, dataset: Dataset) -> Images:
        """The test images, read when they are first asked for."""
        if self.test is None:
            batches = dataset.test_batches(self.device)
            self.test = Images(batches, torch.arange(len(batches)))
        return self.test


def _healthy(escaped: bool | None, num_dead_maps: int | None) -> bool | None:
    """Whether a network escaped and lost none of its class maps; unknown where its escape is."""
    return None if escaped is None else escaped and not num_dead_maps


def _named(split: str, evaluation: Evaluation) -> dict[str, float | None]:
    """Loss and accuracy under the split's name; a loss that is not finite is not known."""
    loss = evaluation.loss if math.isfinite(evaluation.loss) else None
    return {f"{split}_loss": loss, f"{split}_accuracy": evaluation.accuracy}


def _is_out_of_memory(failure: Exception) -> bool:
    """Whether memory ran out; the CPU's allocator, CUDA and its libraries may say so only in an error's text."""
    return isinstance(failure, MemoryError | torch.OutOfMemoryError) or (
        isinstance(failure, RuntimeError)
        and any(words in str(failure) for words in ("can't allocate memory", "out of memory", "ALLOC_FAILED"))
    )


def _told(failure: Exception) -> str:
    """The error in one line, and the place that raised it."""
    last = traceback.extract_tb(failure.__traceback__)[-1]
    text = " ".join(str(failure).split())
    return f"{type(failure).__name__}: {text} (in {last.name}, {Path(last.filename).name}:{last.lineno})"


def _peak_memory_bytes(device: torch.device) -> int | None:
    """The most that this process has held: the allocator's on an accelerator, resident memory on a CPU."""
    if device.type != "cpu":
        # Not every backend counts, and one that failed to start cannot.
        with suppress(RuntimeError, NotImplementedError, AssertionError):
            return int(torch.accelerator.max_memory_allocated(device))
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _device_name(device: torch.device) -> str:
    if device.type == "cuda" and torch.cuda.is_available():
        return torch.cuda.get_device_name(device)
    return device.type
