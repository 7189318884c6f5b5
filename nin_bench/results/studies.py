"""The two files of a search: search.json, what was searched, and a summary of each variant's study.

Imports no torch, and no Optuna.
"""

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nin_bench.cell import Scalar
from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError
from nin_bench.results.artefact import Artefact, Count, Id, NonNegative, Part, Tuple
from nin_bench.results.folder import ResultsFolder
from nin_bench.results.records import Epoch, Outcome
from nin_bench.results.schema import ResolvedVariant, Values

SCHEMA = 2
"""The version of search.json and of the summaries of studies."""

Objective = Literal["validation_accuracy", "validation_loss"]


class Range(Part):
    """Where a parameter is searched: numbers between two ends, both included."""

    low: int | float
    high: int | float
    log: bool = False
    """Whether equal factors, not equal differences, are equally far apart."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.low:g} to {self.high:g} is no range{' on a log scale' if self.log else ''}")
        return self

    def holds(self, value: Scalar) -> bool:
        """Whether a trial's value can have come from here; the grid may be searched on with another range."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return not self.log or value > 0

    def points(self, count: int) -> list[int | float]:
        """So many values from end to end, equally far apart; three digits are kept where that tells them apart."""
        if self.log:
            between = [self.low * (self.high / self.low) ** (k / (count - 1)) for k in range(1, count - 1)]
        else:
            between = [self.low + (self.high - self.low) * k / (count - 1) for k in range(1, count - 1)]
        if isinstance(self.low, int):
            return [self.low, *map(round, between), self.high]
        readable = [self.low, *(float(f"{value:.3g}") for value in between), self.high]
        apart = all(left < right for left, right in pairwise(readable))
        return readable if apart else [self.low, *between, self.high]


class ToldByObjective:
    """How a search's objective is told."""

    if TYPE_CHECKING:
        objective: Objective

    @property
    def in_points(self) -> bool:
        """Whether the objective is an accuracy, told in percentage points; a loss is told in nats."""
        return self.objective == "validation_accuracy"

    @property
    def objective_title(self) -> str:
        """The objective as a sentence names it."""
        return self.objective.replace("_", " ")


class SearchSettings(ToldByObjective, Part):
    """The grid's `search` section, with all its values; the same for every variant."""

    space: Annotated[dict[str, Range | Tuple[Scalar]], Field(min_length=1)]
    """What is searched, by parameter: a range, or the values to choose from."""
    trials: Annotated[int, Field(ge=1)]
    """Trials of every variant."""
    seeds: Annotated[Tuple[Count], Field(min_length=1)]
    epochs: Annotated[int, Field(ge=1)] | None
    """Epochs of every trial; None if each variant's trials take as many as its run."""
    run_epochs: dict[Id, int]
    """Epochs of a run of the grid, by variant id."""
    sampler: str
    sampler_seed: int
    pruner: str
    objective: Objective
    direction: Literal["maximize", "minimize"]

    @property
    def higher_is_better(self) -> bool:
        """Whether the objective is maximised."""
        return self.direction == "maximize"


class SearchedVariant(ResolvedVariant):
    """A variant whose recipe is searched."""

    num_params: Count | None
    """Parameters of the network; None if the trials differ in their model."""
    study_name: str
    """In Optuna's storage."""


class SearchConfig(Artefact):
    """What is searched: `search.json`."""

    SCHEMA: ClassVar[int] = SCHEMA

    name: str
    profile: str
    question: str
    source: str
    """The text of the grid file."""
    data: Values
    recipe: Values
    search: SearchSettings
    storage: str
    """The kind of Optuna's storage; never an address."""
    variants: Annotated[Tuple[SearchedVariant], Field(min_length=1)]
    baseline: Id | None
    """The variant that the others are compared with."""
    environment: dict[str, Any]
    chance_loss: Annotated[float, Field(gt=0)]
    """Entropy of the training labels, in nats."""

    @cached_property
    def variants_by_id(self) -> Mapping[str, SearchedVariant]:
        """The variants, by id."""
        return {variant.variant_id: variant for variant in self.variants}


class TrialRun(Part):
    """One of a trial's networks."""

    seed: Count
    outcome: Outcome
    value: float | None = None
    """The objective that it counts with; None if its trial was lost."""
    failed: bool | None = None
    """Whether it diverged or ended at chance level; None if its trial was lost, or pruned."""
    escaped: bool | None = None
    escape_epoch: NonNegative | None = None
    num_steps: Count | None = None
    history: Tuple[Epoch] = ()


