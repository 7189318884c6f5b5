"""Ask a network about images in evaluation mode: loss, predictions, and which class maps are dead."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nin_bench.data.batches import ImageBatches
from nin_bench.training import scores

EVALUATION_BATCH = 250
MAX_HELD = 2**20
"""Logits that are held before their answers are read off them."""
TOP = 5

_KEPT: Mapping[str, type[np.generic]] = {
    "predicted": np.int16,
    "credit": np.float32,
    "probability": np.float32,
    "label": np.int16,
}
"""What is kept of every image, and small enough to be kept for every cell."""


class StoppedError(Exception):
    """Somebody asked the training to stop."""


@dataclass(frozen=True)
class Images:
    """Some of a set of images: those that an epoch goes through."""

    batches: ImageBatches
    indices: Tensor
    """(n,) int64, on the device of the batches."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", self.indices.to(self.batches.device))

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Answers:
    """What a network says of each image of a set."""

    predictions: Mapping[str, npt.NDArray[Any]]
    """`predicted`, `credit`, `probability` and `label` of every image, as `answers` gives them, each (N,)."""
    times_predicted: npt.NDArray[np.float64]
    """(classes,) how often each class was predicted; tied classes share an image."""
    top5_accuracy: float | None
    """Share of images whose class is among the five highest logits; None with fewer than six classes."""

    def scores(self) -> dict[str, Any]:
        """The metrics of a record's test images beside loss and accuracy."""
        return {
            **scores.score(self.predictions, self.times_predicted),
            "test_top5_accuracy": self.top5_accuracy,
            "test_calibration_error": scores.calibration_error(self.predictions),
        }


@dataclass(frozen=True)
class Evaluation:
    """How a network does on a set of images, in evaluation mode."""

    loss: float
    """Mean cross-entropy, without label smoothing."""
    accuracy: float
    """Share of right images; one whose highest logits tie counts as the chance of picking the right class."""
    dead_maps: list[int] | None
    """Class maps that are zero at every pixel of every image, by number; None for a network without class maps."""
    answers: Answers | None = None
    """None unless they were asked for."""

    @property
    def num_dead_maps(self) -> int | None:
        """Number of dead class maps; None for a network without class maps."""
        return None if self.dead_maps is None else len(self.dead_maps)


def right(logits: Tensor, labels: Tensor) -> Tensor:
    """What each image adds to the number of right ones.

    Args:
        logits: (N, classes) float.
        labels: (N,) int64.

    Returns:
        (N,) float32: 1 if the label alone has the highest logit, 1/k if k classes share it and the label is one of
        them, else 0; 0 if a logit is NaN.
    """
    tied = logits == logits.amax(1, keepdim=True)
    return tied.gather(1, labels[:, None]).squeeze(1) / tied.sum(1).clamp(min=1)


def answers(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What logits say of each image.

    Args:
        logits: (N, classes) float.
        labels: (N,) int64.

    Returns:
        (N,) each: `predicted`, the class of the highest logit; where some tie the label if it is among them, else
        the lowest of them; -1 if a logit is NaN. `credit`, 1 over the number of tied classes; 0 if a logit is NaN.
        `probability` of the predicted class. `label`. `right`: see there. `top5`, the chance that the label is in
        the highest five. And (1, classes) `times_predicted`.
    """
    column = labels[:, None]
    tied = logits == logits.amax(1, keepdim=True)
    num_tied, is_right = tied.sum(1), tied.gather(1, column).squeeze(1)
    is_number = num_tied > 0
    credit = torch.where(is_number, 1 / num_tied, 0.0)
    own = logits.gather(1, column)
    num_above, num_equal = (logits > own).sum(1), (logits == own).sum(1)
    return {
        "predicted": torch.where(is_right, labels, logits.argmax(1)).masked_fill(~is_number, scores.NO_PREDICTION),
        "credit": credit,
        "probability": logits.softmax(1).amax(1).nan_to_num(0.0),
        "label": labels,
        "right": is_right * credit,
        "top5": torch.where(is_number, ((TOP - num_above) / num_equal).clamp(0, 1), 0.0),
        "times_predicted": (tied * credit[:, None]).sum(0, keepdim=True),
    }


def evaluate(
    model: nn.Module,
    images: Images,
    autocast: torch.autocast,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    keep_answers: bool = False,
) -> Evaluation:
    """How a network does on images, in evaluation mode and without label smoothing.

    Args:
        model: the network; left in evaluation mode.
        images: on the network's device.
        autocast: the precision of forward passes.
        should_stop: is asked before every batch.
        keep_answers: whether to keep what it says of each image.

    Raises:
        StoppedError: `should_stop` answered yes.
    """
    model.eval()
    losses: list[Tensor] = []
    held: list[tuple[Tensor, Tensor]] = []
    found: dict[str, list[Tensor]] = defaultdict(list)

    def read_held() -> None:
        logits, labels = (torch.cat(parts) for parts in zip(*held, strict=True))
        held.clear()
        for name, values in (answers if keep_answers else _right_alone)(logits, labels).items():
            found[name].append(values)

    with torch.inference_mode(), _ClassMaps(model) as class_maps:
        for part in torch.split(images.indices, EVALUATION_BATCH):
            if should_stop():
                raise StoppedError
            inputs, targets = images.batches.take(part)
            with autocast:
                logits = model(inputs)
            logits = logits.to(torch.float32, copy=True)  # a network may return the same memory each time
            losses.append(cross_entropy(logits, targets, reduction="sum"))
            held.append((logits, targets))
            if len(held) * logits.numel() >= MAX_HELD:
                read_held()
        # The host reads nothing before here, so that no batch waits for the one before it.
        loss = sum(torch.stack(losses).tolist()) / len(images)
        if held:
            read_held()
        joined = {name: torch.cat(values).cpu().numpy() for name, values in found.items()}
    return Evaluation(
        loss=loss,
        accuracy=float(joined["right"].mean(dtype=np.float64)),
        dead_maps=class_maps.dead,
        answers=_answers(joined) if keep_answers else None,
    )


def _right_alone(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return {"right": right(logits, labels)}


def _answers(joined: Mapping[str, npt.NDArray[Any]]) -> Answers:
    times_predicted = joined["times_predicted"].sum(0, dtype=np.float64)
    return Answers(
        predictions={name: joined[name].astype(dtype) for name, dtype in _KEPT.items()},
        times_predicted=times_predicted,
        top5_accuracy=float(joined["top5"].mean(dtype=np.float64)) if len(times_predicted) > TOP else None,
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
