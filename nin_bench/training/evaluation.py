"""Ask a network about images in evaluation mode: loss, predictions, and which class maps are dead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nin_bench.data import ImageBatches

EVALUATION_BATCH = 250


class StoppedError(Exception):
    """Somebody asked the training to stop."""


@dataclass(frozen=True)
class Images:
    """Some of a set of images: those that an epoch goes through."""

    batches: ImageBatches
    indices: Tensor
    """(n,) int64."""

    def __len__(self) -> int:
        return len(self.indices)


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
    dead_maps: list[int] | None
    """Class maps that are zero at every pixel of every image, by number; None for a network without class maps."""

    @property
    def num_dead_maps(self) -> int | None:
        """How many those are; None likewise."""
        return None if self.dead_maps is None else len(self.dead_maps)

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


def predict(logits: Tensor) -> Tensor:
    """(N,) int64 class of the largest of (N, classes) logits; -1 where all are zero, so that none stands out."""
    return logits.argmax(1).masked_fill((logits == 0).all(1), -1)


def evaluate(
    model: nn.Module, images: Images, autocast: torch.autocast, should_stop: Callable[[], bool] = lambda: False
) -> Evaluation:
    """Loss and predictions for every image, in evaluation mode and without label smoothing.

    Args:
        model: the network; left in evaluation mode.
        images: on the network's device.
        autocast: the precision of forward passes.
        should_stop: is asked before every batch.

    Raises:
        StoppedError: `should_stop` answered yes.
    """
    model.eval()
    loss_sum, predicted, probability, labels = 0.0, [], [], []
    with torch.inference_mode(), _ClassMaps(model) as class_maps:
        for part in torch.split(images.indices, EVALUATION_BATCH):
            if should_stop():
                raise StoppedError
            inputs, targets = images.batches.take(part)
            with autocast:
                logits = model(inputs)
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
        dead_maps=class_maps.dead,
    )


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
    def dead(self) -> list[int] | None:
        """Which never were; None without class maps."""
        return None if self._alive is None else (~self._alive).nonzero().flatten().tolist()
