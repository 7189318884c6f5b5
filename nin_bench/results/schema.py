"""The grid as it was last run, with its claims: `grid.json`. Imports no torch."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, Strict, model_validator

from nin_bench.cell import Cell, DataSpec, ModelSpec, Recipe, Scalar
from nin_bench.errors import unknown_name
from nin_bench.metrics import METRICS
from nin_bench.results.artefact import RUN_SCHEMA, Artefact, Count, Id, Machine, Part, Share, Tuple
from nin_bench.results.probes import Probes


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(unknown_name("metric", name, METRICS))
    return name


Sentence = Annotated[str, Field(pattern=r"\S")]
MetricName = Annotated[str, AfterValidator(_known_metric)]
_Pair = Annotated[tuple[str, str], Strict(False)]

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
    """A claim that belongs to the question, and that this grid cannot answer."""

    claim: Sentence = Field(validation_alias=AliasChoices("claim", "says"))
    """The claim, as a sentence."""
    reason: Sentence
    """Why it stays open here, and what would answer it."""


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
    """The seeds with which its variants could be compared: what the verdict rests on."""
    missing: Tuple[MissingAtLook] = ()
    """Cells of them that could not be compared, and why."""
    decided: bool
    verdict: Literal["supported", "refuted", "undecided", "not testable"]
    level: Share | None = None
    """What the look could spend of the claim's level; None in an older file, which has nothing of all this but the
    verdict and its seeds."""
    effect: float | None = None
    """The estimate; None if it is infinite, or if there is none."""
    interval: Annotated[tuple[float | None, float | None], Strict(False)] | None = None
    """At `level`; an end that the pairs do not bound is None."""
    reason: str | None = None
    """Why it was not testable."""
    taken_at: str


class Question(Part):
    """What a grid asks, and what it holds fixed: as its file says it, and as grid.json keeps it."""

    name: str
    profile: str
    """The one chosen, never `auto`."""
    question: str
    expect: str = ""
    source: str = ""
    """The text of the grid file."""
    data: Values
    """What all models share: defaults filled in, axes as lists."""
    recipe: Values
    """What all models share: defaults filled in, axes as lists; a model's own recipe goes over it."""
    class_names: Tuple[str] | None = None
    """Names of the classes, in the order of their labels; None if the variants see several datasets."""
    seeds: Tuple[Count]
    until_decided: UntilDecided | None = None
    """Whether the seeds end early, and where; None if all are trained."""
    baseline: str | None = None
    """A variant's label."""
    target: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Validation accuracy that epochs are counted to; None is a point less than the baseline's median."""
    hypotheses: Tuple[Hypothesis] = ()
    open_claims: Tuple[OpenClaim] = ()
    caveats: Tuple[str] = ()
    references: Tuple[Reference] = ()
    probes: Probes | None = None
    """What trained networks are asked beside their test images as they are."""


class ResolvedGrid(Artefact, Question):
    """The grid as it was last run: `grid.json`."""

    SCHEMA: ClassVar[int] = RUN_SCHEMA
    MAX_BYTES: ClassVar[int] = 64 * 2**20
    """A grid.json of some 300,000 cells."""

    code: dict[str, dict[str, str]] = Field(default={})
    """Digests of the definitions that each network was built with at the last run, by model."""
    variants: Tuple[ResolvedVariant]
    cells: Annotated[Tuple[PlannedId], Field(min_length=1)]
    device_kind: str
    machine: Machine | None = None
    lock: Lock | None = None
    """The last lock."""
    earlier_locks: Tuple[Lock] = ()
    """The locks before the last one, the first one first."""
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