class TrialSummary(Part):
    """One set of values, trained with every seed of the search."""

    number: Count
    state: Literal["complete", "pruned", "failed"]
    params: dict[str, Scalar]
    value: float | None = None
    """The mean over its networks; a failed one counts as the worst."""
    diverged: bool = False
    """Whether some network did."""
    escaped: bool | None = None
    """Whether all networks left chance level."""
    error: str | None = None
    epochs: Count | None = None
    """Trained by all networks together; None if the trial died before it could tell."""
    device_seconds: NonNegative | None = None
    """Time in preparing, training and validating all networks."""
    overhead_seconds: float | None = None
    """Wall time beyond preparing, training and validating."""
    started_at: str | None = None
    finished_at: str | None = None
    runs: Tuple[TrialRun] = ()


class BestTrial(Part):
    """The trial with the best value."""

    number: Count
    params: dict[str, Scalar]
    value: float | None


class StudySummary(Artefact):
    """Every trial of one variant that ended, in the order in which they started: `studies/<variant-id>.json`."""

    SCHEMA: ClassVar[int] = SCHEMA

    variant_id: Id
    label: str
    study_name: str
    trials: Tuple[TrialSummary]
    best: BestTrial | None = None
    chosen: dict[str, Scalar] | None = None
    """The values that the tuned grid takes; None if no trial was trained to its end."""

    @model_validator(mode="after")
    def _best_is_a_trial(self) -> Self:
        if self.best is not None and self.best.number not in {trial.number for trial in self.trials}:
            raise ValueError(f"best.number: {self.best.number} is none of the trials")
        return self

    @property
    def num_done(self) -> int:
        """Trials that were trained to their end, or pruned."""
        return sum(trial.state != "failed" for trial in self.trials)

    @property
    def best_trial(self) -> TrialSummary | None:
        """The trial with the best value."""
        return next((trial for trial in self.trials if self.best and trial.number == self.best.number), None)

    def check_is_of(self, variant: SearchedVariant, search: SearchConfig) -> None:
        """See that it is the study of this variant, in this search.

        Raises:
            DamagedFileError: it is of another study, or some trial's values are none that were searched.
        """
        if (self.variant_id, self.study_name) != (variant.variant_id, variant.study_name):
            raise DamagedFileError(f"holds another study, {self.study_name!r}")
        for trial in self.trials:
            for name, searched in search.search.space.items():
                if name not in trial.params:
                    raise DamagedFileError(f"lacks the {name} of trial {trial.number}")
                value = trial.params[name]
                if not (searched.holds(value) if isinstance(searched, Range) else value in searched):
                    raise DamagedFileError(f"has the {name} {value!r} in trial {trial.number}")


def find_search(folder: ResultsFolder) -> SearchConfig | None:
    """The search as resolved, or None where nothing was searched; ResultsError if the file is damaged."""
    try:
        return SearchConfig.read(folder.search_path)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        raise ResultsError(f"{folder.search_path} {error}; remove it, and search again") from error


def find_study(folder: ResultsFolder, variant_id: str) -> StudySummary | None:
    """What is kept of a variant's study, or None where there is none; ResultsError if the file is damaged."""
    path = folder.study_path(variant_id)
    try:
        return StudySummary.read(path)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        raise ResultsError(f"{path} {error}; remove it and search again, which writes it anew") from error


def read_studies(folder: ResultsFolder) -> tuple[SearchConfig, dict[str, StudySummary], list[str]]:
    """Read what a search left in a results folder, without changing it.

    Returns:
        search.json; the studies of its variants, by variant id; a sentence for each file that was not used.

    Raises:
        ResultsError: there is no readable search.json. A damaged study raises nothing: it is left out.
    """
    if (config := find_search(folder)) is None:
        raise ResultsError(
            f"{folder.path}: nothing was searched here (no search.json); "
            "give the <root>/<grid>/<profile> of a search"
        )
    studies, left_out = {}, []
    for variant in config.variants:
        try:
            study = StudySummary.read(folder.study_path(variant.variant_id))
            study.check_is_of(variant, config)
            studies[variant.variant_id] = study
        except FileNotFoundError:
            continue
        except DamagedFileError as damage:
            left_out.append(f"studies/{variant.variant_id}.json was left out: it {damage}.")
    if foreign := {path.stem for path in (folder.path / "studies").glob("*.json")} - config.variants_by_id.keys():
        left_out.append(f"Left out were the studies of variants that this search does not plan: {len(foreign)}.")
    return config, studies, left_out
