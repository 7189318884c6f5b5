import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from nin_bench.cell import Cell, DataSpec
from nin_bench.data.dataset import Dataset
from nin_bench.environment import describe_torch
from nin_bench.errors import InputError
from nin_bench.executors import Slot
from nin_bench.files import to_json
from nin_bench.metrics import METRICS
from nin_bench.models.code import code_digest
from nin_bench.results import Record
from nin_bench.results.predictions import unpack_predictions
from nin_bench.results.records import Epoch
from nin_bench.runner.messages import Assignment, CellMessage, CellReady, EpochDone
from nin_bench.runner.record import make_record
from nin_bench.runner.worker import prepare_process, run_cell, run_cell_task
from nin_bench.training.trainer import Trainer
from tests.cells import make_cell, repeated

NUM_TEST = 359
"""Of the 1,797 digits; the other 1,438 are for training, 200 of them for validation unless told otherwise."""


def rows_of(messages: list[CellMessage]) -> tuple[Epoch, ...]:
    """The epochs that were told."""
    return tuple(Epoch.model_validate(one.row) for one in messages if isinstance(one, EpochDone))


def test_a_record_in_full():
    cell, told = make_cell(hidden=32), []
    result = run_cell(Assignment(cell, environment={"workers": 2}), on_message=told.append)
    record = result.record
    assert record.cell_id == cell.cell_id
    assert record.variant_id == cell.variant_id
    assert record.label == "mlp label"
    assert record.cell.as_dict() == {
        "model": {"name": "mlp", "revision": 1, "hidden": 32},
        "data": cell.data.model_dump(),
        "recipe": cell.recipe.model_dump(),
        "seed": 0,
    }
    assert (cell.data.resolution, cell.data.validation_size) == (8, 200)
    (attempt,) = record.attempts
    assert (attempt.outcome, attempt.error) == ("trained", None)
    assert attempt.started_at <= attempt.finished_at
    assert record.environment == {"workers": 2, "device": "cpu", "torch": describe_torch("cpu")}
    assert record.code_digest == code_digest("mlp")
    assert [row.epoch for row in record.history] == [1, 2]
    assert set(record.history[0].known()) == {
        "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr",
        "seconds",
    }  # fmt: skip
    assert rows_of(told) == record.history
    assert Record.parse(json.loads(to_json(record.model_dump()))) == record


def test_what_a_trained_cell_measured():
    metrics = run_cell(Assignment(make_cell(hidden=32))).record.metrics
    assert metrics.num_params == (64 * 32 + 32) + (32 * 10 + 10) == 2410
    assert metrics.num_macs == 64 * 32 + 32 * 10 == 2368
    assert metrics.num_steps == 2 * 20  # 1,238 images in batches of 64, the last one smaller
    assert metrics.test_accuracy > 0.8
    assert 0 < metrics.test_loss < 1
    assert metrics.observed_images_per_second == pytest.approx(2 * 1238 / metrics.train_seconds)
    assert metrics.peak_memory_bytes > 10_000_000
    assert (metrics.escaped, metrics.failed) == (True, False)
    assert metrics.num_dead_maps is metrics.dead_maps is None  # it has no class maps
    assert metrics.chance_loss == pytest.approx(np.log(10), abs=1e-3)
    assert metrics.chance_accuracy == pytest.approx(0.1, abs=0.01)
    assert metrics.chance_loss == pytest.approx(math.log(10), abs=1e-3)  # the digits are nearly balanced
    assert 0.1 <= metrics.chance_accuracy < 0.11
    assert 1 <= metrics.escape_epoch < 2
    assert (metrics.num_tied, metrics.lost_classes, metrics.num_lost_classes) == (0, (), 0)
    assert metrics.failed_step is None


def test_a_network_is_judged_without_label_smoothing():
    recipe = {"label_smoothing": 0.9, "optimizer": "adam", "momentum": 0.0, "lr": 0.01, "epochs": 4}
    metrics = run_cell(Assignment(make_cell(hidden=32, recipe=recipe))).record.metrics
    # The loss that it is trained by cannot fall below the entropy of the smoothed labels.
    lowest = -(0.19 * math.log(0.19) + 9 * 0.09 * math.log(0.09))
    assert lowest > 0.95 * metrics.chance_loss
    assert (metrics.escaped, metrics.failed) == (True, False)
    assert metrics.train_loss < 0.95 * metrics.chance_loss
    assert metrics.test_accuracy > 0.8


