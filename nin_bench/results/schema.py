"""The two files of a run: grid.json, what was planned, and a record for each cell, what came of it.

Imports no torch.
"""

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, Field, Strict, model_serializer, model_validator

from nin_bench.cell import Cell, DataSpec, ModelSpec, Recipe, Scalar
from nin_bench.errors import unknown_name
from nin_bench.files import DamagedFileError
from nin_bench.metrics import METRICS
from nin_bench.results.artefact import Artefact, Count, Id, Machine, NonNegative, Part, Tuple
from nin_bench.results.probes import Probes

SCHEMA = 2
"""Of grid.json, records and predictions."""

Outcome = Literal["trained", "diverged", "invalid", "out_of_memory", "crashed", "timed_out", "interrupted"]
"""What can come of a cell."""

OUTCOMES: frozenset[str] = frozenset(get_args(Outcome))

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


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(unknown_name("metric", name, METRICS))
    return name


Share = Annotated[float, Field(ge=0, le=1)]
_Class = Annotated[int, Field(ge=0, lt=MAX_CLASSES)]
Classes = Annotated[Tuple[_Class], AfterValidator(_sorted_classes)]
"""Classes by number, sorted."""
Confusion = Annotated[
    Tuple[Annotated[tuple[_Class, _Class, Annotated[int, Field(ge=1)]], Strict(False)]],
    AfterValidator(_sorted_pairs),
]
MetricName = Annotated[str, AfterValidator(_known_metric)]
_Pair = Annotated[tuple[str, str], Strict(False)]


# Records


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
    """Of one image's forward pass."""
    train_seconds: NonNegative | None = None
    observed_images_per_second: NonNegative | None = None
    """Seen in training, with whatever else ran beside it."""
    peak_memory_bytes: Count | None = None
    chance_loss: NonNegative | None = None
    """Entropy of the training labels, in nats: the loss of a constant guess."""
    chance_accuracy: Share | None = None
    """Of a guess that always names the commonest class."""
    failed: bool | None = None
    """Whether it diverged, or its final training loss is not 5 % below `chance_loss`."""
    escaped: bool | None = None
    """Whether its running training loss ever fell 5 % below `chance_loss`."""
    escape_epoch: NonNegative | None = None
    """When it first did, in epochs."""
    test_balanced_accuracy: Share | None = None
    test_macro_f1: Share | None = None
    test_top5_accuracy: Share | None = None
    """None for fewer than six classes."""
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


class Record(Artefact):
    """What came of a cell: `cells/<cell-id>.json`."""

    SCHEMA: ClassVar[int] = SCHEMA

    cell_id: Id
    variant_id: Id
    label: str
    """The variant's, in the grid that it was trained for."""
    cell: Cell
    """As trained. Files do not keep a model's defaults, so its own id is `cell_id`, not `cell.cell_id`."""
    outcome: Outcome
    """Of the last attempt."""
    attempts: Annotated[Tuple[Attempt], Field(min_length=1)]
    metrics: Metrics
    history: Tuple[Epoch]
    """A row for each epoch that ended."""
    environment: dict[str, Any] = Field(default={})
    """Where it was trained."""
    code_digest: str | None = None
    """Of the model's source code."""
    reused_from: str | None = None
    """The results folder that the record was taken over from."""
    batched_seeds: Annotated[int, Field(ge=2)] | None = None
    """Seeds that were trained as one batched model; None if the cell trained alone."""

    @model_validator(mode="after")
    def _epochs_are_in_order(self) -> Self:
        for number, row in enumerate(self.history, start=1):
            if row.epoch != number:
                raise ValueError(f"history.{number - 1}: epoch {row.epoch} in the place of epoch {number}")
        return self

    def check_id(self, cell_id: str) -> None:
        """See that the record is of the cell that its place says.

        Raises:
            DamagedFileError: it is of another.
        """
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


# grid.json

Values = dict[str, Scalar | Tuple[Scalar]]


class Match(Part):
    """What a variant's width was chosen for: to be as large as another variant."""

    size: Literal["num_params", "num_macs"]
    to: str
    """Label of the other variant."""
    width: float
    target: Count
    reached: Count
    residue: float
    """What is left of the difference, relative to the target."""


class ResolvedVariant(Part):
    """A variant with all its values."""

    variant_id: Id
    label: str
    own_label: bool = False
    """Whether the grid gives the label itself."""
    model: ModelSpec
    data: DataSpec
    recipe: Recipe
    match: Match | None = None

    def cell(self, seed: int) -> Cell:
        """The variant with a seed."""
        return Cell.model_construct(
            model=self.model, data=self.data, recipe=self.recipe, seed=seed, label=self.label
        )


class PlannedId(Part):
    """A planned cell, by name."""

    cell_id: Id
    variant_id: Id
    label: str
    seed: Count


class ClaimPoint(Part):
    """A claim at one value of the axis that it is judged over."""

    value: Scalar
    compare: _Pair
    minus: _Pair | None = None


class Hypothesis(Part):
    """A claim about one variant against another."""

    id: str
    claim: str
    """What is claimed, as a sentence."""
    primary: bool = False
    """Whether it shares one level with the other primary claims."""
    metric: MetricName
    compare: _Pair
    """Labels of the two variants; the claim is about the first, relative to the second. The same one twice where
    `kinds` are compared; those of the first value where the claim is `over` an axis."""
    minus: _Pair | None = None
    """Two more: the claim is about the difference within `compare`, less the difference within these."""
    over: str | None = None
    """An axis: the claim is judged for each of its values, and for all together."""
    points: Tuple[ClaimPoint] = ()
    """The claim at each value of `over`, in the grid's order."""
    kinds: _Pair | None = None
    """Two kinds of layers; the claim is about the first kind's share of the metric, relative to the second's."""
    expect: Literal["greater", "less", "equivalent"]
    margin: Annotated[float, Field(ge=0)] | None = None
    """The smallest difference that matters, in the metric's unit."""
    factor: Annotated[float, Field(gt=1)] | None = None
    """The smallest ratio that matters."""

    @property
    def compared_labels(self) -> list[str]:
        """Labels of all variants that it compares, at each value of the axis that it is judged over."""
        pairs = [self.compare, self.minus]
        for point in self.points:
            pairs += [point.compare, point.minus]
        return [label for pair in pairs if pair for label in pair]


