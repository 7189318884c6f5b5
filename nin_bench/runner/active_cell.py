"""The cells of a run: those that wait, those in workers, and what came of each."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nin_bench.cell import Cell
from nin_bench.checkpoint import Checkpoints
from nin_bench.environment import describe_environment
from nin_bench.errors import ResultsError
from nin_bench.estimates import Estimate
from nin_bench.executors import Ended, Slot, Task
from nin_bench.failures import PASSING, cause_of
from nin_bench.models.code import code_digest
from nin_bench.plan import PlannedCell
from nin_bench.results import FINAL_OUTCOMES, Record, ResultsFolder
from nin_bench.results.probes import Probes
from nin_bench.results.schema import Attempt, Epoch, Metrics
from nin_bench.runner.events import CellEnded, CellResumed, CellStarted, EpochEnded, Event, Probed, VariantStopped
from nin_bench.runner.look_taking import LookTaker
from nin_bench.runner.messages import Assignment, CellMessage, CellReady, CellResult, CheckpointPolicy
from nin_bench.runner.record import make_record, now
from nin_bench.runner.scheduler import describe_end
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


class CellQueue:
    """The cells of one run.

    Args:
        folder: where records go.
        options: how to run.
        on_event: receives what happens.
        num_workers: how many cells run at a time, for the records.
        task: what workers do with a cell.
        planned: the cells, those that are done too.
        looks: say which cells are needed, where seeds are trained until claims are decided.
        probes: what trained networks are asked.
    """

    def __init__(
        self,
        folder: ResultsFolder,
        options: RunOptions,
        on_event: Callable[[Event], None],
        num_workers: int,
        task: CellTask,
        planned: Sequence[PlannedCell],
        looks: LookTaker | None = None,
        probes: Probes | None = None,
    ) -> None:
        self.folder = folder
        self.options = options
        self.on_event = on_event
        self.environment = {**describe_environment(), "workers": num_workers}
        self.function = task.function
        self.waiting = deque(ActiveCell(self, one) for one in planned if one.may_run)
        self.looks = looks
        self.probes = probes
        # An outdated record is of another experiment.
        self.outcomes = {
            one.cell.cell_id: one.outcome if one.outcome and one.state != "outdated" else "missing"
            for one in planned
            if one.state == "done" or one.may_run
        }
        """What each cell's record now says, `missing` if there is none."""
        self._num_alike: Counter[tuple[str, str]] = Counter()
        self._stopped: set[str] = set()
        """Ids of the variants of which no further cell is tried."""

    def next_job(self, slot: Slot) -> "ActiveCell | None":
        """The next cell to train, of those that are needed before the next look at a claim."""
        for number, one in enumerate(self.waiting):
            if one.cell.variant_id in self._stopped:
                continue
            if self.looks is None or self.looks.is_needed(one.cell):
                del self.waiting[number]
                return one
        return None

    def may_go_on(self, cell: Cell, outcome: str, error: str | None) -> bool:
        """Note a failure; whether its variant is tried further."""
        variant_id = cell.variant_id
        self._num_alike[variant_id, cause_of(outcome, error)] += 1
        if self._num_alike[variant_id, cause_of(outcome, error)] < self.options.max_failures:
            return True
        if variant_id not in self._stopped:
            self._stopped.add(variant_id)
            left = [one.key for one in self.waiting if one.cell.variant_id == variant_id]
            self.on_event(VariantStopped(cell.label, error or outcome, left))
        return False

    def counts(self) -> Counter[str]:
        """How many cells have each outcome, without those that turned out not to be needed."""
        unneeded = {one.key for one in self.waiting if self.looks and not self.looks.is_needed(one.cell)}
        return Counter(outcome for key, outcome in self.outcomes.items() if key not in unneeded)


