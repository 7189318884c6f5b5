"""Train several seeds of one variant together: their weights are stacked, and each kernel serves all networks.

The order of images, augmentation, dropout and initial weights are those that each network would have alone; sums
are added in another order, so that results agree to rounding, not to the bit.
"""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy, dropout

from nin_bench.training.evaluation import StoppedError, right
from nin_bench.training.optimization import make_optimizer
from nin_bench.training.progress import DivergedError
from nin_bench.training.trainer import Trainer, seed_for, seed_layers

FIELDS = frozenset({
    "epochs", "batch_size", "optimizer", "lr", "momentum", "nesterov", "weight_decay", "schedule", "warmup_epochs",
    "step_epochs", "step_factor", "init", "init_std", "augmentation", "label_smoothing", "precision",
    "test_every_epoch",
})  # fmt: skip
"""Fields of a recipe that a batched step heeds; with another one away from its default networks train alone."""


OPTIMIZERS = ("sgd", "adam", "adamw")
"""Optimizers that take each weight by itself, and keep nothing that a stack of networks would mix."""


class CannotBatchError(Exception):
    """These networks have to be trained one by one; says why."""


class _Mask(nn.Module):
    """Stands in a batched network for `nn.Dropout`; its buffer is what dropout makes of ones."""

    mask: Tensor

    def forward(self, values: Tensor) -> Tensor:
        return values * self.mask


class _Dropped(NamedTuple):
    """What goes into one dropout layer, but for the number of images."""

    rate: float
    shape: torch.Size
    dtype: torch.dtype
    memory_format: torch.memory_format

    def mask(self, num_images: int, device: torch.device) -> Tensor:
        """Draw as the layer would, from the global generator."""
        ones = torch.ones((num_images, *self.shape), dtype=self.dtype, device=device)
        return dropout(ones.contiguous(memory_format=self.memory_format), self.rate)


