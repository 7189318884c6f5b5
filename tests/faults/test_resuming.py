"""A cell that goes on from a checkpoint is bit for bit the one that was never stopped."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from torch import nn

from nin_bench.cell import Cell
from nin_bench.checkpoint import Checkpoints
from nin_bench.models import ImageSpec, register_model
from nin_bench.models.registry import About
from nin_bench.plugins import registered
from nin_bench.results.records import Epoch
from nin_bench.runner.messages import Assignment, CellMessage, CellReady, CellResult, CheckpointPolicy
from nin_bench.runner.worker import run_cell
from tests.cells import make_cell, repeated
from tests.faults.scale import scaled

SMALL = {"train_size": 60, "validation_size": 20}
"""Five steps an epoch in batches of 13, the last of 8."""
EPOCHS = {"epochs": 2, "batch_size": 13}

CELLS = {
    "momentum": make_cell("mlp", hidden=8, data=SMALL, recipe=EPOCHS),
    "adam": make_cell(
        "nin_mnist", width=0.1, data=SMALL,
        recipe={**EPOCHS, "optimizer": "adam", "momentum": 0.0, "lr": 0.003, "augmentation": "crop_flip"},
    ),
    "adamw-bf16": make_cell(
        "nin_mnist", width=0.1, data=SMALL,
        recipe={**EPOCHS, "optimizer": "adamw", "momentum": 0.0, "lr": 0.003, "precision": "bf16"},
    ),
    "batch-norm": make_cell(
        "lenet", batch_norm=True, data={**SMALL, "resolution": 12},
        recipe={**EPOCHS, "schedule": "one_cycle", "label_smoothing": 0.1, "nesterov": True},
    ),
    "micro-batches": make_cell(
        "nin_mnist", width=0.1, pointwise=1, data=SMALL,
        recipe={**EPOCHS, "schedule": "cosine", "warmup_epochs": 0.5, "micro_batch": 5, "test_every_epoch": True},
    ),
    "blended-mean": make_cell(
        "nin_mnist", width=0.1, pointwise=1, data=SMALL,
        recipe={
            **EPOCHS, "optimizer": "nadam", "momentum": 0.0, "lr": 0.003, "ema": 0.8, "clip_norm": 0.5,
            "mixup": 0.4, "cutmix": 1.0, "random_erasing": 0.5, "rand_augment": 2, "augmentation": "flip",
            "micro_batch": "auto",
        },
    ),
    "scaled-loss": make_cell(
        "lenet", batch_norm=True, data={**SMALL, "resolution": 12},
        recipe={
            **EPOCHS, "optimizer": "rmsprop", "lr": 0.003, "ema": 0.5, "precision": "fp16",
            "early_stop": "validation_loss", "patience": 2,
        },
    ),
}  # fmt: skip
"""All that could have a state: momenta, running statistics, dropout, augmentation, schedules, micro-batches,
running means, the scale of a loss."""


class Place:
    """A folder in which a cell is run, stopped and run again."""

    def __init__(self, folder: Path, cell: Cell) -> None:
        self.folder = folder
        self.checkpoints = Checkpoints(folder / "checkpoints", cell)
        self.cell = cell

    def run(self, should_stop: Callable[[], bool] = lambda: False, seconds: float = 60.0) -> CellResult:
        self.messages: list[CellMessage] = []
        policy = CheckpointPolicy(self.checkpoints.folder, seconds, self.folder / "weights.pt")
        assignment = Assignment(self.cell, policy=policy)
        return run_cell(assignment, should_stop=should_stop, on_message=self.messages.append)

    def weights(self) -> dict[str, torch.Tensor]:
        return torch.load(self.folder / "weights.pt", weights_only=True)


def same(ours: tuple[Place, CellResult], theirs: tuple[Place, CellResult]) -> None:
    """Weights, metrics, history and predictions are those of the other, bit for bit."""
    (place, result), (other, expected) = ours, theirs
    assert result.record.outcome == expected.record.outcome == "trained"
    assert repeated(result.record.metrics) == repeated(expected.record.metrics)
    history, expected_history = result.record.history, expected.record.history
    assert [repeated(row) for row in history] == [repeated(row) for row in expected_history]
    weights, expected_weights = place.weights(), other.weights()
    assert weights.keys() == expected_weights.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected_weights.items())
    assert result.predictions == expected.predictions is not None


def stop_at(moment: int) -> Callable[[], bool]:
    """Says no so many times, and then yes."""
    count = itertools.count()
    return lambda: next(count) >= moment


@pytest.fixture(scope="module", params=CELLS)
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    place = Place(tmp_path_factory.mktemp("whole"), CELLS[request.param])
    return place, place.run()


def num_moments(place: Place) -> int:
    """How often a cell asks whether it should stop: before every step and every batch of an evaluation."""
    count = itertools.count()
    place.run(lambda: next(count) < 0)
    return next(count)


def test_it_goes_on_from_wherever_it_was_stopped(uninterrupted, tmp_path, faults):
    whole, expected = uninterrupted
    total = num_moments(Place(tmp_path / "count", whole.cell))
    assert total >= 10 + 2 + 3  # steps, validations, and the final evaluation
    moments = range(0, total, scaled(5, 1))
    for moment in moments:
        place = Place(tmp_path / str(moment), whole.cell)
        stopped = place.run(stop_at(moment)).record
        assert stopped.outcome == "interrupted"
        assert place.checkpoints.paths()
        same((place, place.run()), (whole, expected))
        ready = place.messages[0]
        assert isinstance(ready, CellReady)
        assert ready.metrics["num_steps"] == stopped.metrics.num_steps
        assert [repeated(Epoch.model_validate(row)) for row in ready.history] == [
            repeated(row) for row in stopped.history
        ]
        assert ready.notes == []
    faults("a cell stopped at a step or a batch of an evaluation, and resumed", len(moments))


def test_it_may_be_stopped_again_and_again(uninterrupted, tmp_path, faults):
    """With one step an attempt, every step follows a restored state."""
    whole, expected = uninterrupted
    place = Place(tmp_path, whole.cell)
    # What is said of an epoch's end is said at once: one batch of validation images, maybe two of test images.
    num_steps = max(scaled(4, 1), 3 if whole.cell.recipe.test_every_epoch else 1)
    count = 1
    while len(place.run(stop_at(num_steps)).record.history) < 2:
        count += 1
        assert count < 20
    same((place, place.run()), (whole, expected))
    assert count >= 10 // num_steps
    faults("a cell resumed, and resumed again", count)


def test_it_goes_on_after_every_epoch(uninterrupted, tmp_path, faults):
    whole, expected = uninterrupted
    place = Place(tmp_path, whole.cell)
    for epoch in range(2):
        result = place.run(lambda epoch=epoch: len(place.messages) == 1 + (epoch == 0 or 1), seconds=0.0)
        assert len(result.record.history) == epoch + 1
    same((place, place.run()), (whole, expected))
    faults("a cell resumed after every epoch", 2)


def test_times_add_up_over_attempts(tmp_path):
    place = Place(tmp_path, CELLS["momentum"])
    stopped = place.run(stop_at(3)).record.metrics
    record = place.run().record
    metrics = record.metrics
    assert metrics.train_seconds == sum(row.seconds for row in record.history)
    assert metrics.train_seconds > stopped.train_seconds > 0
    assert metrics.observed_images_per_second == pytest.approx(2 * 60 / metrics.train_seconds)
    assert metrics.peak_memory_bytes >= stopped.peak_memory_bytes


# Damage


def ends_as_if_nothing_had_been(place: Place, expected: tuple[Place, CellResult]) -> CellReady:
    same((place, place.run()), expected)
    ready = place.messages[0]
    assert isinstance(ready, CellReady)
    return ready


@pytest.fixture(scope="module")
def resumable(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[tuple[str, bytes]], tuple[Any, Any]]:
    """A cell with two checkpoints, their content, and what comes of it when nothing happens."""
    cell = CELLS["momentum"]
    whole = Place(tmp_path_factory.mktemp("whole"), cell)
    place = Place(tmp_path_factory.mktemp("stopped"), cell)
    expected = whole, whole.run()
    place.run(stop_at(3))
    place.run(stop_at(2))
    files = [(path.name, path.read_bytes()) for path in place.checkpoints.paths()]
    assert [name.split(".")[1] for name, _ in files] == ["5", "3"]
    return cell, files, expected


@pytest.fixture
def place(resumable, tmp_path: Path) -> Place:
    made = Place(tmp_path, resumable[0])
    made.checkpoints.folder.mkdir()
    return made


def put_back(place: Place, files: list[tuple[str, bytes]]) -> None:
    for path in place.checkpoints.folder.iterdir():
        path.unlink()
    for name, content in files:
        (place.checkpoints.folder / name).write_bytes(content)


def test_a_torn_checkpoint_costs_what_came_after_the_one_before(resumable, place, faults):
    _, files, expected = resumable
    (newest, content), older = files
    lengths = [len(content) * part // scaled(5, 40) for part in range(scaled(5, 40))]
    for length in lengths:
        put_back(place, [(newest, content[:length]), older])
        ready = ends_as_if_nothing_had_been(place, expected)
        assert ready.metrics["num_steps"] == 3
        (note,) = ready.notes
        assert note.startswith(f"checkpoints/{newest} is not whole: ")
        assert (place.checkpoints.folder / f"{newest}.corrupt").stat().st_size == length
    assert lengths[0] == 0
    faults("a checkpoint cut, to nothing at the first", len(lengths))


def test_a_flipped_bit_is_never_trained_on(resumable, place, faults):
    _, files, expected = resumable
    (newest, content), older = files
    number = scaled(5, 40)
    bits = [8 * len(content) * part // number + 3 * part for part in range(number)]
    for bit in bits:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        put_back(place, [(newest, bytes(flipped)), older])
        ready = ends_as_if_nothing_had_been(place, expected)
        assert ready.metrics["num_steps"] == 3
        assert len(ready.notes) == 1
    faults("a bit of a checkpoint flipped", len(bits))


def test_without_any_sound_checkpoint_a_cell_starts_over(resumable, place, faults):
    _, files, expected = resumable
    put_back(place, [(name, content[:-1]) for name, content in files])
    ready = ends_as_if_nothing_had_been(place, expected)
    assert (ready.is_resumed, ready.history, len(ready.notes)) == (False, [], 2)
    faults("both checkpoints cut", 1)


def test_a_checkpoint_of_another_cell_is_not_gone_on_from(resumable, place, tmp_path, faults):
    cell, files, expected = resumable
    other = Place(tmp_path / "other", make_cell("mlp", hidden=8, data=SMALL, recipe=EPOCHS, seed=1))
    other.run(stop_at(7))
    (path,) = other.checkpoints.paths()
    put_back(place, [(f"{cell.cell_id}.7.ckpt", path.read_bytes()), *files])
    ready = ends_as_if_nothing_had_been(place, expected)
    assert ready.metrics["num_steps"] == 5
    assert "is the record of another cell" in ready.notes[0]
    faults("a checkpoint of another cell", 1)


def test_a_checkpoint_of_a_network_that_has_changed_is_not_gone_on_from(resumable, place, tmp_path, faults):
    """Its author changed a registered function and forgot to raise its revision."""
    _, files, _ = resumable
    wider = Place(tmp_path / "wider", make_cell("mlp", hidden=9, data=SMALL, recipe=EPOCHS))
    whole = wider.run()
    wider.run(stop_at(2))
    state: list[Any] = []
    wider.checkpoints.restore(state.append)
    wider.checkpoints.remove()
    put_back(place, files)
    record = place.checkpoints.newest_record()
    assert record is not None
    wider.checkpoints.save(whole.record.model_copy(update={"metrics": record.metrics}), _state_in(place))
    result = wider.run()
    same((wider, result), (wider, whole))
    ready = wider.messages[0]
    assert isinstance(ready, CellReady)
    assert "cannot be gone on from (its weights are of another network)" in ready.notes[0]
    faults("a checkpoint of another network", 1)


def _state_in(place: Place) -> Any:
    states: list[Any] = []
    place.checkpoints.restore(states.append)
    return states[0]


# Divergence


def poisoned(
    image: ImageSpec, *, at_step: Annotated[int, About("the first such step", minimum=1)] = 1
) -> nn.Module:
    """A linear classifier whose scores are not a number from one training step on."""
    scores = nn.Linear(image.channels * image.resolution**2, image.num_classes)
    return nn.Sequential(nn.Flatten(), scores, _Poison(at_step))


class _Poison(nn.Module):
    def __init__(self, at_step: int) -> None:
        super().__init__()
        self.at_step = at_step
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.num_steps += 1
            if self.num_steps >= self.at_step:
                return scores * math.nan
        return scores


def test_a_loss_that_is_no_number_ends_a_cell_at_its_step(monkeypatch, tmp_path, faults):
    monkeypatch.setitem(registered, "model", dict(registered["model"]))
    register_model(poisoned)
    steps = range(1, 11, scaled(3, 1))
    for step in steps:
        place = Place(tmp_path / str(step), make_cell("poisoned", at_step=step, data=SMALL, recipe=EPOCHS))
        for should_stop in ([stop_at(step - 1)] if step > 1 else []) + [lambda: False]:
            record = place.run(should_stop).record
        assert record.outcome == "diverged"
        assert (record.metrics.failed_step, record.metrics.num_steps) == (step, step - 1)
        assert record.attempts[-1].error == f"the training loss became nan at step {step}"
        assert len(record.history) == (step - 1) // 5
    faults("a loss that is no number, before it a stop", len(steps))