def test_a_trained_cell_records_every_metric_that_records_hold():
    metrics = run_cell(Assignment(make_cell(hidden=32))).record.metrics
    recorded = {metric.record for metric in METRICS.values() if metric.record}
    assert [name for name in recorded if getattr(metrics, name) is None] == []


def test_a_metric_that_no_record_holds_is_no_part_of_one():
    with pytest.raises(ValidationError, match="test_kappa"):
        make_record(make_cell(), "trained", started_at="", metrics={"test_kappa": 0.5})


def test_metrics_follow_from_the_predictions_and_the_history():
    result = run_cell(Assignment(make_cell(hidden=32)))
    assert result.predictions is not None
    metrics, predictions = result.record.metrics, unpack_predictions(result.predictions, result.record.cell_id)
    assert {name: (array.dtype, array.shape) for name, array in predictions.items()} == {
        "predicted": (np.int16, (NUM_TEST,)),
        "credit": (np.float32, (NUM_TEST,)),
        "probability": (np.float32, (NUM_TEST,)),
        "label": (np.int16, (NUM_TEST,)),
    }
    right = predictions["predicted"] == predictions["label"]
    assert metrics.test_accuracy == np.mean(right * predictions["credit"], dtype=float)
    assert sum(count for true, guess, count in metrics.confusion if true == guess) == right.sum()
    assert sum(count for _, _, count in metrics.confusion) == NUM_TEST
    assert ((predictions["probability"] > 0.1) & (predictions["probability"] <= 1)).all()
    assert metrics.validation_accuracy == result.record.history[-1].validation_accuracy
    assert metrics.validation_loss == result.record.history[-1].validation_loss


def test_a_cell_repeats_but_for_what_time_and_memory_say():
    first, second = (run_cell(Assignment(make_cell("nin_mnist", width=0.25))).record for _ in range(2))

    assert repeated(first.metrics) == repeated(second.metrics)
    assert [repeated(row) for row in first.history] == [repeated(row) for row in second.history]


