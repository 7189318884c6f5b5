"""What each line of `make bench-gpu` trains, as functions that a fresh process calls."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor

from nin_bench.cell import Cell
from nin_bench.cost import count_model
from nin_bench.cost.ceilings import Ceilings, measure_ceilings
from nin_bench.cost.counters import energy_counter
from nin_bench.cost.timers import synchronizer
from nin_bench.data import describe_data
from nin_bench.data.dataset import load_dataset
from nin_bench.executors import Channel, Slot
from nin_bench.runner.worker import prepare_process
from nin_bench.training.batched import BatchedTrainers
from nin_bench.training.evaluation import Images
from nin_bench.training.trainer import Trainer, make_network


@dataclass(frozen=True)
class Trained:
    """What one process trained within its seconds."""

    images_per_second: float
    flops_per_image: int
    memory_bytes: int | None
    """The most that the allocator gave out; None on a CPU."""
    joules_per_image: float | None


def make_trainers(cells: Sequence[Cell], device: torch.device) -> list[Trainer]:
    """A trainer of each cell, all over the same images on the device."""
    image, dataset = describe_data(cells[0].data, None), load_dataset(cells[0].data, None)
    batches = dataset.batches(device)
    trainers = []
    for cell in cells:
        indices, _ = dataset.split(cell.data.train_size, cell.data.validation_size or 0, cell.seed)
        model = make_network(cell, image, device)
        model.train()
        trainers.append(Trainer(model, cell.recipe, Images(batches, indices), seed=cell.seed, chance_loss=2.3))
    return trainers


def whole_batches(trainer: Trainer) -> Iterator[Tensor]:
    """The images of an epoch's whole batches, over and over."""
    order = [part for part in trainer.steps_left() if len(part) == trainer.recipe.batch_size]
    return cycle(order)


def train_alone(channel: Channel, slot: Slot, cells: Sequence[Cell], seconds: float, not_before: float) -> Trained:
    """Train the first cell as a run does, from a moment on at which others do the same."""
    prepare_process(slot)
    device = torch.device(slot.device)
    (trainer,) = make_trainers(cells[:1], device)
    batches = whole_batches(trainer)

    def step() -> None:
        trainer.set_learning_rate()
        indices = next(batches)
        trainer.note_taken(len(indices), trainer.step(indices), 0.0)

    return _timed(step, trainer.read_steps, cells[:1], device, seconds, not_before)


def train_batched(
    channel: Channel, slot: Slot, cells: Sequence[Cell], seconds: float, not_before: float
) -> Trained:
    """Train all cells as one batched model."""
    prepare_process(slot)
    device = torch.device(slot.device)
    batch = BatchedTrainers(make_trainers(cells, device))
    batches = [whole_batches(trainer) for trainer in batch.trainers]

    def step() -> None:
        indices = torch.stack([next(of_one) for of_one in batches])
        for trainer, own in zip(batch.trainers, batch.step(indices), strict=True):
            trainer.note_taken(indices.shape[1], own, 0.0)

    return _timed(step, batch.hand_back, cells, device, seconds, not_before)


def ceilings(channel: Channel, slot: Slot) -> Ceilings:
    """The fastest products of the device."""
    prepare_process(slot)
    return measure_ceilings(torch.device(slot.device))


def _timed(
    step: Callable[[], None],
    at_end: Callable[[], None],
    cells: Sequence[Cell],
    device: torch.device,
    seconds: float,
    not_before: float,
) -> Trained:
    """Steps for so long, after some to warm up."""
    synchronize, joules = synchronizer(device), energy_counter(device)
    for _ in range(3):
        step()
    synchronize()
    while time.monotonic() < not_before:
        step()
        synchronize()
    before, num_steps, began = joules(), 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        step()
        num_steps += 1
    at_end()
    synchronize()
    passed, after = time.perf_counter() - began, joules()
    num_images = num_steps * cells[0].recipe.batch_size * len(cells)
    count = count_model(cells[0].model.name, describe_data(cells[0].data, None), **cells[0].model.arguments)
    return Trained(
        images_per_second=num_images / passed,
        flops_per_image=count.training_flops,
        memory_bytes=None if device.type == "cpu" else int(torch.accelerator.max_memory_allocated(device)),
        joules_per_image=None if before is None or after is None else (after - before) / num_images,
    )
