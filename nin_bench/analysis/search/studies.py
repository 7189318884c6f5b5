"""What a search left in its folder: search.json and a file per study, checked before anything is read off them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeGuard, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nin_bench.analysis.names import Names
from nin_bench.cell import Scalar
from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError, read_json
from nin_bench.metrics import has_learned

SCHEMA = 1

State = Literal["complete", "pruned", "failed"]
Objective = Literal["validation_accuracy", "validation_loss"]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Range(_Part):
    """Where a parameter is searched."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.low:g} to {self.high:g} is no range{' on a log scale' if self.log else ''}")
        return self


class Epoch(_Part):
    """One row of a run's history."""

    train_loss: float | None = None
    validation_accuracy: float | None = None
    validation_loss: float | None = None


class Run(_Part):
    """One seed of a trial."""

    seed: int
    outcome: str
    escaped: bool | None = None
    """Whether it ever left chance level."""
    learned: bool | None = None
    """Whether it left it and was not back there at the end, as `read_search` finds from what the search kept."""
    history: list[Epoch] = []

    def measured(self, objective: Objective) -> float | None:
        """What it had reached after its last epoch; None for one that diverged."""
        if not self.history or self.outcome == "diverged":
            return None
        last = self.history[-1]
        return last.validation_accuracy if objective == "validation_accuracy" else last.validation_loss


class Trial(_Part):
    """One set of parameters, trained with every seed of the search."""

    number: int
    state: State
    params: dict[str, Scalar]
    value: float | None = None
    """The objective as Optuna was told: the mean over seeds, one that did not learn counting as the worst."""
    diverged: bool = False
    """Whether some seed did."""
    epochs: int | None = None
    """Trained, summed over its seeds; None where it died before it could tell."""
    device_seconds: float | None = None
    overhead_seconds: float | None = None
    """Its wall time beyond training and evaluating."""
    error: str | None = None
    runs: list[Run] = []

    @property
    def counts(self) -> bool:
        """Whether it used up one of the trials asked for; one that failed is replaced by another."""
        return self.state != "failed" and self.value is not None

    @property
    def learned(self) -> bool:
        """Whether it ran to its end with every seed learning."""
        return self.state == "complete" and len(self.learned_runs) == len(self.runs) > 0

    @property
    def learned_runs(self) -> list[Run]:
        """Its seeds, but for those of which it is known that they did not learn."""
        return [run for run in self.runs if self.has_learned(run) is not False]

    @property
    def ended_at_chance(self) -> bool:
        """Whether it ran to its end, without diverging, and some seed ended at chance level."""
        at_chance = any(self.has_learned(run) is False for run in self.runs)
        return self.state == "complete" and not self.diverged and at_chance

    def has_learned(self, run: Run) -> bool | None:
        """Whether one of its seeds ended above chance level and did not diverge; None where nobody can know.

        One that was pruned at chance level might have left it later.
        """
        if run.outcome == "diverged":
            return False
        return run.learned if run.learned or self.state == "complete" else None


class Best(_Part):
    """The trial that the search chose."""

    number: int


class Study(_Part):
    """Every trial of one variant, in the order in which they were started."""

    variant_id: str
    label: str
    name: str = ""
    """What a page calls the variant, as `read_search` finds by its label."""
    study_name: str
    trials: list[Trial] = []
    best: Best | None = None

    @model_validator(mode="after")
    def _best_is_a_trial(self) -> Self:
        if self.best is not None and self.best.number not in {trial.number for trial in self.trials}:
            raise ValueError(f"the best trial, {self.best.number}, is none of its trials")
        return self

    @property
    def best_trial(self) -> Trial | None:
        """The trial that the search chose, whether or not any seed of it learned."""
        return next((trial for trial in self.trials if self.best and trial.number == self.best.number), None)

    @property
    def complete(self) -> list[Trial]:
        """The trials that ran to their end."""
        return [trial for trial in self.counted if trial.state == "complete"]

    @property
    def counted(self) -> list[Trial]:
        """The trials that the total counts."""
        return [trial for trial in self.trials if trial.counts]


class Variant(_Part):
    """What a study tunes."""

    variant_id: str = Field(pattern=r"^[\w-]+$")
    label: str
    own_label: bool = False
    """Whether the grid gives the label itself."""
    model: dict[str, Any]
    data: dict[str, Any]
    recipe: dict[str, Any]
    num_params: int | None
    """None where what is searched changes it."""
    study_name: str


