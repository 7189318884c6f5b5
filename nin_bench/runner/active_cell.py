"""A cell that waits for a worker or is in one, and what comes of it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nin_bench.cell import Cell
from nin_bench.checkpoint import Checkpoints
from nin_bench.errors import ResultsError
from nin_bench.estimates import Estimate
from nin_bench.executors import Ended, Slot, Task
from nin_bench.failures import PASSING
from nin_bench.files import write_atomically
from nin_bench.models.code import code_digest
from nin_bench.planning import PlannedCell
from nin_bench.results import FINAL_OUTCOMES, Record
from nin_bench.results.records import Attempt, Devices, Epoch, Metrics
from nin_bench.runner import messages
from nin_bench.runner.events import CellEnded, CellResumed, CellStarted, EpochEnded, Probed
from nin_bench.runner.record import make_record, now
from nin_bench.runner.scheduler import describe_end

if TYPE_CHECKING:
    from nin_bench.runner.cell_queue import CellQueue


@dataclass(eq=False)
class ActiveCell:
    """A cell that waits for a worker or is in one, as the run knows it; a `Job`."""

    queue: "CellQueue"
    planned: PlannedCell
    alone: bool = False
    """Whether it has an accelerator to itself, since it failed beside others."""
    batched: bool = False
    """Whether it is trained with other seeds as one batched model."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """What records say of where it runs, should its worker not live to tell."""
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
        folder, options, kept = self.queue.folder, self.queue.options, self.planned.kept
        policy = messages.CheckpointPolicy(
            checkpoints=folder.checkpoints_path,
            goes_on=kept is not None or bool(Checkpoints(folder.checkpoints_path, self.cell).paths()),
            seconds=options.checkpoint_seconds,
            weights=folder.weights_path(self.key) if options.keep_weights else None,
            state=folder.state_path(self.key) if options.keep_weights else None,
            kept=kept,
        )
        assignment = messages.Assignment(
            self.cell, options.data_dir, self.queue.environment, policy, self.earlier_attempts, self.queue.probes
        )
        task, num_slots = self.queue.task, options.devices_per_cell
        function = task.function if num_slots == 1 else task.devices_function
        assert function is not None
        return Task(self.key, function, (assignment,), options.timeout_seconds, num_slots)

    def on_started(self, slot: Slot) -> None:
        """Note when and where."""
        node = {"node": slot.node} if slot.node else {}
        self.where = {**self.queue.environment, "device": slot.device, **node}
        self.started_at, self.started_seconds = now(), time.monotonic()
        self.queue.on_event(CellStarted(self.cell, slot))

    def on_message(self, message: messages.CellMessage) -> messages.CellFiles | None:
        """Note what the worker sent, and give what it asked for; ResultsError if the folder cannot be written."""
        match message:
            case messages.FilesWanted():
                return self._files()
            case messages.FileWritten():
                self._keep(message)
            case messages.EpochDone():
                self.metrics = message.metrics
                self.history.append(message.row)
                self.queue.on_event(EpochEnded(self.cell, message.row))
            case messages.CellReady():
                self.metrics = message.metrics
                self.history = [*message.history]
                self.where = message.environment or self.where
                if message.is_resumed or message.notes:
                    resumed = CellResumed(self.cell, message.is_resumed, message.history, message.notes)
                    self.queue.on_event(resumed)
        return None

    def _files(self) -> messages.CellFiles:
        """What a worker goes on from that cannot see the folder."""
        checkpoints, kept = Checkpoints(self.queue.folder.checkpoints_path, self.cell), self.planned.kept
        return messages.CellFiles(
            {path.name: path.read_bytes() for path in checkpoints.paths()},
            kept.path.read_bytes() if kept and kept.path.exists() else None,
        )

    def _keep(self, file: messages.FileWritten) -> None:
        """Write what a worker has written that cannot see the folder."""
        folder = self.queue.folder
        match file.kind:
            case "checkpoint":
                Checkpoints(folder.checkpoints_path, self.cell).add(file.name, file.content)
            case "weights":
                write_atomically(folder.weights_path(self.key), file.content)
            case "state":
                write_atomically(folder.state_path(self.key), file.content)

    def on_ended(self, end: Ended, *, may_retry: bool) -> None:
        """Write the record, and queue the cell again if it failed in a way that may pass.

        Raises:
            ResultsError: the folder cannot be written, here or by the worker.
        """
        if isinstance(end.result, ResultsError):
            raise end.result
        result = end.result if end.how == "returned" else messages.CellResult(self._record_of_death(end))
        assert isinstance(result, messages.CellResult)
        record = self._timed(result.record)
        outcome: str = record.outcome
        is_final = outcome in FINAL_OUTCOMES
        had_company = self.queue.memory.release(self.cell)
        # A final record is replaced only by another one.
        if is_final or self.planned.state != "again":
            self.queue.outcomes[self.key] = outcome
            self._write(record, result)
        # Alone it may well do: no failure of the variant's yet.
        blameless = (had_company and outcome == "out_of_memory") or (self.batched and outcome in PASSING)
        goes_on = (
            blameless
            or outcome not in PASSING
            or self.queue.may_go_on(self.cell, outcome, record.attempts[-1].error)
        )
        will_retry = (may_retry or blameless) and goes_on and not is_final and outcome != "interrupted"
        if will_retry:
            # A retry may continue from anywhere, so it has no estimate.
            earlier = self.planned.record if self.planned.state == "again" else record
            self.queue.waiting.append(
                ActiveCell(self.queue, replace(self.planned, record=earlier, estimate=Estimate()), alone=blameless)
            )
        self.queue.on_event(CellEnded(self.cell, record, will_retry))
        if result.probe_error:
            self.queue.on_event(Probed(self.cell, result.probe_error))
        looks, is_over = self.queue.looks, not will_retry and outcome != "interrupted"
        if looks and is_over and looks.cell_ended(self.cell, is_final=is_final):
            self.queue.reconsider()

    def _timed(self, record: Record) -> Record:
        """The record with the actual and the estimated seconds of its last attempt."""
        took = {
            "seconds": time.monotonic() - self.started_seconds,
            "estimated_seconds": None if self.batched or record.devices else self.planned.estimate.seconds,
        }
        *earlier, last = record.attempts
        attempts = (*earlier, last.model_copy(update=took))
        return record.model_copy(update={"attempts": attempts, "devices": self._compared(record.devices)})

    def _compared(self, devices: Devices | None) -> Devices | None:
        """Devices, if several trained the cell now, beside one device alone."""
        num_devices = self.queue.options.devices_per_cell
        if devices is None or num_devices == 1 or not (alone := self.queue.one_device_speed(self.cell)):
            return devices
        speed = devices.images_per_second
        efficiency = None if speed is None else speed / (num_devices * alone)
        measured = {"one_device_images_per_second": alone, "scaling_efficiency": efficiency}
        return devices.model_copy(update=measured)

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
            environment=self.where,
            earlier_attempts=self.earlier_attempts,
            code_digest=code_digest(self.cell.model.name),
        )

    def _write(self, record: Record, result: messages.CellResult) -> None:
        folder = self.queue.folder
        if result.predictions is not None:
            write_atomically(folder.predictions_path(self.key), result.predictions)
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
