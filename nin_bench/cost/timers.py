"""Timers that hook into what they time, so that what is timed stays training's own code."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

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


class StepTimer:
    """While it is entered, split a trainer's steps into data, forward, backward and optimizer.

    `backward` goes from the logits to the gradients, the loss included; the rest of a step (clearing gradients,
    reading the loss) belongs to no part. An accelerator is synchronized at every border, which slows the steps:
    time whole steps without this.
    """

    def __init__(self, trainer: Trainer, synchronize: Callable[[], None]) -> None:
        self.seconds = {"data": 0.0, "forward": 0.0, "backward": 0.0, "optimizer": 0.0}
        self._trainer = trainer
        self._images = trainer.train
        self._forward = trainer.forward
        self._synchronize = synchronize
        self._part: str | None = None
        self._since = 0.0
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

    def enter(self, part: str | None) -> None:
        """End the current part and begin the next; None begins no part."""
        self._synchronize()
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
    """The same images; making a batch of them is timed."""

    def __init__(self, batches: ImageBatches, timer: StepTimer) -> None:
        vars(self).update(vars(batches))
        self._batches = batches
        self._timer = timer

    def take(
        self, indices: Tensor, augmentation: Augmentation = "none", generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        self._timer.enter("data")
        return self._batches.take(indices, augmentation, generator)


@dataclass(frozen=True)
class LayerSeconds:
    """How long one layer takes for one image."""

    forward: float
    backward: float | None
    """None unless the layers form a chain, each with one output that the next one reads."""


def time_layers(
    trainer: Trainer, indices: Tensor, passes: int, synchronize: Callable[[], None]
) -> dict[str, LayerSeconds]:
    """Time every layer of a network by itself, with hooks, in training mode.

    A layer's backward pass goes from the gradient of its output to that of the output before it, so that it
    includes the gradients of its weights and of its input. Synchronizing at every border takes time, too, so these
    seconds add up to more than a step's.

    Args:
        trainer: holds the network and the images.
        indices: the images of a pass, (n,) int64.
        passes: how many; medians are returned. One more goes before them to warm up.
        synchronize: waits for the device.

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
    run(_LayerPass({}, synchronize))  # warms up, and tells which modules call no other
    for hook in hooks:
        hook.remove()
    layers = {name: module for module, name in names.items() if called & {*module.modules()} == {module}}
    timed = [run(_LayerPass(layers, synchronize)) for _ in range(passes)]
    return {name: _median([of_pass[name] for of_pass in timed], len(indices)) for name in layers}


def _median(samples: Sequence[LayerSeconds], num_images: int) -> LayerSeconds:
    backward = [sample.backward for sample in samples if sample.backward is not None]
    return LayerSeconds(
        forward=median(sample.forward for sample in samples) / num_images,
        backward=median(backward) / num_images if len(backward) == len(samples) else None,
    )


class _LayerPass:
    """One pass, forward and backward, as the layers' hooks see it; entered for the forward pass."""

    def __init__(self, layers: Mapping[str, nn.Module], synchronize: Callable[[], None]) -> None:
        self._layers = layers
        self._synchronize = synchronize
        self._forward: dict[str, float] = defaultdict(float)
        self._gradient_at: dict[str, float] = {}
        self._began = 0.0
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
        self._synchronize()
        ends = [*list(self._gradient_at.values())[1:], time.perf_counter()]
        backward = {name: end - begin for (name, begin), end in zip(self._gradient_at.items(), ends, strict=False)}
        return {
            name: LayerSeconds(forward, backward.get(name) if self._is_chain else None)
            for name, forward in self._forward.items()
        }

    def _begin(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        follows = self._last_output is None or (len(inputs) == 1 and inputs[0] is self._last_output)
        self._is_chain = self._is_chain and follows
        self._synchronize()
        self._began = time.perf_counter()

    def _end(self, name: str, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._synchronize()
        self._is_chain = self._is_chain and name not in self._forward
        self._forward[name] += time.perf_counter() - self._began
        self._last_output = output
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(partial(self._note_gradient, name))  # type: ignore[no-untyped-call]

    def _note_gradient(self, name: str, gradient: Tensor) -> None:
        self._synchronize()
        self._gradient_at[name] = time.perf_counter()