class Settings(_Part):
    """What the grid's `search:` section asked for, for every variant alike."""

    space: dict[str, Range | list[Scalar]] = Field(min_length=1)
    trials: int
    seeds: list[int] = Field(min_length=1)
    epochs: int | None
    """Of every trial; None is as many as a run of the variant trains."""
    run_epochs: dict[str, int]
    """What a run of the grid trains, by variant id."""
    sampler: str
    sampler_seed: int
    pruner: str
    objective: Objective
    direction: Literal["maximize", "minimize"]

    @property
    def higher_is_better(self) -> bool:
        """Whether the objective is maximised."""
        return self.direction == "maximize"


class _SearchFile(_Part):
    name: str
    profile: str
    question: str
    search: Settings
    storage: str
    chance_loss: float = Field(gt=0)
    """Of a constant guess on the training images, in nats."""
    variants: list[Variant] = Field(min_length=1)
    baseline: str | None = None
    environment: dict[str, Any]


@dataclass(frozen=True)
class Search:
    """A search as read: what its report starts from."""

    name: str
    profile: str
    question: str
    settings: Settings
    storage: str
    """The kind of Optuna's storage; never an address."""
    variants: list[Variant]
    baseline: str | None
    """A variant's id: what the others are compared with, if the grid names it."""
    names: Names
    environment: dict[str, Any]
    studies: list[Study]
    """One per variant, in the grid's order; without trials where there is no file yet."""
    left_out: list[str]
    """A sentence for each file that was not used."""


def read_search(folder: Path) -> Search:
    """Read what a search left in one `<root>/<grid>/<profile>`, without changing it.

    Raises:
        ResultsError: there is no readable search.json. Damaged studies raise nothing: they are left out and told
            in `Search.left_out`.
    """
    path = folder / "search.json"
    try:
        found = _checked(_SearchFile, read_json(path, SCHEMA))
    except FileNotFoundError as error:
        raise ResultsError(
            f"{folder}: nothing was searched here (no search.json); give the <root>/<grid>/<profile> of a search"
        ) from error
    except DamagedFileError as error:
        raise ResultsError(f"{path} {error}; mend it, or remove it and search its grid again") from error
    names = Names.of([variant.model_dump() for variant in found.variants])
    studies, left_out = [], []
    for variant in found.variants:
        try:
            study = _read_study(folder / "studies" / f"{variant.variant_id}.json", variant, found)
        except DamagedFileError as damage:
            left_out.append(f"studies/{variant.variant_id}.json was left out: it {damage}.")
            study = None
        empty = Study(variant_id=variant.variant_id, label=variant.label, study_name=variant.study_name)
        called = {"label": variant.label, "name": names[variant.label]}
        studies.append((study or empty).model_copy(update=called))
    planned = {variant.variant_id for variant in found.variants}
    if foreign := {path.stem for path in (folder / "studies").glob("*.json")} - planned:
        left_out.append(f"Left out were the studies of variants that this search does not plan: {len(foreign)}.")
    return Search(
        name=found.name,
        profile=found.profile,
        question=found.question,
        settings=found.search,
        storage=found.storage,
        variants=found.variants,
        baseline=found.baseline,
        names=names,
        environment=found.environment,
        studies=studies,
        left_out=left_out,
    )


def _read_study(path: Path, variant: Variant, found: _SearchFile) -> Study | None:
    """A variant's study, or None where none was written yet."""
    try:
        study = _checked(Study, read_json(path, SCHEMA))
    except FileNotFoundError:
        return None
    if (study.variant_id, study.study_name) != (variant.variant_id, variant.study_name):
        raise DamagedFileError(f"holds another study, {study.study_name!r}")
    for trial in study.trials:
        for name, values in found.search.space.items():
            value = trial.params.get(name)
            if name not in trial.params:
                raise DamagedFileError(f"lacks the {name} of trial {trial.number}")
            if not _is_of(value, values):
                raise DamagedFileError(f"has the {name} {value!r} in trial {trial.number}")
    trials = [_judged(trial, found.chance_loss) for trial in study.trials]
    return study.model_copy(update={"trials": trials})


def _judged(trial: Trial, chance_loss: float) -> Trial:
    """A trial of whose seeds it is said which learned, as far as their histories tell."""
    learned = [
        has_learned(run.escaped, run.history[-1].model_dump(), chance_loss) if run.history else None
        for run in trial.runs
    ]
    runs = [run.model_copy(update={"learned": one}) for run, one in zip(trial.runs, learned, strict=True)]
    return trial.model_copy(update={"runs": runs})


_Checked = TypeVar("_Checked", bound=_Part)


def _checked(kind: type[_Checked], content: dict[str, Any]) -> _Checked:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DamagedFileError(f"cannot be used: {place + ': ' if place else ''}{first['msg']}") from error


def is_number(value: Scalar) -> TypeGuard[int | float]:
    """Whether a parameter's value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_of(value: Scalar, searched: Range | list[Scalar]) -> bool:
    if isinstance(searched, list):
        return value in searched
    return is_number(value) and (value > 0 or not searched.log)
