"""The cells of a run: which is trained next, and where, and what came of each."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from nin_bench.cell import Cell
from nin_bench.environment import describe_environment
from nin_bench.errors import ResultsError
from nin_bench.executors import Slot
from nin_bench.failures import AlikeFailures, VariantStopped
from nin_bench.planning import PlannedCell
from nin_bench.results import ResultsFolder
from nin_bench.results.probes import Probes
from nin_bench.runner.active_cell import ActiveCell
from nin_bench.runner.batch_worker import run_batch_task
from nin_bench.runner.cell_batch import CellBatch, batch_limit
from nin_bench.runner.device_sharing import DeviceMemory
from nin_bench.runner.events import Event
from nin_bench.runner.look_taking import LookTaker
from nin_bench.runner.messages import CellResult
from nin_bench.runner.session import PRELOAD, RunOptions
from nin_bench.runner.several_devices import run_on_devices_task
from nin_bench.runner.worker import run_cell_task


@dataclass(frozen=True)
class CellTask:
    """What a worker does with a cell."""

    function: Callable[..., CellResult | ResultsError]
    """Of module level, called as `function(channel, slot, assignment)`; it sends `CellMessage`s and returns what
    came of the cell, or what kept it from being stored."""
    preload: Sequence[str] = PRELOAD
    """The modules that a worker finds imported."""
    batch_function: Callable[..., list[CellResult] | ResultsError] | None = None
    """The same for several cells that are trained as one batched model; None trains each alone."""
    devices_function: Callable[..., CellResult | ResultsError] | None = None
    """The same for a cell that several devices train together."""


TRAIN = CellTask(run_cell_task, batch_function=run_batch_task, devices_function=run_on_devices_task)


@dataclass
class CellQueue:
    """The cells of one run."""

    folder: ResultsFolder
    options: RunOptions
    on_event: Callable[[Event], None]
    num_workers: int
    task: CellTask
    planned: Sequence[PlannedCell]
    memory: DeviceMemory
    looks: LookTaker | None = None
    probes: Probes | None = None
    one_device_speed: Callable[[Cell], float | None] = lambda cell: None
    """Images per second that one device alone trains a cell at, as measured; None if it was not."""

    def __post_init__(self) -> None:
        self.environment = {**describe_environment(), "workers": self.num_workers}
        self.waiting = deque(ActiveCell(self, one) for one in self.planned if one.may_run)
        self._held: deque[ActiveCell] = deque()
        """Those that stood before all that wait, and that no claim needs before its next look."""
        self.batch_limit = batch_limit(self.options, self.memory)
        # An outdated record is of another experiment.
        self.outcomes = {
            one.cell.cell_id: one.outcome if one.outcome and one.state != "outdated" else "missing"
            for one in self.planned
            if one.state == "done" or one.may_run
        }
        """What each cell's record now says, `missing` if there is none."""
        self._failures = AlikeFailures(self.options.max_failures)

    def next_job(self, slot: Slot) -> ActiveCell | CellBatch | None:
        """The next to train of those that are needed before the next look at a claim; None while it lacks room."""
        while self.waiting and not self._is_wanted(self.waiting[0]):
            self._held.append(self.waiting.popleft())
        if not self.waiting:
            return None
        first = self.waiting[0]
        cells = self._batch(first, slot)
        if not self.memory.take(first.cell, str(slot), num_cells=len(cells), alone=first.alone):
            return None
        for cell in cells:
            self.waiting.remove(cell)
            cell.batched = len(cells) > 1
        if len(cells) == 1:
            return first
        assert self.task.batch_function is not None
        return CellBatch(cells, self.task.batch_function)

    def _is_wanted(self, one: ActiveCell) -> bool:
        is_needed = self.looks is None or self.looks.is_needed(one.cell)
        return is_needed and one.cell.variant_id not in self._failures.stopped

    def _batch(self, first: ActiveCell, slot: Slot) -> list[ActiveCell]:
        """Those that are trained with a cell as one batched model, itself among them."""
        limit = 1 if self.task.batch_function is None or first.alone else self.batch_limit(first.cell, slot)
        if limit == 1:
            return [first]
        like = (first.cell.variant_id, first.planned.num_epochs_saved, False)
        alike = (
            one
            for one in self.waiting
            if (one.cell.variant_id, one.planned.num_epochs_saved, one.alone) == like and self._is_wanted(one)
        )
        return list(islice(alike, limit))

    def reconsider(self) -> None:
        """A look was taken: what was held back may be needed now."""
        self.waiting.extendleft(reversed(self._held))
        self._held.clear()

    def may_go_on(self, cell: Cell, outcome: str, error: str | None) -> bool:
        """Note a failure; whether its variant is tried further."""
        variant_id = cell.variant_id
        if self._failures.add(variant_id, outcome, error):
            left = [one.key for one in (*self._held, *self.waiting) if one.cell.variant_id == variant_id]
            self.on_event(VariantStopped(cell.label, error or outcome, left))
        return variant_id not in self._failures.stopped

    def counts(self) -> Counter[str]:
        """How many cells have each outcome, without those that turned out not to be needed."""
        left = (*self._held, *self.waiting)
        unneeded = {one.key for one in left if self.looks and not self.looks.is_needed(one.cell)}
        return Counter(outcome for key, outcome in self.outcomes.items() if key not in unneeded)
