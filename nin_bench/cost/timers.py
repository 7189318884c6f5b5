"""Timers that hook into what they time, so that what is timed stays training's own code."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nin_bench.cell import Augmentation
from nin_bench.data.batches import ImageBatches
from nin_bench.training.trainer import Trainer


def synchronizer(device: torch.device) -> Callable[[], None]:
    """A function that returns once the device has done everything that it was given."""
    if device.type == "cpu":
        return lambda: None
    return partial(torch.accelerator.synchronize, device)


class Clock(Protocol):
    """Marks moments of a device's work; how long it took from one to another is asked once all of it is done."""

    def mark(self) -> Any:
        """This moment, after all that the device was given so far."""

    def between(self, earlier: Any, later: Any) -> float:
        """Seconds from one mark to another."""


class _HostClock:
    """The clock of a CPU, where work is done as soon as its call returns."""

    def mark(self) -> float:
        return time.perf_counter()

    def between(self, earlier: float, later: float) -> float:
        return later - earlier


class _EventClock:
    """The clock of an accelerator: events in its stream, for which nobody waits."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def mark(self) -> torch.Event:
        event = torch.Event(self._device, enable_timing=True)
        event.record()
        return event

    def between(self, earlier: torch.Event, later: torch.Event) -> float:
        later.synchronize()
        return float(earlier.elapsed_time(later)) / 1e3


def clock_of(device: torch.device) -> Clock:
    """The clock of a device's own work."""
    return _HostClock() if device.type == "cpu" else _EventClock(device)


class StepTimer:
    """While it is entered, split a trainer's steps into data, forward, backward and optimizer.

    `backward` goes from the logits to the gradients, the loss included; the rest of a step (clearing gradients,
    reading the loss) belongs to no part.
    """

    def __init__(self, trainer: Trainer, clock: Clock) -> None:
        self.seconds = {"data": 0.0, "forward": 0.0, "backward": 0.0, "optimizer": 0.0}
        """Seconds of all steps by part, once the timer was left."""
        self._trainer = trainer
        self._images = trainer.train
        self._forward = trainer.forward
        self._clock = clock
        self._marks: list[tuple[str | None, Any]] = []
        """The part that begins, None for none, and when."""
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> "StepTimer":
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
        for (part, began), (_next, ended) in pairwise(self._marks):
            if part is not None:
                self.seconds[part] += self._clock.between(began, ended)
        self._marks.clear()

    def enter(self, part: str | None) -> None:
        """End the current part and begin the next; None begins no part."""
        self._marks.append((part, self._clock.mark()))

    def _timed_forward(self, images: Tensor) -> Tensor:
        self.enter("forward")
        logits = self._forward(images)
        self.enter("backward")
        return logits


class _TimedBatches(ImageBatches):
    """The images of a trainer; making a batch of them is timed."""

    def __init__(self, batches: ImageBatches, timer: StepTimer) -> None:
        vars(self).update(vars(batches))
        self._batches = batches
        self._timer = timer

    def take(
        self, indices: Tensor, augmentation: Augmentation = "none", generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        self._timer.enter("data")
        return self._batches.take(indices, augmentation, generator)

    def raw(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        self._timer.enter("data")
        return self._batches.raw(indices)

    def pixels(self, images: Tensor, indices: Tensor) -> Tensor:
        self._timer.enter("data")
        return self._batches.pixels(images, indices)


@dataclass(frozen=True)
class LayerSeconds:
    """How long one layer takes for one image."""

    forward: float
    backward: float | None
    """Seconds backward; None unless the layers form a chain, each with one output that the next one reads."""


def time_layers(trainer: Trainer, indices: Tensor, passes: int, clock: Clock) -> dict[str, LayerSeconds]:
    """Time every layer of a network by itself, with hooks, in training mode.

    A layer's backward pass goes from the gradient of its output to that of the output before it, so that it
    includes the gradients of its weights and of its input. Hooks take time, too, so these seconds add up to more
    than a step's.

    Args:
        trainer: holds the network and the images.
        indices: the images of a pass, (n,) int64.
        passes: how many; medians are returned. One more goes before them to warm up.
        clock: of the trainer's device.

    Returns:
        Seconds per image of each module that calls no other, by its name.
    """
    images, labels = trainer.train.batches.take(indices)
    trainer.model.train()

    def run(record: "_LayerPass") -> dict[str, LayerSeconds]:
        with record, trainer.autocast():
            logits = trainer.model(images)
        trainer.loss(logits.float(), labels).backward()
        seconds = record.seconds()
        trainer.optimizer.zero_grad(set_to_none=True)
        return seconds

    called: set[nn.Module] = set()
    names = {module: name for name, module in trainer.model.named_modules()}
    hooks = [module.register_forward_hook(lambda module, *_: called.add(module)) for module in names]
    run(_LayerPass({}, clock))  # warms up, and tells which modules call no other
    for hook in hooks:
        hook.remove()
    layers = {name: module for module, name in names.items() if called & {*module.modules()} == {module}}
    timed = [run(_LayerPass(layers, clock)) for _ in range(passes)]
    return {name: _median([of_pass[name] for of_pass in timed], len(indices)) for name in layers}


def _median(samples: Sequence[LayerSeconds], num_images: int) -> LayerSeconds:
    backward = [sample.backward for sample in samples if sample.backward is not None]
    return LayerSeconds(
        forward=median(sample.forward for sample in samples) / num_images,
        backward=median(backward) / num_images if len(backward) == len(samples) else None,
    )


class _LayerPass:
    """One pass, forward and backward, as the layers' hooks see it; entered for the forward pass."""

    def __init__(self, layers: Mapping[str, nn.Module], clock: Clock) -> None:
        self._layers = layers
        self._clock = clock
        self._forward: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
        """When each call of a layer began and ended."""
        self._gradient_at: dict[str, Any] = {}
        self._began: Any = None
        self._last_output: object = None
        self._is_chain = True
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> None:
        for name, layer in self._layers.items():
            self._handles += [
                layer.register_forward_pre_hook(self._begin),
                layer.register_forward_hook(partial(self._end, name)),
            ]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def seconds(self) -> dict[str, LayerSeconds]:
        """Seconds of each layer for all images; ask for them after the backward pass."""
        between = self._clock.between
        ends = [*list(self._gradient_at.values())[1:], self._clock.mark()]
        backward = {
            name: between(begin, end) for (name, begin), end in zip(self._gradient_at.items(), ends, strict=False)
        }
        return {
            name: LayerSeconds(
                sum(between(began, ended) for began, ended in calls),
                backward.get(name) if self._is_chain else None,
            )
            for name, calls in self._forward.items()
        }

    def _begin(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        follows = self._last_output is None or (len(inputs) == 1 and inputs[0] is self._last_output)
        self._is_chain = self._is_chain and follows
        self._began = self._clock.mark()

    def _end(self, name: str, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        ended = self._clock.mark()
        self._is_chain = self._is_chain and name not in self._forward
        self._forward[name].append((self._began, ended))
        self._last_output = output
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(partial(self._note_gradient, name))  # type: ignore[no-untyped-call]

    def _note_gradient(self, name: str, gradient: Tensor) -> None:
        self._gradient_at[name] = self._clock.mark()
