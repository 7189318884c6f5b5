"""Clocks that listen at the borders of what they time, so that what is timed stays training's own code."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nin_bench.cell import Augmentation
from nin_bench.cost.counting import leaves_of
from nin_bench.data.batches import ImageBatches
from nin_bench.training.trainer import Trainer


def awaiting(device: torch.device) -> Callable[[], None]:
    """A function that returns once the device has done all that it was given."""
    if device.type == "cpu":
        return lambda: None
    return partial(torch.accelerator.synchronize, device)


class StepClock:
    """While it is entered, split a trainer's steps into data, forward, backward and optimizer.

    `backward` goes from the logits to the gradients, the loss between them included; what a step does besides
    (clearing gradients, reading the loss) belongs to no part. On an accelerator every border is awaited, which
    slows the steps: take their speed as a whole from others.
    """

    def __init__(self, trainer: Trainer, wait: Callable[[], None]) -> None:
        self.seconds = {"data": 0.0, "forward": 0.0, "backward": 0.0, "optimizer": 0.0}
        self._trainer = trainer
        self._images = trainer.train
        self._forward = trainer.forward
        self._wait = wait
        self._part: str | None = None
        self._since = 0.0
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> "StepClock":
        optimizer = self._trainer.optimizer
        self._handles = [
            optimizer.register_step_pre_hook(lambda *_: self.enter("optimizer")),
            optimizer.register_step_post_hook(lambda *_: self.enter(None)),
        ]
        self._trainer.train = replace(self._images, batches=_TimedBatches(self._images.batches, self))
        self._trainer.forward = self._timed_forward
        return self

    def __exit__(self, *_: object) -> None:
        self._trainer.train, self._trainer.forward = self._images, self._forward
        for handle in self._handles:
            handle.remove()

    def enter(self, part: str | None) -> None:
        """A part begins, and the one before it ends."""
        self._wait()
        now = time.perf_counter()
        if self._part is not None:
            self.seconds[self._part] += now - self._since
        self._part, self._since = part, now

    def _timed_forward(self, images: Tensor) -> Tensor:
        self.enter("forward")
        logits = self._forward(images)
        self.enter("backward")
        return logits


class _TimedBatches(ImageBatches):
    """The same images, their making told to a clock."""

    def __init__(self, batches: ImageBatches, clock: StepClock) -> None:
        vars(self).update(vars(batches))
        self._batches = batches
        self._clock = clock

    def take(
        self, indices: Tensor, augmentation: Augmentation = "none", generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        self._clock.enter("data")
        return self._batches.take(indices, augmentation, generator)


@dataclass(frozen=True)
class LayerSeconds:
    """How long one layer took, for one image."""

    forward: float
    backward: float | None
    """None where layers do not follow each other in a chain, so that no border can be told."""


def time_layers(
    trainer: Trainer, indices: Tensor, passes: int, wait: Callable[[], None]
) -> dict[str, LayerSeconds]:
    """Time every layer of a network by itself, by hooks, in training mode.

    A layer's backward goes from the gradient of its output to that of the output before it, so that it takes in
    the gradients of its weights and of its input. Waiting at every border costs time of its own, so these
    seconds add up to more than a step's.

    Args:
        trainer: holds the network and the images.
        indices: the images of a pass, (n,) int64.
        passes: how many; medians are returned. One more goes before them to warm up.
        wait: for the device.
    """
    images, labels = trainer.train.batches.take(indices)
    layers = dict(leaves_of(trainer.model))
    samples: dict[str, list[LayerSeconds]] = defaultdict(list)
    trainer.model.train()
    for number in range(1 + passes):
        listener = _LayerListener(layers, wait)
        with trainer.autocast():
            logits = trainer.model(images)
        listener.stop()
        trainer.loss(logits.float(), labels).backward()
        heard = listener.seconds()
        trainer.optimizer.zero_grad(set_to_none=True)
        if number:
            for name, seconds in heard.items():
                samples[name].append(seconds)
    return {name: _median(of_one, len(indices)) for name, of_one in samples.items()}


def _median(samples: list[LayerSeconds], num_images: int) -> LayerSeconds:
    backwards = [sample.backward for sample in samples if sample.backward is not None]
    return LayerSeconds(
        forward=median(sample.forward for sample in samples) / num_images,
        backward=median(backwards) / num_images if len(backwards) == len(samples) else None,
    )


class _LayerListener:
    """One pass, forward and backward, as the layers' hooks see it."""

    def __init__(self, layers: dict[str, nn.Module], wait: Callable[[], None]) -> None:
        self._wait = wait
        self._forward: dict[str, float] = defaultdict(float)
        self._gradient_at: dict[str, float] = {}
        self._began = 0.0
        self._last_output: object = None
        self._is_chain = True
        self._handles: list[RemovableHandle] = []
        for name, layer in layers.items():
            self._handles += [
                layer.register_forward_pre_hook(self._enter),
                layer.register_forward_hook(partial(self._leave, name)),
            ]

    def stop(self) -> None:
        """The forward pass is over; what is still to come is heard by its tensors."""
        for handle in self._handles:
            handle.remove()

    def seconds(self) -> dict[str, LayerSeconds]:
        """What was heard; asked for when the backward pass is over."""
        self._wait()
        ends = [*list(self._gradient_at.values())[1:], time.perf_counter()]
        backward = (
            {name: end - begin for (name, begin), end in zip(self._gradient_at.items(), ends, strict=True)}
            if self._is_chain
            else {}
        )
        return {name: LayerSeconds(forward, backward.get(name)) for name, forward in self._forward.items()}

    def _enter(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        follows = self._last_output is None or (len(inputs) == 1 and inputs[0] is self._last_output)
        self._is_chain = self._is_chain and follows
        self._wait()
        self._began = time.perf_counter()

    def _leave(self, name: str, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._wait()
        self._is_chain = self._is_chain and name not in self._forward
        self._forward[name] += time.perf_counter() - self._began
        self._last_output = output
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(partial(self._note_gradient, name))  # type: ignore[no-untyped-call]

    def _note_gradient(self, name: str, gradient: Tensor) -> None:
        self._wait()
        self._gradient_at[name] = time.perf_counter()
