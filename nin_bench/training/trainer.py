"""Train one network: its step, epochs, history, and whether it escaped chance.

Batch order, augmentation, dropout and every initial weight are functions of (seed, step), never of the number of
workers or of where a training was interrupted, so that a run on one thread repeats bit for bit, resumed or not.
Knows nothing of grids, files or processes.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from nin_bench.cell import Cell, Recipe
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, build_model
from nin_bench.training.device_group import DeviceGroup
from nin_bench.training.evaluation import Evaluation, Images, StoppedError, evaluate, right
from nin_bench.training.examples import examples
from nin_bench.training.optimization import follow, initialise, learning_rate, make_optimizer
from nin_bench.training.precision import AUTOCAST
from nin_bench.training.progress import Epoch, EpochSoFar, Progress, Step

STEPS_AHEAD = 50
"""Steps that an accelerator is given before their losses are read; on a CPU each is read at once."""

MODE_CHANGES = "changes between training and evaluation mode; leave out train() and eval()"


@dataclass(frozen=True)
class Chance:
    """What a guess that never looks at the image can reach, for some labels."""

    loss: float
    """The labels' entropy: ln(classes) where all are equally frequent, in nats."""
    accuracy: float
    """The share of the commonest."""

    @classmethod
    def of(cls, labels: Tensor) -> "Chance":
        """The best constant guess for (N,) int64 labels."""
        shares = labels.bincount().double() / len(labels)
        return cls(loss=torch.special.entr(shares).sum().item(), accuracy=shares.max().item())


