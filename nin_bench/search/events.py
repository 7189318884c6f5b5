"""What a search reports while it lasts. Imports neither torch nor Optuna."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nin_bench.cell import Cell
from nin_bench.executors import Slot
from nin_bench.failures import VariantStopped
from nin_bench.grid import SearchSpec


@dataclass(frozen=True)
class TrialEpoch:
    """All networks of a trial have passed once more over their images."""

    epoch: int
    value: float
    """The objective, averaged over the seeds."""
    rows: Mapping[int, Mapping[str, Any]]
    """The epoch's row of the history of each network that still trains, by seed."""


@dataclass
class TrialResult:
    """What came of a trial."""

    value: float | None = None
    """The objective after the last epoch, averaged over the seeds; None for a trial that broke off."""
    pruned: bool = False
    error: str | None = None
    """Why it says nothing of the values tried, in a line; another trial has to take its place."""
    epochs: int | None = None
    """Trained by all networks together; None if the worker died before it could report."""
    device_seconds: float | None = None
    """Time in preparing, training and validating all networks; None if the worker died."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """What came of each seed: outcome, value, escape, history."""

    @property
    def diverged(self) -> bool:
        """Whether some network's loss became infinite or NaN."""
        return any(run["outcome"] == "diverged" for run in self.runs)

    @property
    def escaped(self) -> bool | None:
        """Whether all networks left chance level; None if that is not known of some."""
        escaped = [run["escaped"] for run in self.runs]
        if False in escaped:
            return False
        return True if escaped and None not in escaped else None


@dataclass(frozen=True)
class SearchPlanned:
    """The search knows what it has to do."""

    spec: SearchSpec
    num_trials: int
    """Trials of all variants, those that are done too."""
    epochs: Mapping[str, int]
    """The epochs of each trial that is left, by its key."""
    labels: Sequence[str]
    """Labels of the variants that are searched."""
    slots: Sequence[Slot]


@dataclass(frozen=True)
class TrialStarted:
    """A trial has its process."""

    key: str
    """Names its study and draw; a trial that replaces a lost one has the same key."""
    label: str
    """The variant's."""
    number: int
    params: Mapping[str, Any]
    slot: Slot
    cells: Sequence[Cell]
    """What it trains, one for each of the search's seeds; their label tells the values, too."""


@dataclass(frozen=True)
class TrialEpochEnded:
    """A trial's networks have passed once more over their images."""

    key: str
    epoch: TrialEpoch


@dataclass(frozen=True)
class TrialEnded:
    """A trial is over and its study knows."""

    key: str
    result: TrialResult
    will_retry: bool


SearchEvent = SearchPlanned | TrialStarted | TrialEpochEnded | TrialEnded | VariantStopped
