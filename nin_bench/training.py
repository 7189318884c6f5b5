"""Train one network: its step, epochs, evaluation, history, and whether it escaped chance.

Batch order, augmentation, dropout and every initial weight are functions of (seed, step), never of the
number of workers, so that a run on one thread repeats bit for bit. Knows nothing of grids, files or processes.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nin_bench.cell import Cell, Recipe
from nin_bench.data import ImageBatches
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, build_model
from nin_bench.optimization import initialise, learning_rate, make_optimizer

ESCAPE_MARGIN = 0.1
"""A network has escaped once its running loss lies this far below that of a constant guess, in nats."""
ESCAPE_WINDOW = 20
"""Steps over which the running loss is averaged."""
EVALUATION_BATCH = 250

Epoch = dict[str, Any]
"""One row of the history: epoch, losses and accuracies, learning rate, seconds."""


class DivergedError(Exception):
    """The training loss became NaN or infinite.

    Args:
        step: the first whose loss was not finite, counted from 1.
        loss: what it was.
    """

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"the training loss became {loss} at step {step}")
        self.step = step


class StoppedError(Exception):
    """Somebody asked the training to stop."""


@dataclass(frozen=True)
class Evaluation:
    """What a network says of a set of images, in evaluation mode."""

    loss: float
    """Mean cross-entropy."""
    predicted: Tensor
    """(N,) int64 class of the largest logit, or -1 for none, as `predict` tells."""
    probability: Tensor
    """(N,) float32 probability given to the predicted class, 1/classes where there is none."""
    labels: Tensor
    """(N,) int64."""
    num_dead_maps: int | None
    """Class maps that are zero at every pixel of every image; None for a network without class maps."""

    @property
    def accuracy(self) -> float:
        """Share of images whose predicted class is right; an image without prediction is wrong."""
        return (self.predicted == self.labels).double().mean().item()

    @property
    def num_no_prediction(self) -> int:
        """Images whose logits are all zero."""
        return int((self.predicted == -1).sum())

    def as_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Predicted class, its probability and the label, small enough to be kept for every cell."""
        return {
            "predicted": self.predicted.numpy().astype(np.int16),
            "probability": self.probability.numpy(),
            "label": self.labels.numpy().astype(np.int16),
        }


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


@dataclass
class Progress:
    """What is known so far of a training; whole also when it ends early."""

    num_steps: int = 0
    """Steps whose loss was finite."""
    train_seconds: float = 0.0
    """Time in training steps alone: no evaluation, no loading."""
    num_images: int = 0
    """Images in those steps; one counts each time it is seen."""
    escape_epoch: float | None = None
    history: list[Epoch] = field(default_factory=list)

    @property
    def escaped(self) -> bool | None:
        """Whether the running loss fell well below that of a constant guess; None before there is one."""
        return self.escape_epoch is not None if self.num_steps >= ESCAPE_WINDOW else None

    @property
    def images_per_second(self) -> float | None:
        """Training throughput, None before the first step has ended."""
        return self.num_images / self.train_seconds if self.num_images else None


@dataclass(frozen=True)
class Images:
    """Some of a set of images: those that an epoch goes through."""

    batches: ImageBatches
    indices: Tensor
    """(n,) int64."""

    def __len__(self) -> int:
        return len(self.indices)


