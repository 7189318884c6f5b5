"""A grid's file as one pydantic model.

Nothing inside a section is required that a profile may give: what is missing of the whole is said on expanding it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args

from pydantic import AfterValidator, AliasChoices, ConfigDict, Discriminator, Field, Tag, model_validator

from nin_bench.cell import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from nin_bench.errors import shown
from nin_bench.grid.entries import (
    AblateEntry,
    Argument,
    CellPattern,
    DataAxes,
    ModelEntry,
    Pattern,
    RecipeAxes,
    Section,
    value_or_list,
)
from nin_bench.grid.refusals import Loc, refuse, wrong
from nin_bench.metrics import METRICS
from nin_bench.results.cost_entry import Kind
from nin_bench.results.probes import Probes
from nin_bench.results.schema import OpenClaim, Sentence

SCHEMA = 1

FOLDER_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""A name of a grid or a profile, which name folders."""
FolderName = Annotated[str, Field(pattern=FOLDER_NAME)]

if TYPE_CHECKING:
    MetricName = str
    SpreadName = str
else:
    MetricName = Literal[tuple(METRICS)]
    SpreadName = Literal[tuple(name for name, metric in METRICS.items() if metric.kind == "quality")]

Two = Annotated[list[Pattern], Field(min_length=2, max_length=2)]

SHARED_OUT = ("num_params", "num_macs", "train_seconds")
"""What a claim about kinds of layers shares out among them: time is that of the layers in a training step."""


class HypothesisEntry(Section):
    """A claim, written before the run: about two variants, two pairs of them, or two kinds of layers of one."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"oneOf": [{"required": ["margin"]}, {"required": ["factor"]}]},
                {"oneOf": [{"required": ["compare"]}, {"required": ["of", "kinds"]}]},
            ]
        }
    )

    id: FolderName
    """A short name of the claim."""
    claim: Sentence = Field(validation_alias=AliasChoices("claim", "says"))
    """The claim, as a sentence."""
    primary: bool = False
    """Whether it shares one level of 5 % with the other primary claims."""
    metric: MetricName
    """What is compared."""
    compare: Two | None = None
    """Two patterns, each of one variant; the claim is about the first, relative to the second."""
    minus: Two | None = None
    """Two more patterns: the claim is about the difference within `compare`, less the difference within these."""
    over: str | None = None
    """An axis, as `pointwise` or `data.train_size`: the claim is judged for each of its values, and together."""
    of: Pattern | None = None
    """In place of `compare`: a pattern of the one variant whose `kinds` of layers are compared."""
    kinds: Annotated[list[Kind], Field(min_length=2, max_length=2)] | None = None
    """Two kinds of layers; the claim is about the first kind's share of the metric, relative to the second's."""
    expect: Literal["greater", "less", "equivalent"]
    """What is claimed of the first side, relative to the second."""
    margin: NonNegativeFloat | None = None
    """The smallest difference that matters, in the metric's unit; of shares, 0.01 is one point."""
    factor: PositiveFloat | None = None
    """The smallest ratio that matters, above 1."""

    @model_validator(mode="after")
    def _can_be_decided(self) -> Self:
        refuse(((field,), message) for field, message in (*self._side_problems(), *self._size_problems()))
        return self

    def _side_problems(self) -> Iterator[tuple[str, str]]:
        if self.of is None and self.kinds is None:
            if self.compare is None:
                yield "compare", "missing; give two patterns, or the pattern of one variant (of) and two kinds"
        elif self.of is None:
            yield "of", "missing; give a pattern of the variant whose kinds of layers are compared"
        elif self.kinds is None:
            yield "kinds", f"missing; give two of {', '.join(get_args(Kind))}"
        else:
            for field in ("compare", "minus", "over"):
                if getattr(self, field) is not None:
                    yield field, "does not go with kinds, which compares layers of one variant; leave it out"
            if self.kinds[0] == self.kinds[1]:
                yield "kinds", f"both are {self.kinds[0]!r}; give two kinds"
            if self.metric not in SHARED_OUT:
                yield "metric", f"{self.metric} is not shared out among layers; use {', '.join(SHARED_OUT)}"
        if self.minus is not None and METRICS[self.metric].kind in ("measured", "observed"):
            yield "minus", f"{self.metric} is not known by seed, so differences have no difference; leave it out"
        if self.minus is not None and self.factor is not None:
            yield "factor", "goes with no difference of differences; give a margin"
        if METRICS[self.metric].kind == "rate":
            for field in ("minus", "over", "factor"):
                if getattr(self, field) is not None:
                    yield (
                        field,
                        f"{self.metric} is a share of networks, compared by a margin for one pair; leave it out",
                    )

    def _size_problems(self) -> Iterator[tuple[str, str]]:
        if self.margin is None and self.factor is None:
            yield "margin", "none is given, nor a factor; give a margin (a difference) or a factor (a ratio)"
        if self.margin is not None and self.factor is not None:
            yield "factor", "given beside a margin; keep one of them"
        if self.factor is not None and self.factor <= 1:
            yield "factor", f"{self.factor:g} is no factor; use a number above 1"
        if self.expect == "equivalent" and self.margin == 0:
            yield "margin", "0 leaves nothing to be equivalent within; use a margin above 0"
        if self.margin is not None and self.kinds and self.margin >= 1:
            yield (
                "margin",
                f"{self.margin:g}, but kinds are compared by their shares, from 0 to 1; one point is 0.01",
            )
        elif self.margin is not None:
            yield from _no_share(self.metric, "margin", self.margin, below=1)