class OpenClaim(Part):
    """A claim that the grid cannot answer."""

    claim: str
    reason: str


class Reference(Part):
    """A published value that a variant is held against."""

    id: str
    claim: str
    """What was published, as a sentence."""
    metric: MetricName
    model: str
    """Label of the variant."""
    value: float
    n: Annotated[int, Field(ge=1)]
    sd: Annotated[float, Field(gt=0)] | None
    source: str
    url: str | None
    differs: str | None


class Lock(Part):
    """Hypotheses and seeds as they stood at a run."""

    digest: str
    locked_at: str
    seeds: Tuple[int]
    hypotheses: Tuple[Hypothesis]
    variants: dict[str, Id] = Field(default={})
    """Ids of the variants, by label."""
    num_cells_known: Count | None = None
    """Planned cells whose results were known then; None if nobody counted."""
    already_trained: Tuple[str] = ()
    """Ids of the hypotheses of whose variants all cells were known then."""


class UntilDecided(Part):
    """Seeds until every primary claim is decided."""

    at_most: Annotated[int, Field(ge=1)]
    """Seeds of a variant."""
    looks: Annotated[Tuple[Count], Field(min_length=1)]
    """Numbers of seeds after which the claims are judged."""


class MissingAtLook(Part):
    """A cell that could not be compared when a claim was looked at."""

    variant_id: Id
    seed: Count
    reason: str


class TakenLook(Part):
    """What was decided when a claim was looked at; it is never decided again."""

    hypothesis: str
    """The claim's id."""
    claim: str
    """Digest of the claim as it stood; a claim that was changed since has not been looked at."""
    n: Annotated[int, Field(ge=1)]
    """The first n listed seeds had ended for all of its variants."""
    seeds: Tuple[Count]
    """Those of them with which its variants could be compared: what the verdict rests on."""
    missing: Tuple[MissingAtLook] = ()
    """Cells of them that could not be compared, and why."""
    decided: bool
    verdict: Literal["supported", "refuted", "undecided", "not testable"]
    level: Share | None = None
    """What the look could spend of the claim's level; None in an older file, which has nothing of all this but the
    verdict and its seeds."""
    effect: float | None = None
    """None where it is infinite, or where there is none."""
    interval: Annotated[tuple[float | None, float | None], Strict(False)] | None = None
    """At `level`; an end that the pairs do not bound is None."""
    reason: str | None = None
    """Why it was not testable."""
    taken_at: str


class ResolvedGrid(Artefact):
    """The grid as it was last run: `grid.json`."""

    SCHEMA: ClassVar[int] = SCHEMA
    MAX_BYTES: ClassVar[int] = 64 * 2**20
    """A grid.json of some 300,000 cells."""

    name: str
    profile: str
    question: str
    expect: str = ""
    source: str = ""
    """The text of the grid file."""
    data: Values
    recipe: Values
    code: dict[str, dict[str, str]] = Field(default={})
    """By model, digests of the definitions that its network is built with, at the last run."""
    class_names: Tuple[str] | None = None
    """Of the dataset, in the order of its labels; None if the variants see several."""
    seeds: Tuple[Count]
    until_decided: UntilDecided | None = None
    """Whether the seeds end early, and where; None if all are trained."""
    baseline: str | None = None
    target: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Validation accuracy that epochs are counted to; None is a point less than the baseline's median."""
    variants: Tuple[ResolvedVariant]
    cells: Annotated[Tuple[PlannedId], Field(min_length=1)]
    hypotheses: Tuple[Hypothesis] = ()
    open_claims: Tuple[OpenClaim] = ()
    caveats: Tuple[str] = ()
    references: Tuple[Reference] = ()
    probes: Probes | None = None
    """What trained networks are asked beside their test images as they are."""
    device_kind: str
    machine: Machine | None = None
    lock: Lock | None = None
    """The last one."""
    earlier_locks: Tuple[Lock] = ()
    """Those before it, the first one first."""
    looks: Tuple[TakenLook] = ()
    """The looks that were taken, in their order."""

    @model_validator(mode="after")
    def _cells_are_of_variants(self) -> Self:
        known = self.variants_by_id
        for number, cell in enumerate(self.cells):
            if cell.variant_id not in known:
                raise ValueError(f"cells.{number}.variant_id: {cell.variant_id!r} is none of the variants")
        return self

    @property
    def locks(self) -> tuple[Lock, ...]:
        """All locks there were, the first one first."""
        return (*self.earlier_locks, *([self.lock] if self.lock else []))

    @cached_property
    def variants_by_id(self) -> Mapping[str, ResolvedVariant]:
        """The variants, by id."""
        return {variant.variant_id: variant for variant in self.variants}

    @cached_property
    def planned_cells(self) -> Mapping[str, Cell]:
        """The cells as resolved, by id; files keep no defaults of models, so a cell cannot tell its id itself."""
        return {cell.cell_id: self.variants_by_id[cell.variant_id].cell(cell.seed) for cell in self.cells}
