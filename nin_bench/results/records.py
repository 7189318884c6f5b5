"""What came of a cell: a record in `cells/<cell-id>.json`. Imports no torch."""

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, Strict, model_serializer, model_validator

from nin_bench.cell import Cell
from nin_bench.files import DamagedFileError
from nin_bench.results.artefact import RUN_SCHEMA, Artefact, Count, Id, NonNegative, Part, Share, Tuple

Outcome = Literal["trained", "diverged", "invalid", "out_of_memory", "crashed", "timed_out", "interrupted"]
"""What can come of a cell."""

FINAL_OUTCOMES = frozenset({"trained", "diverged", "invalid"})
"""Outcomes that another try would not change: `run` skips such cells and tries the others again."""

MAX_CLASSES = 2**15
"""The predictions' int16 can tell so many apart."""


def _sorted_classes(classes: tuple[int, ...]) -> tuple[int, ...]:
    if any(one >= other for one, other in pairwise(classes)):
        raise ValueError("classes must be sorted, each named once")
    return classes


def _sorted_pairs(counts: tuple[tuple[int, int, int], ...]) -> tuple[tuple[int, int, int], ...]:
    if any(one[:2] >= other[:2] for one, other in pairwise(counts)):
        raise ValueError("pairs of classes must be sorted, each named once")
    return counts


_Class = Annotated[int, Field(ge=0, lt=MAX_CLASSES)]
Classes = Annotated[Tuple[_Class], AfterValidator(_sorted_classes)]
"""Classes by number, sorted."""
Confusion = Annotated[
    Tuple[Annotated[tuple[_Class, _Class, Annotated[int, Field(ge=1)]], Strict(False)]],
    AfterValidator(_sorted_pairs),
]


class Metrics(Part):
    """What is known of a cell; None where something is not known or does not apply."""

    test_accuracy: Share | None = None
    test_loss: NonNegative | None = None
    train_accuracy: Share | None = None
    train_loss: NonNegative | None = None
    validation_accuracy: Share | None = None
    validation_loss: NonNegative | None = None
    num_params: Count | None = None
    num_macs: Count | None = None
    """Multiply-accumulates of one image's forward pass."""
    train_seconds: NonNegative | None = None
    observed_images_per_second: NonNegative | None = None
    """Seen in training, with whatever else ran beside it."""
    peak_memory_bytes: Count | None = None
    chance_loss: NonNegative | None = None
    """Entropy of the training labels, in nats: the loss of a constant guess."""
    chance_accuracy: Share | None = None
    """The accuracy of a guess that always names the commonest class."""
    failed: bool | None = None
    """Whether it diverged, or its final training loss is not 5 % below `chance_loss`."""
    escaped: bool | None = None
    """Whether its running training loss ever fell 5 % below `chance_loss`."""
    escape_epoch: NonNegative | None = None
    """When it first did, in epochs."""
    test_balanced_accuracy: Share | None = None
    test_macro_f1: Share | None = None
    test_top5_accuracy: Share | None = None
    """The share of images whose class is among the five likeliest; None for fewer than six classes."""
    test_calibration_error: Share | None = None
    """Expected calibration error of the top probability, in 15 bins of equal width."""
    confusion: Confusion | None = None
    """Test images by true and predicted class: [true, predicted, count], sorted; no count is 0. An image without a
    unique top class is in none of them; `num_tied` counts those."""
    num_tied: Count | None = None
    lost_classes: Classes | None = None
    """Classes that occur in the test images and are the unique top class of none."""
    num_lost_classes: Count | None = None
    num_dead_maps: Count | None = None
    dead_maps: Classes | None = None
    """Classes whose map is zero on every training image."""
    num_steps: Count | None = None
    failed_step: Count | None = None
    """The first step whose loss was not finite."""
    stopped_epoch: Count | None = None
    """The epoch after which `early_stop` ended the training; None if it did not."""
    micro_batch: Annotated[int, Field(ge=1)] | None = None
    """Images that passed at once, where the recipe leaves that to the machine."""