@pytest.fixture
def reads_of_test(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many epochs had ended, at each reading of the test images."""
    reads: list[int] = []
    load_test, run_epoch = Dataset.load_test, Trainer.run_epoch
    epochs = 0

    def counted_load(dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
        reads.append(epochs)
        return load_test(dataset)

    def counted_epoch(trainer: Trainer, *arguments: Any, **options: Any) -> dict[str, float]:
        nonlocal epochs
        row = run_epoch(trainer, *arguments, **options)
        epochs += 1
        return row

    monkeypatch.setattr(Dataset, "load_test", counted_load)
    monkeypatch.setattr(Trainer, "run_epoch", counted_epoch)
    return reads


def test_the_test_images_are_read_once_at_the_end(reads_of_test):
    record = run_cell(Assignment(make_cell())).record
    assert reads_of_test == [2]
    assert all(row.test_accuracy is None for row in record.history)


def test_the_diagnostic_sees_the_test_images_after_every_epoch_and_reads_them_once(reads_of_test):
    record = run_cell(Assignment(make_cell(recipe={"test_every_epoch": True}))).record
    assert reads_of_test == [0]
    assert len(record.history) == 2
    assert record.history[-1].test_accuracy == record.metrics.test_accuracy
    assert record.history[0].test_accuracy != record.metrics.test_accuracy


def test_a_cell_that_fails_reads_no_test_images(reads_of_test):
    run_cell(Assignment(make_cell(recipe={"lr": 1e9})))
    assert reads_of_test == []


def test_without_validation_images_their_metrics_are_null():
    record = run_cell(Assignment(make_cell(data={"validation_size": 0}))).record
    assert record.outcome == "trained"
    assert record.metrics.validation_accuracy is None
    assert record.metrics.validation_loss is None
    assert all(row.validation_accuracy is None for row in record.history)


def test_a_run_too_short_for_a_running_loss_may_have_failed_and_has_not_been_seen_to_escape():
    metrics = run_cell(Assignment(make_cell("nin_mnist", recipe={"batch_size": 400}, width=0.25))).record.metrics
    assert metrics.num_steps == 8
    assert (metrics.escaped, metrics.escape_epoch) == (None, None)
    assert metrics.failed is (metrics.train_loss >= 0.95 * metrics.chance_loss)
    assert metrics.num_dead_maps is not None


# Outcomes


def failed(result_of: Cell, outcome: str, data_dir: Path | None = None, **options: object) -> Record:
    """The record of a cell that ended so: its metrics are whole, strict JSON and null where nothing is known."""
    result = run_cell(Assignment(result_of, data_dir), **options)
    record = result.record
    assert (record.outcome, result.predictions) == (outcome, None)
    assert record.attempts[-1].outcome == outcome
    assert record.metrics.test_accuracy is None
    assert record.metrics.failed is (True if outcome == "diverged" else None)
    assert Record.parse(json.loads(to_json(record.model_dump()))) == record
    return record


def test_a_cell_that_diverges_says_at_which_step():
    record = failed(make_cell(recipe={"lr": 1e9}), "diverged")
    step = record.metrics.failed_step
    assert record.attempts[0].error.endswith(f"at step {step}")
    assert record.metrics.num_steps == step - 1
    assert record.metrics.num_params == 19_210
    assert record.history == ()


def test_weights_that_the_last_step_broke_are_a_divergence_too(monkeypatch):
    step = Trainer.step

    def breaking(trainer: Trainer, indices: torch.Tensor) -> torch.Tensor:
        told = step(trainer, indices)
        if trainer.progress.num_steps == 19:
            with torch.no_grad():
                next(trainer.model.parameters()).fill_(torch.nan)
        return told

    monkeypatch.setattr(Trainer, "step", breaking)
    record = failed(make_cell(recipe={"epochs": 1}), "diverged")
    assert record.metrics.failed_step == record.metrics.num_steps == 20
    assert record.history[0].validation_loss is None


def test_a_network_that_collapsed_is_trained_and_failed_at_chance_level():
    # One huge step, then every map is dead behind the last ReLU and nothing moves any more.
    cell = make_cell("nin_mnist", recipe={"lr": 1e5, "momentum": 0.0}, width=0.1, dropout=0.0)
    record = run_cell(Assignment(cell)).record
    assert record.outcome == "trained"
    metrics = record.metrics
    assert (metrics.escaped, metrics.escape_epoch, metrics.failed) == (False, None, True)
    assert metrics.num_dead_maps == 10
    assert metrics.dead_maps == (*range(10),)
    assert all(row.dead_maps == (*range(10),) for row in record.history)
    assert (metrics.num_tied, metrics.confusion) == (NUM_TEST, ())
    assert metrics.lost_classes == (*range(10),)
    for name in ("test_accuracy", "test_balanced_accuracy", "train_accuracy"):
        assert getattr(metrics, name) == pytest.approx(0.1)
    assert metrics.test_top5_accuracy == pytest.approx(0.5)
    assert metrics.test_calibration_error == pytest.approx(0.0, abs=1e-6)
    assert record.history[-1].train_accuracy == pytest.approx(0.1)
    assert metrics.test_loss == pytest.approx(np.log(10))


def test_a_network_that_cannot_be_built_is_invalid():
    record = failed(make_cell("lenet"), "invalid")
    assert record.attempts[0].error == "resolution: 8 is too small for these layers; use 12 or more"
    assert record.metrics.num_params is None


def test_micro_batches_with_batch_normalisation_are_invalid():
    cell = make_cell("lenet", data={"resolution": 12}, recipe={"micro_batch": 8}, batch_norm=True)
    assert failed(cell, "invalid").attempts[0].error.startswith("micro_batch: 8 does not go with batch norm")


def raising(failure: Exception) -> Callable[..., None]:
    def fail(*arguments: object) -> None:
        raise failure

    return fail


@pytest.mark.parametrize(
    "failure",
    [
        MemoryError(),
        torch.OutOfMemoryError("Tried to allocate 20.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 80000000000 bytes."),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_memory_that_ran_out_is_its_own_outcome(monkeypatch, failure):
    monkeypatch.setattr(Trainer, "step", raising(failure))
    record = failed(make_cell(), "out_of_memory")
    assert record.attempts[0].error.startswith(type(failure).__name__)


def test_what_torch_says_when_memory_runs_out_is_understood(monkeypatch):
    monkeypatch.setattr(Trainer, "step", lambda *_: torch.empty(2**50))
    failed(make_cell(), "out_of_memory")


def test_any_other_failure_is_a_crash_told_in_one_line_without_folders(monkeypatch):
    monkeypatch.setattr(Trainer, "step", raising(OSError(2, "No such\nfile", "/home/somebody/data/x.gz")))
    record = failed(make_cell(), "crashed")
    error = record.attempts[0].error
    assert error.startswith("FileNotFoundError: [Errno 2] No such file: 'x.gz' (in fail, test_worker.py:")
    assert record.metrics.num_steps == 0
    assert record.metrics.observed_images_per_second is None


def test_damaged_data_is_a_crash_since_a_later_try_may_find_it_mended(monkeypatch):
    monkeypatch.setattr(Dataset, "load_test", raising(InputError("/data/t10k.gz: its MD5 is 0, not 1")))
    record = failed(make_cell(), "crashed")
    assert record.attempts[0].error.startswith("InputError: t10k.gz: its MD5 is 0, not 1 (in ")
    assert len(record.history) == 2


def test_a_cell_that_is_stopped_keeps_what_it_has():
    asked = 0

    def after_thirty() -> bool:
        nonlocal asked
        asked += 1
        return asked > 30

    record = failed(make_cell(recipe={"epochs": 5}), "interrupted", should_stop=after_thirty)
    assert record.attempts[0].error == "stopped before its end"
    assert len(record.history) == 1
    # Twenty steps and the one batch of validation images, then nine steps more.
    assert record.metrics.num_steps == 29


def test_a_stop_ends_an_evaluation_too():
    told: list[CellMessage] = []
    record = failed(
        make_cell(recipe={"epochs": 1}), "interrupted", on_message=told.append, should_stop=lambda: len(told) == 2
    )
    assert len(record.history) == len(rows_of(told)) == 1


def test_a_cell_tells_what_is_known_of_it_when_it_is_ready_and_after_every_epoch():
    told: list[CellMessage] = []
    run_cell(Assignment(make_cell(hidden=32)), on_message=told.append)
    ready, first, second = told
    assert isinstance(ready, CellReady)
    assert (ready.history, ready.is_resumed, ready.notes) == ([], False, [])
    assert (ready.metrics["num_params"], ready.metrics["num_steps"]) == (2410, 0)
    assert (first.metrics["num_steps"], second.metrics["num_steps"]) == (20, 40)
    assert first.metrics["num_macs"] == 2368


def test_an_errors_folders_are_kept_out_of_every_record():
    record = make_record(
        make_cell(), "crashed", started_at="", error='its process ended\n  File "/usr/lib/python3/x.py", line 3'
    )
    assert record.attempts[0].error == 'its process ended\n  File "x.py", line 3'


# As an executor's task


class Recorder:
    """A channel's worker end, without a pipe."""

    def __init__(self) -> None:
        self.messages: list[CellMessage] = []

    def send(self, message: CellMessage) -> None:
        self.messages.append(message)

    def ask(self, content: object) -> None:
        raise AssertionError("on its own machine a cell asks nothing")

    def should_stop(self) -> bool:
        return False


def test_as_a_task_a_cell_tells_its_epochs_and_computes_on_one_thread():
    before, channel = torch.get_num_threads(), Recorder()
    torch.set_num_threads(2)
    try:
        result = run_cell_task(channel, Slot("cpu"), Assignment(make_cell(), environment={"cores": 2}))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert rows_of(channel.messages) == result.record.history
    assert (result.record.environment["cores"], result.record.environment["device"]) == (2, "cpu")
    assert result.record.environment["torch"]["num_threads"] == 1


def test_the_data_directory_is_handed_on(tmp_path: Path):
    cell = make_cell(data={"resolution": 8}).model_copy(
        update={"data": DataSpec(name="image_folder", folder="none", resolution=8, validation_size=0)}
    )
    # Not `invalid`, which is final: the folder may be back tomorrow.
    error = failed(cell, "crashed", data_dir=tmp_path).attempts[0].error
    assert "none" in error
    assert str(tmp_path) not in error


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_an_accelerator_a_cell_repeats_bit_for_bit(precision):
    device = str(torch.accelerator.current_accelerator())
    prepare_process(Slot(device))
    cell = make_cell("nin_mnist", width=0.25, recipe={"precision": precision, "augmentation": "crop_flip"})
    first, second = (run_cell(Assignment(cell), device) for _ in range(2))
    assert first.record.outcome == "trained"
    assert first.record.lasting() == second.record.lasting()
    assert first.predictions == second.predictions is not None