class BatchedTrainers:
    """Trainers that take their steps together.

    While they do, their own weights and optimizers stay as they were; `hand_back` brings them up to date.

    Args:
        trainers: of one model and recipe, at the same step, over the same images; they differ in their seeds.

    Raises:
        CannotBatchError: they do not go together, or draw random numbers by more than `nn.Dropout`.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        first = trainers[0]
        _check(trainers)
        self.trainers = trainers
        self.diverged: dict[Trainer, DivergedError] = {}
        """Those whose loss became NaN or infinite; the others have not noticed."""
        self.recipe, self.device = first.recipe, first.device
        for trainer in trainers:
            trainer.model.train()
        self._dropped = _look_at_dropout(first)
        stacked, _ = stack_module_state([trainer.model for trainer in trainers])
        self._network = copy.deepcopy(first.model)
        for name, parameter in self._network.named_parameters():
            parameter.data = stacked[name].data
        self.optimizer = make_optimizer(self._network, self.recipe)
        self.optimizer.load_state_dict(self._stacked_state())
        for name in self._dropped:
            parent, _, own = name.rpartition(".")
            setattr(self._network.get_submodule(parent), own, _Mask())
        self._forward = vmap(self._of_one, in_dims=0, randomness="error")
        self._try()

    def run_epoch(self, should_stop: Callable[[], bool], *, after_step: Callable[[], None]) -> None:
        """Train one pass over the images, or what is left of it; who drives this ends the trainers' epochs.

        Raises:
            StoppedError: `should_stop` answered yes before a step. The trainers are up to date.
        """
        for parts in zip(*(trainer.steps_left() for trainer in self.trainers), strict=True):
            if should_stop():
                self._read()
                raise StoppedError
            if len(self.diverged) == len(self.trainers):
                break
            started = time.perf_counter()
            sums = self.step(torch.stack(parts))
            # Each has its share of the time, so that all of them together took what the device did.
            seconds = (time.perf_counter() - started) / len(self.trainers)
            for trainer, own in zip(self.trainers, sums, strict=True):
                self._note(trainer, partial(trainer.note_taken, len(parts[0]), own, seconds))
            after_step()
        self._read()

    def step(self, indices: Tensor) -> Tensor:
        """One optimizer step of every network.

        Args:
            indices: images of each, (networks, n) int64.

        Returns:
            The values of a `Step` for each, (networks, 3) float32 on the device.
        """
        num_networks, num_images = indices.shape
        for trainer in self.trainers:
            if trainer not in self.diverged:
                trainer.set_learning_rate()
                self.optimizer.param_groups[0]["lr"] = trainer.optimizer.param_groups[0]["lr"]
        self.optimizer.zero_grad(set_to_none=True)
        images, labels = self._take(indices)
        logits = (
            self._logits(self._masks(num_images), images.view(*indices.shape, *images.shape[1:]))
            .flatten(0, 1)
            .float()
        )

        def per_network(values: Tensor) -> Tensor:
            return values.view(num_networks, num_images).sum(1)

        smoothing = self.recipe.label_smoothing
        loss = per_network(cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing))
        (loss.sum() / num_images).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        loss, logits = loss.detach(), logits.detach()
        hard = per_network(cross_entropy(logits, labels, reduction="none")) if smoothing else loss
        return torch.stack((loss, hard, per_network(right(logits, labels))), dim=1)

    def hand_back(self) -> None:
        """Give each trainer its own weights and optimizer state as they are now."""
        state = self.optimizer.state_dict()
        stacked = dict(self._network.named_parameters())
        shapes = [parameter.shape for parameter in stacked.values()]
        for number, trainer in enumerate(self.trainers):
            with torch.no_grad():
                for name, parameter in trainer.model.named_parameters():
                    parameter.copy_(stacked[name][number])
            own = {
                index: {
                    key: value[number].clone() if _is_stacked(value, shapes[index]) else copy.copy(value)
                    for key, value in of_parameter.items()
                }
                for index, of_parameter in state["state"].items()
            }
            trainer.optimizer.load_state_dict({"state": own, "param_groups": state["param_groups"]})

    def _read(self) -> None:
        self.hand_back()
        for trainer in self.trainers:
            self._note(trainer, trainer.read_steps)

    def _note(self, trainer: Trainer, act: Callable[[], None]) -> None:
        if trainer not in self.diverged:
            try:
                act()
            except DivergedError as error:
                self.diverged[trainer] = error

    def _stacked_state(self) -> dict[str, Any]:
        """The state of the trainers' optimizers, which have taken equally many steps."""
        states = [trainer.optimizer.state_dict() for trainer in self.trainers]
        shapes = [parameter.shape for parameter in self.trainers[0].model.parameters()]

        def stack(index: int, key: str) -> Any:
            values = [state["state"][index][key] for state in states]
            return torch.stack(values) if _is_stacked(values[0], shapes[index]) else values[0]

        first = states[0]
        return {
            "state": {index: {key: stack(index, key) for key in of} for index, of in first["state"].items()},
            "param_groups": first["param_groups"],
        }

    def _logits(self, masks: Mapping[str, Tensor], images: Tensor) -> Tensor:
        with self.trainers[0].autocast():
            logits: Tensor = self._forward(dict(self._network.named_parameters()), masks, images)
        return logits

    def _of_one(self, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], images: Tensor) -> Any:
        return functional_call(self._network, {**weights, **masks}, (images,))

    def _take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The images of all networks, one after another, each augmented as it would be alone."""
        draws = None
        generators = [trainer.augmentation_generator() for trainer in self.trainers]
        if self.recipe.augmentation != "none":
            draws = torch.cat([torch.rand(indices.shape[1], 3, generator=generator) for generator in generators])
        return self.trainers[0].train.batches.make(indices.flatten(), self.recipe.augmentation, draws)

    def _masks(self, num_images: int) -> dict[str, Tensor]:
        """What dropout does to each network, (networks, n, …) for each layer, by its place."""
        drawn: dict[str, list[Tensor]] = {f"{name}.mask": [] for name in self._dropped}
        for trainer in self.trainers if drawn else ():
            seed_layers(seed_for(trainer.seed, "dropout", trainer.num_taken), self.device)
            for name, layer in self._dropped.items():
                drawn[f"{name}.mask"].append(layer.mask(num_images, self.device))
        return {name: torch.stack(masks) for name, masks in drawn.items()}

    def _try(self) -> None:
        """Pass some images through all networks; CannotBatchError if that cannot be done for all at once."""
        indices = torch.stack([trainer.train.indices[:2] for trainer in self.trainers])
        images, _ = self._take(indices)
        try:
            with torch.no_grad():
                self._logits(self._masks(indices.shape[1]), images.view(*indices.shape, *images.shape[1:]))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise CannotBatchError(f"the network cannot be batched: {' '.join(str(error).split())}") from error


def _check(trainers: Sequence[Trainer]) -> None:
    first = trainers[0]
    if len(trainers) < 2:
        raise CannotBatchError("there is only one network")
    if others := first.recipe.identity().keys() - FIELDS:
        raise CannotBatchError(f"the recipe has {', '.join(sorted(others))}")
    if first.recipe.optimizer not in OPTIMIZERS or first.recipe.precision == "fp16":
        raise CannotBatchError(f"{first.recipe.optimizer} in {first.recipe.precision} is not batched")
    if next(first.model.buffers(), None) is not None:
        raise CannotBatchError("the network has buffers, as of batch normalisation")
    for trainer in trainers:
        alike = (trainer.recipe == first.recipe, trainer.train.batches is first.train.batches)
        if not all(alike) or len(trainer.train) != len(first.train):
            raise CannotBatchError("the networks differ in more than their seed")
        if trainer.num_taken != first.num_taken:
            raise CannotBatchError("the networks have taken different numbers of steps")


def _look_at_dropout(trainer: Trainer) -> dict[str, _Dropped]:
    """What goes into each dropout layer, by its name, in the order in which they are called."""
    found: dict[str, _Dropped] = {}

    def look(name: str) -> Callable[..., None]:
        def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(layer, nn.Dropout)
            if name in found or len(inputs[0]) != len(images):
                raise CannotBatchError(f"{name}: is called more than once, or not with images")
            values = inputs[0]
            is_last = values.dim() == 4 and values.is_contiguous(memory_format=torch.channels_last)
            memory_format = torch.channels_last if is_last else torch.contiguous_format
            found[name] = _Dropped(layer.p, values.shape[1:], values.dtype, memory_format)

        return note

    layers = {name: layer for name, layer in trainer.model.named_modules() if type(layer) is nn.Dropout}
    hooks = [layer.register_forward_pre_hook(look(name)) for name, layer in layers.items()]
    images, _ = trainer.train.batches.take(trainer.train.indices[:2])
    try:
        with torch.no_grad(), trainer.autocast():
            trainer.model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _is_stacked(value: object, shape: torch.Size) -> bool:
    """Whether a value of an optimizer's state belongs to each weight, unlike a count of steps."""
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape == shape
