"""What the parent of a run knows of a cell in a worker, should the worker not live to say it itself."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nin_bench.cell import Cell
from nin_bench.checkpoint import Checkpoints
from nin_bench.executors import Ended
from nin_bench.results import Record
from nin_bench.runner.messages import CellMessage, CellReady
from nin_bench.runner.record import make_record, now


@dataclass
class ActiveCell:
    """A cell in a worker."""

    cell: Cell
    checkpoints: Checkpoints
    environment: Mapping[str, Any]
    earlier_attempts: Sequence[Mapping[str, Any]]
    estimated_seconds: float | None
    """The estimate for this attempt; None without one."""
    started_at: str = field(default_factory=now)
    started_seconds: float = field(default_factory=time.monotonic)
    """By a clock that nobody sets."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    history: list[Mapping[str, Any]] = field(default_factory=list)

    def receive(self, message: CellMessage) -> None:
        """Note what the worker told."""
        self.metrics = message.metrics
        if isinstance(message, CellReady):
            self.history = [*message.history]
        else:
            self.history.append(message.row)

    def timed(self, record: Record) -> Record:
        """The record with the actual and the estimated seconds of its last attempt."""
        took = {"seconds": time.monotonic() - self.started_seconds, "foretold_seconds": self.estimated_seconds}
        *earlier, last = record["attempts"]
        return {**record, "attempts": [*earlier, {**last, **took}]}

    def record_of_death(self, end: Ended, timeout_seconds: float | None) -> Record:
        """The record of a cell whose worker died: the cause, and the last that was told or saved of it."""
        if end.how == "timed_out":
            outcome, error = "timed_out", f"took longer than the limit of {timeout_seconds:g} s"
        elif end.how == "killed":
            outcome, error = "interrupted", "killed, since the run had to stop at once"
        else:
            outcome, error = "crashed", end.cause
        metrics, history = self.metrics, self.history
        saved = self.checkpoints.newest_record()
        if saved is not None and (saved["metrics"]["num_steps"] or 0) > (metrics.get("num_steps") or 0):
            metrics, history = saved["metrics"], saved["history"]
        return make_record(
            self.cell,
            outcome,
            started_at=self.started_at,
            error=error,
            metrics=metrics,
            history=history,
            environment=self.environment,
            earlier_attempts=self.earlier_attempts,
        )
