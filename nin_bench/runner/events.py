"""What a run tells while it lasts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nin_bench.cell import Cell
from nin_bench.estimates import RunEstimate
from nin_bench.executors import Slot
from nin_bench.failures import VariantStopped
from nin_bench.planning import PlannedCell
from nin_bench.results import Record
from nin_bench.results.schema import TakenLook
from nin_bench.runner import cost_benchmark


@dataclass(frozen=True)
class Planned:
    """The run knows what it has to do."""

    cells: Sequence[PlannedCell]
    slots: Sequence[Slot]
    notes: Sequence[str]


@dataclass(frozen=True)
class Estimated:
    """Nothing is left to measure, and what was measured tells what training will take."""

    estimates: Mapping[str, RunEstimate]
    """Of the run, as `run_estimates` tells; the last is of most cells."""
    machine: Mapping[str, Any]
    """The machine, as `describe_machine` describes it."""


@dataclass(frozen=True)
class CellStarted:
    """A cell has its process."""

    cell: Cell
    slot: Slot


@dataclass(frozen=True)
class EpochEnded:
    """A cell has passed once more over its images."""

    cell: Cell
    row: Mapping[str, Any]


@dataclass(frozen=True)
class CellResumed:
    """A cell found checkpoints."""

    cell: Cell
    is_resumed: bool
    """Whether it goes on from one; else none could be used."""
    history: Sequence[Mapping[str, Any]]
    """The epochs that need no training, as in the cell's history."""
    notes: Sequence[str]
    """A sentence for each checkpoint that could not be used."""


@dataclass(frozen=True)
class CellEnded:
    """A cell is over and its record is safe."""

    cell: Cell
    record: Record
    will_retry: bool


@dataclass(frozen=True)
class Probed:
    """A network that was trained before answered probes; or one did not, whenever it was trained."""

    cell: Cell
    error: str | None
    """Why it did not answer."""


@dataclass(frozen=True)
class LookTaken:
    """A claim was looked at, and the decision is kept."""

    look: TakenLook
    unneeded: Collection[str]
    """Ids of the planned cells that no open claim needs any more."""


Event = (
    LookTaken
    | VariantStopped
    | Planned
    | Estimated
    | CellStarted
    | CellResumed
    | EpochEnded
    | CellEnded
    | Probed
    | cost_benchmark.Event
)
