"""Hand cells to an executor, hear of them, and write what comes of each."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from nin_bench.cell import Cell
from nin_bench.checkpoint import Checkpoints
from nin_bench.environment import describe_environment
from nin_bench.errors import ResultsError
from nin_bench.executors import Ended, Executor, Message, Slot, Started, Task
from nin_bench.plan import PlannedCell
from nin_bench.results import FINAL_OUTCOMES, Record, ResultsFolder
from nin_bench.runner.active_cell import ActiveCell
from nin_bench.runner.events import CellEnded, CellResumed, CellStarted, EpochEnded, Event
from nin_bench.runner.messages import Assignment, CellMessage, CellReady, CellResult, CheckpointPolicy
from nin_bench.runner.session import PRELOAD, RunOptions
from nin_bench.runner.worker import run_cell_task


@dataclass(frozen=True)
class CellTask:
    """What a worker does with a cell."""

    function: Callable[..., CellResult | ResultsError]
    """Of module level, called as `function(channel, slot, assignment)`; it sends `CellMessage`s and returns what
    came of the cell, or what kept it from being stored."""
    preload: Sequence[str] = PRELOAD
    """The modules that a worker finds imported."""


TRAIN = CellTask(run_cell_task)


@dataclass
class RunSummary:
    """What came of a run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Of every selected cell: what its record now says, `missing` where there is none."""
    num_skipped: int = 0
    """Cells that were done before."""
    signal_number: int | None = None
    """The signal that ended it early."""


class Dispatch:
    """Cells of one run, waiting, under way and recorded."""

    def __init__(
        self,
        folder: ResultsFolder,
        options: RunOptions,
        on_event: Callable[[Event], None],
        executor: Executor,
        task: CellTask,
    ) -> None:
        self.folder = folder
        self.options = options
        self.on_event = on_event
        self.environment = {**describe_environment(), "workers": len(executor.slots)}
        self.executor = executor
        self.task = task
        self.queue: deque[Cell] = deque()
        self.earlier: dict[str, Record] = {}
        self.final: dict[str, str] = {}
        """Outcomes that a fresh attempt replaces only by another final one."""
        self.tries: Counter[str] = Counter()
        self.estimated_seconds: dict[str, float | None] = {}
        self.active: dict[str, ActiveCell] = {}

    def train(self, planned: Sequence[PlannedCell]) -> RunSummary:
        """Have all cells trained that have to be, and retried where that was wished.

        Raises:
            ResultsError: the folder cannot be written, here or by a worker; the other workers are killed then.
        """
        cells = {one.cell.cell_id: one.cell for one in planned if one.has_to_run}
        self.queue.extend(cells.values())
        self.earlier = {one.cell.cell_id: one.record for one in planned if one.record}
        self.estimated_seconds = {one.cell.cell_id: one.estimate.seconds for one in planned}
        self.final = {one.cell.cell_id: one.outcome for one in planned if one.state == "again" and one.outcome}
        # An outdated record is of another experiment.
        outcome = {
            one.cell.cell_id: one.outcome if one.outcome and one.state != "outdated" else "missing"
            for one in planned
        }
        summary = RunSummary(num_skipped=len(planned) - len(cells))
        with closing(self.executor.run(self._next_task)) as events:
            for event in events:
                cell = cells[event.key]
                match event:
                    case Started():
                        self._start(cell, event.slot.device)
                    case Message():
                        self._receive(cell, event.content)
                    case Ended():
                        outcome[event.key] = self._finish(cell, event)
        summary.outcomes = Counter(outcome.values())
        return summary

    def _next_task(self, slot: Slot) -> Task | None:
        if not self.queue:
            return None
        cell = self.queue.popleft()
        policy = CheckpointPolicy(
            checkpoints=self.folder.checkpoints_path,
            seconds=self.options.checkpoint_seconds,
            weights=self.folder.weights_path(cell.cell_id) if self.options.keep_weights else None,
        )
        earlier = self._earlier_attempts(cell)
        assignment = Assignment(cell, self.options.data_dir, self.environment, policy, earlier)
        return Task(cell.cell_id, self.task.function, (assignment,), self.options.timeout_seconds)

    def _earlier_attempts(self, cell: Cell) -> Sequence[Mapping[str, Any]]:
        earlier = self.earlier.get(cell.cell_id)
        return earlier["attempts"] if earlier else ()

    def _start(self, cell: Cell, device: str) -> None:
        self.active[cell.cell_id] = ActiveCell(
            cell,
            Checkpoints(self.folder.checkpoints_path, cell),
            environment={**self.environment, "device": device},
            earlier_attempts=self._earlier_attempts(cell),
            # A retry in the same run may continue from anywhere, so it has no estimate.
            estimated_seconds=self.estimated_seconds.pop(cell.cell_id, None),
        )
        self.on_event(CellStarted(cell, device))

    def _receive(self, cell: Cell, message: CellMessage) -> None:
        self.active[cell.cell_id].receive(message)
        if not isinstance(message, CellReady):
            self.on_event(EpochEnded(cell, message.row))
        elif message.is_resumed or message.notes:
            self.on_event(CellResumed(cell, message.is_resumed, len(message.history), message.notes))

    def _finish(self, cell: Cell, end: Ended) -> str:
        if isinstance(end.result, ResultsError):
            raise end.result
        active = self.active.pop(cell.cell_id)
        if end.how == "returned":
            result = end.result
        else:
            result = CellResult(active.record_of_death(end, self.options.timeout_seconds))
        assert isinstance(result, CellResult)
        record = active.timed(result.record)
        outcome: str = record["outcome"]
        kept = self.final.get(cell.cell_id) if outcome not in FINAL_OUTCOMES else None
        if kept is None:
            self._write(cell, record, result.predictions)
        passing = outcome not in FINAL_OUTCOMES and outcome != "interrupted"
        will_retry = passing and not self.executor.stopping and self.tries[cell.cell_id] < self.options.retries
        if will_retry:
            self.tries[cell.cell_id] += 1
            self.queue.append(cell)
        self.on_event(CellEnded(cell, record, will_retry))
        return kept or outcome

    def _write(self, cell: Cell, record: Record, predictions: Mapping[str, Any] | None) -> None:
        if predictions is not None:
            self.folder.write_predictions(cell.cell_id, predictions)
        else:
            self.folder.remove_predictions(cell.cell_id)
        if record["outcome"] != "trained" or not self.options.keep_weights:
            self.folder.remove_weights(cell.cell_id)
        self.folder.write_record(record)
        if record["outcome"] in FINAL_OUTCOMES:  # only now is nothing lost without them
            Checkpoints(self.folder.checkpoints_path, cell).remove()
        self.earlier[cell.cell_id] = record
