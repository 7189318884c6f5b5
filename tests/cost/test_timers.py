import time

import pytest
import torch
from torch import nn

from nin_bench.cell import Recipe
from nin_bench.cost.timers import StepTimer, clock_of, time_layers
from nin_bench.data.batches import ImageBatches
from nin_bench.models import ImageSpec, build_model
from nin_bench.training.evaluation import Images
from nin_bench.training.trainer import Trainer


def trainer_of(model: nn.Module, **recipe: object) -> Trainer:
    pixels = torch.randint(0, 256, (12, 1, 28, 28), dtype=torch.uint8)
    images = Images(ImageBatches(pixels, torch.arange(12) % 10, 28), torch.arange(12))
    return Trainer(model, Recipe(**recipe), images, seed=0, chance_loss=0.0)


def lenet() -> nn.Module:
    return build_model("lenet", ImageSpec(1, 28, 10), activation="relu")


CPU = clock_of(torch.device("cpu"))


class Ticks:
    """A clock as an accelerator has it: a mark is only a place in the stream, and time is told afterwards."""

    def __init__(self) -> None:
        self.marks = 0

    def mark(self) -> int:
        self.marks += 1
        return self.marks

    def between(self, earlier: int, later: int) -> float:
        return float(later - earlier)


@pytest.mark.parametrize("micro_batch", [None, 5])
def test_the_parts_of_a_step_are_all_timed_and_no_longer_than_the_step(micro_batch):
    torch.manual_seed(0)
    alone, timed = trainer_of(lenet(), micro_batch=micro_batch), None
    torch.manual_seed(0)
    timed = trainer_of(lenet(), micro_batch=micro_batch)
    start = time.perf_counter()
    with StepTimer(timed, CPU) as timer:
        result = timed.step(torch.arange(12))
    seconds = time.perf_counter() - start
    assert list(timer.seconds) == ["data", "forward", "backward", "optimizer"]
    assert min(timer.seconds.values()) > 0
    assert sum(timer.seconds.values()) < seconds
    # Timing changes nothing, and stops.
    heard = dict(timer.seconds)
    assert torch.equal(result, alone.step(torch.arange(12)))
    timed.step(torch.arange(12))
    assert timer.seconds == heard


def test_parts_and_layers_are_read_off_a_devices_own_marks():
    trainer = trainer_of(lenet(), micro_batch=6)
    with StepTimer(trainer, Ticks()) as timer:
        trainer.step(torch.arange(12))
    # Each part of two micro-batches goes from its own mark to the next.
    assert timer.seconds == {"data": 2.0, "forward": 2.0, "backward": 2.0, "optimizer": 1.0}
    layers = time_layers(trainer, torch.arange(4), 3, Ticks())
    assert {(one.forward, one.backward) for one in layers.values()} == {(1 / 4, 1 / 4)}


@pytest.mark.gpu
def test_events_time_a_step_as_the_host_does():
    device = torch.accelerator.current_accelerator()
    model = lenet().to(device)
    images = Images(
        ImageBatches(torch.zeros(12, 1, 28, 28, dtype=torch.uint8), torch.arange(12) % 10, 28, device=device),
        torch.arange(12),
    )
    trainer = Trainer(model, Recipe(), images, seed=0, chance_loss=0.0)
    trainer.step(images.indices)
    start = time.perf_counter()
    with StepTimer(trainer, clock_of(device)) as timer:
        for _ in range(20):
            trainer.step(images.indices)
    seconds = time.perf_counter() - start
    assert min(timer.seconds.values()) > 0
    assert sum(timer.seconds.values()) < seconds


def test_every_layer_is_timed_in_place_relu_and_flatten_included():
    trainer = trainer_of(build_model("nin_mnist", ImageSpec(1, 28, 10), width=0.25))
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    layers = time_layers(trainer, torch.arange(8), 3, CPU)
    leaves = [name for name, module in trainer.model.named_modules() if not list(module.children())]
    assert list(layers) == leaves
    assert "block1.conv_relu" in layers
    for seconds in layers.values():
        assert seconds.forward > 0
        assert seconds.backward > 0
    # The network is as it was: no step was taken, no gradient is left.
    assert all((was == now).all() for was, now in zip(before, trainer.model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_backward_is_not_told_where_layers_do_not_form_a_chain():
    class Branched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flatten = nn.Flatten()
            self.left, self.right = nn.Linear(784, 10), nn.Linear(784, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = self.flatten(images)
            return self.left(flat) + self.right(flat)

    layers = time_layers(trainer_of(Branched()), torch.arange(4), 2, CPU)
    assert list(layers) == ["flatten", "left", "right"]
    assert all(seconds.forward > 0 for seconds in layers.values())
    assert {seconds.backward for seconds in layers.values()} == {None}