class Epoch(Part):
    """A row of a cell's history; what was not evaluated is None, and is left out of the file."""

    epoch: Annotated[int, Field(ge=1)]
    train_loss: NonNegative | None = None
    train_accuracy: Share | None = None
    validation_loss: NonNegative | None = None
    validation_accuracy: Share | None = None
    test_loss: NonNegative | None = None
    test_accuracy: Share | None = None
    lr: NonNegative | None = None
    """At the epoch's end."""
    seconds: NonNegative | None = None
    """In training steps."""
    dead_maps: Classes | None = None

    @model_serializer
    def known(self) -> dict[str, Any]:
        """The values that are known, by name."""
        return {name: value for name, value in self.__dict__.items() if value is not None}


_VARYING = ("seconds", "per_second", "memory_bytes", "joules")
"""How the names of what no two trainings of a cell repeat end."""


class Attempt(Part):
    """One attempt at a cell."""

    outcome: Outcome
    error: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    seconds: NonNegative | None = None
    estimated_seconds: NonNegative | None = None


class Devices(Part):
    """Devices that trained a cell together."""

    count: Annotated[int, Field(ge=2)]
    images_per_second: NonNegative | None = None
    """In the training steps of the last attempt, by all of them."""
    one_device_images_per_second: NonNegative | None = None
    """The speed of one device alone, as it was measured on this machine; None if it was not."""
    scaling_efficiency: NonNegative | None = None
    """`images_per_second`, divided by `count` times that of one device; 1 is perfect."""


class Record(Artefact):
    """What came of a cell: `cells/<cell-id>.json`."""

    SCHEMA: ClassVar[int] = RUN_SCHEMA

    cell_id: Id
    variant_id: Id
    label: str
    """The variant's, in the grid that it was trained for."""
    cell: Cell
    """The cell as trained. Files keep no defaults of its model, so its id is `cell_id`, not `cell.cell_id`."""
    outcome: Outcome
    """What came of the last attempt."""
    attempts: Annotated[Tuple[Attempt], Field(min_length=1)]
    metrics: Metrics
    history: Tuple[Epoch]
    """A row for each epoch that ended."""
    environment: dict[str, Any] = Field(default={})
    """Where it was trained."""
    code_digest: str | None = None
    """The digest of the model's source code."""
    reused_from: str | None = None
    """The results folder that the record was taken over from."""
    batched_seeds: Annotated[int, Field(ge=2)] | None = None
    """Seeds that were trained as one batched model; None if the cell trained alone."""
    devices: Devices | None = None
    """Devices that trained the cell together; None if it was one."""

    @model_validator(mode="after")
    def _epochs_are_in_order(self) -> Self:
        for number, row in enumerate(self.history, start=1):
            if row.epoch != number:
                raise ValueError(f"history.{number - 1}: epoch {row.epoch} in the place of epoch {number}")
        return self

    def check_id(self, cell_id: str) -> None:
        """See that the record is of the cell that its place says; DamagedFileError if it is of another."""
        if self.cell_id != cell_id:
            raise DamagedFileError(f"is the record of another cell, {self.cell_id!r}")

    def lasting(self) -> dict[str, Any]:
        """What another training of the cell repeats: outcome, metrics and history, by their place.

        Times, rates per second, memory and energy are left out, and so is what is not known.
        """
        rows: dict[str, Part] = {"metrics": self.metrics}
        rows |= {f"history.{row.epoch}": row for row in self.history}
        return {"outcome": self.outcome} | {
            f"{place}.{name}": value
            for place, row in rows.items()
            for name, value in dict(row).items()
            if value is not None and not name.endswith(_VARYING)
        }

    def is_of(self, planned: Cell) -> bool:
        """Whether this record, under the id of `planned`, is of that cell; no if a default has changed since.

        An argument of the model that the record lacks is younger than it, and at its default: else the id, a hash
        of all that is not, would be another.
        """
        cell = self.cell
        return (
            (cell.seed, cell.data, cell.recipe) == (planned.seed, planned.data, planned.recipe)
            and (cell.model.name, cell.model.revision) == (planned.model.name, planned.model.revision)
            and cell.model.arguments.items() <= planned.model.arguments.items()
        )
