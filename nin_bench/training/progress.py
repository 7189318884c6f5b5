"""What is known of a training so far: its steps, its epochs, and whether it escaped chance. Imports no torch."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nin_bench.metrics import is_above_chance

ESCAPE_WINDOW = 20
"""Steps over which the running loss is averaged that has to be above chance level for an escape."""

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


class Step(NamedTuple):
    """What one optimizer step saw of its images, before it moved the weights."""

    smoothed_loss: float
    """Sum of the losses that are minimised, which label smoothing is part of."""
    loss: float
    """Sum of the losses without label smoothing."""
    num_right: float
    """Right images; one whose highest logits tie counts as the chance of a right pick."""


@dataclass
class EpochSoFar:
    """Sums over the steps of the current epoch."""

    num_batches: int = 0
    loss_sum: float = 0.0
    num_right: float = 0.0
    seconds: float = 0.0


@dataclass
class Progress:
    """What is known so far of a training; whole also when it ends early."""

    num_steps: int = 0
    """Steps whose loss was finite."""
    num_images: int = 0
    """Images in those steps; one counts each time it is seen."""
    escape_epoch: float | None = None
    history: list[Epoch] = field(default_factory=list)
    """A row for each epoch that has ended."""
    recent_losses: list[float] = field(default_factory=list)
    """Losses of the last steps, without label smoothing; as many as a running loss is the mean of."""
    current_epoch: EpochSoFar = field(default_factory=EpochSoFar)

    @property
    def train_seconds(self) -> float:
        """Time in training steps alone: no evaluation, no loading, and no step that was lost and done again."""
        return sum((row["seconds"] for row in self.history), start=self.current_epoch.seconds)

    @property
    def escaped(self) -> bool | None:
        """Whether the running loss was ever above chance level; None before there is a running loss."""
        return self.escape_epoch is not None if self.num_steps >= ESCAPE_WINDOW else None

    @property
    def images_per_second(self) -> float | None:
        """Training throughput, None before the first step has ended."""
        return self.num_images / self.train_seconds if self.num_images else None

    def note(self, step: Step, num_images: int, steps_per_epoch: int, chance_loss: float) -> None:
        """Note a step, and whether it was an escape; DivergedError, and no note, if its loss is not finite."""
        if not math.isfinite(step.smoothed_loss):
            raise DivergedError(self.num_steps + 1, step.smoothed_loss / num_images)
        self.num_steps += 1
        self.num_images += num_images
        self.current_epoch.num_batches += 1
        self.current_epoch.loss_sum += step.loss
        self.current_epoch.num_right += step.num_right
        self.recent_losses = [*self.recent_losses, step.loss / num_images][-ESCAPE_WINDOW:]
        if self.escape_epoch is None and len(self.recent_losses) == ESCAPE_WINDOW:
            running = sum(self.recent_losses) / ESCAPE_WINDOW
            self.escape_epoch = self.num_steps / steps_per_epoch if is_above_chance(running, chance_loss) else None