@dataclass(eq=False)
class ActiveCell:
    """A cell that waits for a worker or is in one, as the run knows it; a `Job`."""

    queue: CellQueue
    planned: PlannedCell
    device: str = ""
    started_at: str = ""
    started_seconds: float = 0.0
    """By a clock that nobody sets."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """As the worker sent them, should it not live to return a record."""
    history: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def cell(self) -> Cell:
        """What is trained."""
        return self.planned.cell

    @property
    def key(self) -> str:
        """The cell's id."""
        return self.cell.cell_id

    @property
    def earlier_attempts(self) -> Sequence[Attempt]:
        """Those of the record that this attempt goes on from."""
        return self.planned.record.attempts if self.planned.record else ()

    def task(self) -> Task:
        """Train the cell from its last checkpoint on."""
        folder, options = self.queue.folder, self.queue.options
        policy = CheckpointPolicy(
            checkpoints=folder.checkpoints_path,
            seconds=options.checkpoint_seconds,
            weights=folder.weights_path(self.key) if options.keep_weights else None,
            state=folder.state_path(self.key) if options.keep_weights else None,
            kept=self.planned.kept,
        )
        assignment = Assignment(
            self.cell, options.data_dir, self.queue.environment, policy, self.earlier_attempts, self.queue.probes
        )
        return Task(self.key, self.queue.function, (assignment,), options.timeout_seconds)

    def on_started(self, slot: Slot) -> None:
        """Note when and where."""
        self.device, self.started_at, self.started_seconds = slot.device, now(), time.monotonic()
        self.queue.on_event(CellStarted(self.cell, slot.device))

    def on_message(self, message: CellMessage) -> None:
        """Note what the worker sent."""
        self.metrics = message.metrics
        if not isinstance(message, CellReady):
            self.history.append(message.row)
            self.queue.on_event(EpochEnded(self.cell, message.row))
            return
        self.history = [*message.history]
        if message.is_resumed or message.notes:
            resumed = CellResumed(self.cell, message.is_resumed, len(message.history), message.notes)
            self.queue.on_event(resumed)

    def on_ended(self, end: Ended, *, may_retry: bool) -> None:
        """Write the record, and queue the cell again if it failed in a way that may pass.

        Raises:
            ResultsError: the folder cannot be written, here or by the worker.
        """
        if isinstance(end.result, ResultsError):
            raise end.result
        result = end.result if end.how == "returned" else CellResult(self._record_of_death(end))
        assert isinstance(result, CellResult)
        record = self._timed(result.record)
        outcome: str = record.outcome
        is_final = outcome in FINAL_OUTCOMES
        # A final record is replaced only by another one.
        if is_final or self.planned.state != "again":
            self.queue.outcomes[self.key] = outcome
            self._write(record, result)
        goes_on = outcome not in PASSING or self.queue.may_go_on(self.cell, outcome, record.attempts[-1].error)
        will_retry = may_retry and goes_on and not is_final and outcome != "interrupted"
        if will_retry:
            # A retry may continue from anywhere, so it has no estimate.
            earlier = self.planned.record if self.planned.state == "again" else record
            self.queue.waiting.append(
                ActiveCell(self.queue, replace(self.planned, record=earlier, estimate=Estimate()))
            )
        self.queue.on_event(CellEnded(self.cell, record, will_retry))
        if result.probe_error:
            self.queue.on_event(Probed(self.cell, result.probe_error))
        if self.queue.looks and not will_retry and outcome != "interrupted":
            self.queue.looks.cell_ended(self.cell, is_final=is_final)

    def _timed(self, record: Record) -> Record:
        """The record with the actual and the estimated seconds of its last attempt."""
        took = {
            "seconds": time.monotonic() - self.started_seconds,
            "estimated_seconds": self.planned.estimate.seconds,
        }
        *earlier, last = record.attempts
        return record.model_copy(update={"attempts": (*earlier, last.model_copy(update=took))})

    def _record_of_death(self, end: Ended) -> Record:
        """The record of a cell whose worker died: the cause, and the last that was sent or saved."""
        outcome, error = describe_end(end, self.queue.options.timeout_seconds)
        metrics: Metrics | Mapping[str, Any] = self.metrics
        history: Sequence[Epoch | Mapping[str, Any]] = self.history
        saved = Checkpoints(self.queue.folder.checkpoints_path, self.cell).newest_record()
        if saved is not None and (saved.metrics.num_steps or 0) > (self.metrics.get("num_steps") or 0):
            metrics, history = saved.metrics, saved.history
        return make_record(
            self.cell,
            outcome,
            started_at=self.started_at,
            error=error,
            metrics=metrics,
            history=history,
            environment={**self.queue.environment, "device": self.device},
            earlier_attempts=self.earlier_attempts,
            code_digest=code_digest(self.cell.model.name),
        )

    def _write(self, record: Record, result: CellResult) -> None:
        folder = self.queue.folder
        if result.predictions is not None:
            folder.write_predictions(self.key, result.predictions)
        else:
            folder.remove_predictions(self.key)
        if result.probes is not None:
            result.probes.write(folder.probes_path(self.key))
        else:
            folder.remove_probes(self.key)
        if record.outcome != "trained" or not self.queue.options.keep_weights:
            folder.remove_weights(self.key)
        folder.write_record(record)
        if record.outcome in FINAL_OUTCOMES:  # only now is nothing lost without them
            Checkpoints(folder.checkpoints_path, self.cell).remove()