def seed_for(seed: int, *purpose: object) -> int:
    """A 63-bit seed for one purpose, so that no two draws of a cell share a stream.

    >>> seed_for(0, "init") != seed_for(0, "order", 1)
    True
    """
    text = ":".join(map(str, (seed, *purpose)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


def seed_layers(seed: int, device: torch.device) -> None:
    """Seed what layers on a device draw from.

    `torch.manual_seed` would also have each accelerator that is absent format the whole stack, at every step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type not in ("cpu", "meta"):
        with torch.accelerator.device_index(device.index):
            torch.get_device_module(device).manual_seed(seed)


def make_network(cell: Cell, image: ImageSpec, device: torch.device) -> nn.Module:
    """A cell's network with its initial weights, on its device; SpecError as `build_model`."""
    seed = seed_for(cell.seed, "init")
    torch.manual_seed(seed)
    random.seed(seed)  # and numpy's, for networks of one's own that draw with these
    np.random.seed(seed % 2**32)
    model = build_model(cell.model.name, image, **cell.model.arguments)
    initialise(model, cell.recipe)
    return model.to(device).to(memory_format=torch.channels_last)


def check_micro_batch(model: nn.Module, recipe: Recipe) -> None:
    """Refuse micro-batches where they would change what is computed, not only its last bits.

    Raises:
        SpecError: of `micro_batch`, for a network with batch normalisation.
    """
    if recipe.micro_batch is not None and any(isinstance(layer, _BatchNorm) for layer in model.modules()):
        raise SpecError(
            "micro_batch",
            f"{recipe.micro_batch} does not go with batch normalisation, which would normalise over so many "
            "images and not over the batch; leave it out",
        )


def autocast(recipe: Recipe, device: torch.device) -> torch.autocast:
    """The recipe's precision, for forward passes on a device."""
    dtype = AUTOCAST[recipe.precision]
    return torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)


def _compiled(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The model through torch.compile; on CUDA as a graph, which spares small networks most of their launches."""
    return torch.compile(model, mode="reduce-overhead" if device.type == "cuda" else "default")


class Trainer:
    """One network in training.

    `chance_loss` is that of a constant guess on these images, in nats; `group` the devices that train it together.

    Raises:
        SpecError: the network and the recipe do not go together.
        InputError: they do not go together with a group.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        train: Images,
        *,
        seed: int,
        chance_loss: float,
        group: DeviceGroup | None = None,
    ) -> None:
        check_micro_batch(model, recipe)
        self.model = model
        self.recipe = recipe
        self.train = train
        self.seed = seed
        self.device = next(model.parameters()).device
        # Evaluation takes the model itself: a compiled one would not see the hook on its class maps.
        self.forward = _compiled(model, self.device) if recipe.compile else model
        self.optimizer = make_optimizer(model, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "fp16")
        self.network = deepcopy(model) if recipe.ema else model
        """What is evaluated and kept: the running mean of the weights, where the recipe has one."""
        self.group = group
        if group is not None:
            self.forward = group.joined(model, train.batches.take(train.indices[:2])[0])
        self.loss = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing, reduction="sum")
        self.chance_loss = chance_loss
        self.progress = Progress()
        self._unread: list[tuple[int, Tensor]] = []
        """Steps whose sums still lie on the device, with the number of their images."""
        self._max_unread = 1 if self.device.type == "cpu" else STEPS_AHEAD

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over the training images; the last may be a smaller batch."""
        return math.ceil(len(self.train) / self.recipe.batch_size)

    def autocast(self) -> torch.autocast:
        """The recipe's precision, for forward passes."""
        return autocast(self.recipe, self.device)

    def run_epoch(
        self,
        should_stop: Callable[[], bool] = lambda: False,
        *,
        after_step: Callable[[], None] = lambda: None,
        at_end: Callable[[], Epoch] = dict,
    ) -> Epoch:
        """Train one pass over the images, or what a restored state left of it, and return its row of the history.

        Args:
            should_stop: is asked before every step.
            after_step: is called after every step, when `state` is whole.
            at_end: what else to say of the network in the row; it is called when the epoch's steps are done. While
                it has not answered, the epoch has not ended, and a state restored from then asks it again.

        Raises:
            DivergedError: the loss of a step is NaN or infinite. What is known of the training is of the steps
                before it; on an accelerator some more were taken.
            StoppedError: `should_stop` answered yes before a step.
            SpecError: the network left training mode by itself.
        """
        self.model.train()
        modes = [module.training for module in self.model.modules()]
        for indices in self.steps_left():
            stops = should_stop()
            if self.group.stops(stops) if self.group else stops:
                self.read_steps()
                raise StoppedError
            started = time.perf_counter()
            self.set_learning_rate()
            sums = self.step(indices)
            self.note_taken(len(indices), sums, time.perf_counter() - started)
            after_step()
        if modes != [module.training for module in self.model.modules()]:
            raise SpecError("forward", MODE_CHANGES)
        return self.end_epoch(at_end)

    @property
    def num_taken(self) -> int:
        """Steps that were taken, also those whose loss was not read yet."""
        return self.progress.num_steps + len(self._unread)

    def set_learning_rate(self) -> None:
        """Give the optimizer the rate of the next step."""
        progress = self.progress
        num_batches = progress.current_epoch.num_batches + len(self._unread)
        epoch = len(progress.history) + num_batches / self.steps_per_epoch
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, epoch)

    def note_taken(self, num_images: int, sums: Tensor, seconds: float) -> None:
        """Note that a step was taken.

        Args:
            num_images: of the step.
            sums: what it returned.
            seconds: how long the host was busy with it.

        Raises:
            DivergedError: the loss of this step, or of one before it, is NaN or infinite.
        """
        self._unread.append((num_images, sums))
        self.progress.current_epoch.seconds += seconds
        if len(self._unread) >= self._max_unread:
            self.read_steps()

    def end_epoch(self, at_end: Callable[[], Epoch] = dict) -> Epoch:
        """End the epoch whose steps were all taken; as in `run_epoch`."""
        self.read_steps()
        progress, sums = self.progress, self.progress.current_epoch
        row: Epoch = {
            "epoch": len(progress.history) + 1,
            "train_loss": sums.loss_sum / len(self.train),
            "train_accuracy": sums.num_right / len(self.train),
            "lr": self.optimizer.param_groups[0]["lr"],
            "seconds": sums.seconds,
            **at_end(),
        }
        progress.history.append(row)
        progress.current_epoch = EpochSoFar()
        return row

    def read_steps(self) -> None:
        """Wait for the steps that were taken, and note what they saw; DivergedError if a loss is not finite."""
        if not self._unread:
            return
        started = time.perf_counter()
        sizes, sums = zip(*self._unread, strict=True)
        self._unread.clear()
        rows = torch.stack(sums).tolist()
        self.progress.current_epoch.seconds += time.perf_counter() - started
        for num_images, row in zip(sizes, rows, strict=True):
            self.progress.note(Step(*row), num_images, self.steps_per_epoch, self.chance_loss)

    def step(self, indices: Tensor) -> Tensor:
        """One optimizer step on some images; the host waits for nothing.

        Micro-batches sum to the gradient of the batch's mean loss.

        Returns:
            The values of a `Step`, (3,) float32 on the device; of a group's devices only the first knows them.
        """
        number = self.num_taken
        seed_layers(seed_for(self.seed, "dropout", number), self.device)
        self.optimizer.zero_grad(set_to_none=True)
        sums = torch.zeros(3, device=self.device)
        draws = partial(self._seed_of_draws, number)
        divisor: float = len(indices)
        if self.group is not None:
            divisor = self.group.take_share(len(indices))
        own = self.group.own if self.group else slice(None)
        for images, targets in examples(self.train.batches, indices, self.recipe, draws, own):
            with self.autocast():
                logits = self.forward(images)
            loss = targets.blend(partial(self.loss, logits.float()))
            torch.autograd.backward(self.scaler.scale(loss / divisor))
            loss, logits = loss.detach(), logits.detach()
            hard = loss
            if self.recipe.label_smoothing:
                hard = targets.blend(partial(cross_entropy, logits.float(), reduction="sum"))
            sums += torch.stack((loss, hard, targets.blend(partial(right, logits)).sum()))
        self._move_weights(is_first=number == 0)
        return self.group.total(sums) if self.group else sums

    def _seed_of_draws(self, step: int, purpose: str) -> int:
        return seed_for(self.seed, purpose, step)

    def _move_weights(self, *, is_first: bool) -> None:
        """Let the optimizer follow the gradients, and the running mean follow the weights."""
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.recipe.ema:
            follow(self.network, self.model, 1.0 if is_first else 1 - self.recipe.ema)

    def evaluate(
        self, images: Images, should_stop: Callable[[], bool] = lambda: False, *, keep_answers: bool = False
    ) -> Evaluation:
        """How the network does on some images, in the recipe's precision; the rest as in `evaluate`."""
        return evaluate(self.network, images, self.autocast(), should_stop, keep_answers=keep_answers)

    def state(self) -> dict[str, Any]:
        """All that a training depends on beside its cell, in plain values and the tensors themselves, not copies.

        Rates, orders and draws are functions of (recipe, seed, step), so no generator has a state to keep.

        Raises:
            DivergedError: a step that was not read yet has a loss that is NaN or infinite.
        """
        self.read_steps()
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
        }
        if self.recipe.ema:
            state["network"] = self.network.state_dict()
        if self.scaler.is_enabled():
            state["scaler"] = self.scaler.state_dict()
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another trainer of the same cell took its `state`.

        Raises:
            ValueError: the state is of another network or optimizer; nothing was changed.
        """
        networks = {"model": self.model, **({"network": self.network} if self.recipe.ema else {})}
        for part, network in networks.items():
            ours = {name: tensor.shape for name, tensor in network.state_dict().items()}
            if {name: tensor.shape for name, tensor in state[part].items()} != ours:
                raise ValueError("its weights are of another network")
        progress = state["progress"]
        restored = Progress(**{**progress, "current_epoch": EpochSoFar(**progress["current_epoch"])})
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.optimizer.load_state_dict(state["optimizer"])
        for part, network in networks.items():
            network.load_state_dict(state[part])
        self.progress = restored

    def steps_left(self) -> Sequence[Tensor]:
        """The images of each step that is left of the epoch, on the device."""
        generator = torch.Generator().manual_seed(seed_for(self.seed, "order", len(self.progress.history)))
        order = torch.randperm(len(self.train), generator=generator)
        steps = torch.split(self.train.indices[order.to(self.device)], self.recipe.batch_size)
        return steps[self.progress.current_epoch.num_batches :]

    def augmentation_generator(self) -> torch.Generator | None:
        """Of the next step's draws, on the CPU; None without an augmentation."""
        if self.recipe.augmentation == "none":
            return None
        return torch.Generator().manual_seed(seed_for(self.seed, "augment", self.num_taken))