def _no_share(metric: str, field: str, value: float, below: float) -> Iterator[tuple[str, str]]:
    """What is wrong with a number of a metric that is a share, where points were meant."""
    if METRICS[metric].unit == "share" and not 0 <= value < below:
        yield field, f"{value:g}, but {metric} is a share, from 0 to 1; one point is 0.01"


class Assumption(Section):
    """How a metric spreads over seeds, where no record tells it yet; `plan` reckons with it."""

    sd: PositiveFloat
    """Standard deviation of one variant over its seeds, in the metric's unit; of logarithms for a factor."""
    correlation: Annotated[float, Field(gt=-1, lt=1)] = 0.0
    """Correlation of two variants over the seeds that they share."""

    @property
    def sd_of_differences(self) -> float:
        """Standard deviation of the paired differences of two such variants."""
        return float(self.sd * (2 * (1 - self.correlation)) ** 0.5)


class ReferenceEntry(Section):
    """A published value, and the variant that it is held against."""

    id: FolderName
    """A short name of the reference."""
    claim: Sentence = Field(validation_alias=AliasChoices("claim", "says"))
    """What was published, as a sentence."""
    metric: MetricName
    """What was measured."""
    model: Pattern
    """A pattern, of one variant."""
    value: Annotated[float, Field(allow_inf_nan=False)]
    """In the metric's unit; the mean, where several networks were trained."""
    n: PositiveInt = 1
    """Networks that it is the mean of."""
    sd: NonNegativeFloat | None = None
    """Standard deviation of these networks, with n - 1 degrees of freedom."""
    source: Sentence
    """Where it was published."""
    url: str | None = None
    """Address of the source."""
    differs: Sentence | None = None
    """What was not the same there."""

    @model_validator(mode="after")
    def _can_be_compared(self) -> Self:
        refuse(((field,), message) for field, message in self._problems())
        return self

    def _problems(self) -> Iterator[tuple[str, str]]:
        yield from _no_share(self.metric, "value", self.value, below=1 + 1e-9)
        if self.sd is not None and self.n == 1:
            yield "sd", f"{self.sd:g}, but one network has no spread; give n as well, or leave it out"
        if self.sd == 0:
            yield "sd", "0 says that seeds change nothing; leave it out"
        if self.url is not None and not self.url.startswith(("https://", "http://")):
            yield "url", f"{shown(self.url)} is no address; begin it with https://, or leave it out"


class RangeEntry(Section):
    """Numbers between two ends, both included."""

    low: Argument = None
    high: Argument = None
    log: bool = False
    """Whether equal factors, not equal differences, are equally far apart."""


class SearchFields(Section):
    """How every variant is searched, and how the best trial is told."""

    seeds: PositiveInt = 3
    """Networks trained in every trial, whose mean is its value."""
    epochs: PositiveInt | None = None
    """Epochs of every trial; null is as many as the run's, and fewer would favour rates that start fast."""
    sampler: Literal["grid", "qmc", "tpe", "random"] = "grid"
    """The sampler that proposes values; `grid` takes the same evenly spaced ones for all variants."""
    sampler_seed: int = 0
    """Seed of every sampler but `grid`."""
    pruner: Literal["none", "median", "hyperband"] = "none"
    """Ends a poor trial early; then variants spend different budgets."""
    objective: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    """What a trial is judged by, after its last epoch."""


