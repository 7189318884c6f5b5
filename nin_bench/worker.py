"""Train one cell and say what came of it, in whatever process this is called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from nin_bench.attempt import Attempt
from nin_bench.cell import Cell
from nin_bench.environment import device_name, without_folders
from nin_bench.executors import Channel, Slot
from nin_bench.results import Record
from nin_bench.training import Epoch

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


def prepare_process(slot: Slot) -> None:
    """Make a fresh process compute as every worker does. On a CPU that is one thread."""
    if slot.device == "cpu":
        torch.set_num_threads(1)
    # On CUDA convolutions would else compute `fp32` in TF32, unlike dense layers, and not repeat.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True


def run_cell_task(
    channel: Channel, slot: Slot, cell: Cell, data_dir: Path | None, environment: Mapping[str, Any]
) -> CellResult:
    """`run_cell` as an executor's task: epochs are told as they end."""
    prepare_process(slot)
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
    attempt = Attempt(cell, data_dir=data_dir, device=device, should_stop=should_stop)
    predictions = None
    with attempt.failures_noted():
        attempt.prepare()
        while attempt.epochs_left:
            on_epoch(attempt.run_epoch())
        predictions = attempt.evaluate()
    record = make_record(
        cell,
        attempt.outcome,
        started_at=started_at,
        error=attempt.error,
        metrics=attempt.metrics,
        history=attempt.history,
        environment={**(environment or {}), "device": device_name(str(attempt.device))},
    )
    return CellResult(record, predictions)