def seed_for(seed: int, *purpose: object) -> int:
    """A 63-bit seed for one purpose, so that no two draws of a cell share a stream.

    >>> seed_for(0, "init") != seed_for(0, "order", 1)
    True
    """
    text = ":".join(map(str, (seed, *purpose)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


def make_network(cell: Cell, image: ImageSpec, device: torch.device) -> nn.Module:
    """A cell's network with its initial weights, on its device.

    Raises:
        SpecError: what `build_model` refuses.
    """
    torch.manual_seed(seed_for(cell.seed, "init"))
    model = build_model(cell.model.name, image, **cell.model.arguments)
    initialise(model, cell.recipe)
    return model.to(device).to(memory_format=torch.channels_last)


def predict(logits: Tensor) -> Tensor:
    """(N,) int64 class of the largest of (N, classes) logits; -1 where all are zero, so that none stands out."""
    return logits.argmax(1).masked_fill((logits == 0).all(1), -1)


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


def _compiled(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The model through torch.compile; on CUDA as a graph, which spares small networks most of their launches."""
    return torch.compile(model, mode="reduce-overhead" if device.type == "cuda" else "default")


class Trainer:
    """One network in training.

    Args:
        model: the network, its weights drawn, on its device.
        recipe: how to train it.
        train: the images to train on, on the same device.
        seed: of the cell.
        chance_loss: of a constant guess on these images, in nats.

    Raises:
        SpecError: the network and the recipe do not go together.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, train: Images, *, seed: int, chance_loss: float) -> None:
        check_micro_batch(model, recipe)
        self.model = model
        self.recipe = recipe
        self.train = train
        self.seed = seed
        self.device = next(model.parameters()).device
        # Evaluation takes the model itself: a compiled one would not see the hook on its class maps.
        self.forward = _compiled(model, self.device) if recipe.compile else model
        self.optimizer = make_optimizer(model, recipe)
        self.loss = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing, reduction="sum")
        self.chance_loss = chance_loss
        self.progress = Progress()
        self._recent: deque[float] = deque(maxlen=ESCAPE_WINDOW)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over the training images; the last may be a smaller batch."""
        return math.ceil(len(self.train) / self.recipe.batch_size)

    def autocast(self) -> torch.autocast:
        """The recipe's precision, for forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16")

    def run_epoch(self, should_stop: Callable[[], bool] = lambda: False) -> Epoch:
        """Train one pass over the images and return its row of the history.

        Raises:
            DivergedError: the loss is NaN or infinite; nothing is done after that step.
            StoppedError: `should_stop` answered yes before a step.
        """
        epoch = len(self.progress.history)
        self.model.train()
        loss_sum, num_right = 0.0, 0
        started = time.perf_counter()
        try:
            for number, indices in enumerate(self._order(epoch)):
                if should_stop():
                    raise StoppedError
                self._set_learning_rate(epoch + number / self.steps_per_epoch)
                batch_loss, right = self.step(indices)
                self._note_loss(batch_loss / len(indices))
                self.progress.num_images += len(indices)
                loss_sum += batch_loss
                num_right += right
        finally:
            seconds = time.perf_counter() - started
            self.progress.train_seconds += seconds
        row: Epoch = {
            "epoch": epoch + 1,
            "train_loss": loss_sum / len(self.train),
            "train_accuracy": num_right / len(self.train),
            "lr": self.optimizer.param_groups[0]["lr"],
            "seconds": seconds,
        }
        self.progress.history.append(row)
        return row

    def step(self, indices: Tensor) -> tuple[float, int]:
        """One optimizer step on some images: (sum of their losses, number classified rightly).

        Micro-batches sum to the gradient of the batch's mean loss.
        """
        generator = torch.Generator().manual_seed(seed_for(self.seed, "augment", self.progress.num_steps))
        torch.manual_seed(seed_for(self.seed, "dropout", self.progress.num_steps))
        self.optimizer.zero_grad(set_to_none=True)
        loss_sum = torch.zeros((), device=self.device)
        num_right = torch.zeros((), dtype=torch.int64, device=self.device)
        for part in torch.split(indices, self.recipe.micro_batch or len(indices)):
            images, labels = self.train.batches.take(
                part, augmentation=self.recipe.augmentation, generator=generator
            )
            with self.autocast():
                logits = self.forward(images)
            loss = self.loss(logits.float(), labels)
            (loss / len(indices)).backward()
            loss_sum += loss.detach()
            num_right += (predict(logits.detach()) == labels).sum()
        self.optimizer.step()
        return loss_sum.item(), int(num_right.item())

    def evaluate(self, images: Images, should_stop: Callable[[], bool] = lambda: False) -> Evaluation:
        """Loss and predictions for every image, in evaluation mode and without label smoothing.

        Raises:
            StoppedError: `should_stop` answered yes before a batch.
        """
        self.model.eval()
        loss_sum, predicted, probability, labels = 0.0, [], [], []
        with torch.inference_mode(), _ClassMaps(self.model) as class_maps:
            for part in torch.split(images.indices, EVALUATION_BATCH):
                if should_stop():
                    raise StoppedError
                inputs, targets = images.batches.take(part)
                with self.autocast():
                    logits = self.model(inputs)
                logits = logits.float()
                loss_sum += nn.functional.cross_entropy(logits, targets, reduction="sum").item()
                predicted.append(predict(logits).cpu())
                probability.append(logits.softmax(1).amax(1).cpu())
                labels.append(targets.cpu())
        return Evaluation(
            loss=loss_sum / len(images),
            predicted=torch.cat(predicted),
            probability=torch.cat(probability),
            labels=torch.cat(labels),
            num_dead_maps=class_maps.num_dead,
        )

    def _order(self, epoch: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed_for(self.seed, "order", epoch))
        shuffled = self.train.indices[torch.randperm(len(self.train), generator=generator)]
        yield from torch.split(shuffled, self.recipe.batch_size)

    def _set_learning_rate(self, epoch: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, epoch)

    def _note_loss(self, loss: float) -> None:
        progress = self.progress
        if not math.isfinite(loss):
            raise DivergedError(progress.num_steps + 1, loss)
        progress.num_steps += 1
        self._recent.append(loss)
        full = len(self._recent) == ESCAPE_WINDOW
        if progress.escape_epoch is None and full:
            running = sum(self._recent) / ESCAPE_WINDOW
            if running < self.chance_loss - ESCAPE_MARGIN:
                progress.escape_epoch = progress.num_steps / self.steps_per_epoch


class _ClassMaps:
    """While it is entered, watch which maps of a network's `class_block` are ever other than zero."""

    def __init__(self, model: nn.Module) -> None:
        self._block: nn.Module | None = getattr(model, "class_block", None)
        self._alive: Tensor | None = None

    def __enter__(self) -> "_ClassMaps":
        self._hook = self._block.register_forward_hook(self._look) if self._block is not None else None
        return self

    def __exit__(self, *_: object) -> None:
        if self._hook is not None:
            self._hook.remove()

    def _look(self, block: nn.Module, inputs: object, maps: Tensor) -> None:
        alive = (maps != 0).any(dim=(0, 2, 3))
        self._alive = alive if self._alive is None else self._alive | alive

    @property
    def num_dead(self) -> int | None:
        """How many never were; None without class maps."""
        return None if self._alive is None else int((~self._alive).sum())