Searched = Annotated[
    Annotated[RangeEntry, Tag("(value)")] | Annotated[list[Argument], Tag("(list)")],
    Discriminator(value_or_list),
]


class SearchEntry(SearchFields):
    """What `search` tries for every variant alike."""

    space: dict[str, Searched] = {}
    """Fields of the recipe, and `model.` with an argument that all models have."""
    trials: PositiveInt | None = None
    """Trials of every variant, in all: a search that goes on does the rest."""


def _distinct(seeds: list[int]) -> list[int]:
    first = dict(reversed([(seed, n) for n, seed in enumerate(seeds)]))
    refuse(((n,), f"{seed} is given twice; keep one") for n, seed in enumerate(seeds) if first[seed] != n)
    return seeds


class UntilEntry(Section):
    """Seeds until the primary claims are decided."""

    until: Literal["decided"]
    at_most: Annotated[int, Field(ge=2)]
    """The most seeds to train; claims are looked at after half of them, three quarters and all."""


def _seeds_form(value: object) -> str:
    return "(rule)" if isinstance(value, dict) else value_or_list(value)


Seeds = Annotated[
    Annotated[PositiveInt, Tag("(value)")]
    | Annotated[UntilEntry, Tag("(rule)")]
    | Annotated[
        list[NonNegativeInt],
        Field(min_length=1, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_distinct),
        Tag("(list)"),
    ],
    Discriminator(_seeds_form),
]


class GridBody(Section):
    """What a profile may lay over the grid: mappings key by key, lists replaced whole."""

    data: DataAxes = DataAxes()
    """Which images, at which size."""
    recipe: RecipeAxes = RecipeAxes()
    """How all models are trained."""
    seeds: Seeds = 1
    """How many seeds, counted from 0; a list of them; or as many as it takes: {until: decided, at_most: 24}."""
    models: Annotated[list[ModelEntry], Field(min_length=1)] = []
    """What is compared; a list in place of a value is an axis."""
    ablate: AblateEntry | None = None
    """A baseline, and a variant for each change to it; they stand before those of `models`."""
    exclude: list[CellPattern] = []
    """Every cell that matches one of these is left out, before combinations are checked."""
    baseline: Pattern | None = None
    """The variant that the report marks as the one to hold others against."""
    target: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Validation accuracy that epochs are counted to; null is a point less than the baseline's median network."""
    hypotheses: list[HypothesisEntry] = []
    """What is claimed, before the run."""
    open_claims: list[OpenClaim] = []
    """What belongs to the question, and this grid cannot answer."""
    caveats: list[Sentence] = []
    """What a reader of the report has to know: how rates were chosen, what may mislead."""
    references: list[ReferenceEntry] = []
    """Published values that variants are held against."""
    probes: Probes | None = None
    """What trained networks are asked beside their test images as they are."""
    assume: dict[SpreadName, Assumption] = {}
    """Spread over seeds by metric, which `plan` reckons with where no record tells it."""
    search: SearchEntry | None = None
    """What `search` tunes, for every variant alike."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(self._problems())
        return self

    def _problems(self) -> Iterator[tuple[Loc, str]]:
        for section in ("hypotheses", "references"):
            ids = [entry.id for entry in getattr(self, section)]
            for number, one in enumerate(ids):
                if one in ids[:number]:
                    yield (section, number, "id"), f"{one!r} is used twice; give each of the {section} its own id"
        for metric, assumption in self.assume.items():
            for field, message in _no_share(metric, "sd", assumption.sd, below=1):
                yield ("assume", metric, field), message


def _profile_name(name: str) -> str:
    if name in ("full", "auto"):
        raise wrong(f"{name!r} cannot name a profile, since it stands for one already; use another name")
    return name


ProfileName = Annotated[FolderName, AfterValidator(_profile_name)]


class GridFile(GridBody):
    """A whole grid, its profile laid over it."""

    schema_version: Literal[1] = Field(alias="schema")
    name: FolderName
    """Names the results folder."""
    data: DataAxes
    models_from: str | None = None
    """The Python file that registers some of the models; a grid runs no code, so commands take it as --models."""
    profiles: dict[ProfileName, GridBody] = {}
    """What is laid over the grid, by name of the profile."""
