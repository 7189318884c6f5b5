"""What the parent of a run knows of a cell in a worker, should the worker not live to say it itself."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nin_bench.cell import Cell
from nin_bench.checkpoint import Checkpoints
from nin_bench.executors import Ended
from nin_bench.messages import CellReady, News
from nin_bench.record import make_record, now
from nin_bench.results import Record


@dataclass
class CellUnderWay:
    """A cell in a worker."""

    cell: Cell
    checkpoints: Checkpoints
    environment: Mapping[str, Any]
    earlier_attempts: Sequence[Mapping[str, Any]]
    started_at: str = field(default_factory=now)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    history: list[Mapping[str, Any]] = field(default_factory=list)

    def hear(self, news: News) -> None:
        """Note what the worker told."""
        self.metrics = news.metrics
        if isinstance(news, CellReady):
            self.history = [*news.history]
        else:
            self.history.append(news.row)

    def record_of_death(self, end: Ended, timeout_seconds: float | None) -> Record:
        """The record of a cell whose worker died: the cause, and the last that was told or saved of it."""
        if end.how == "timed_out":
            outcome, error = "timed_out", f"took longer than the limit of {timeout_seconds:g} s"
        elif end.how == "killed":
            outcome, error = "interrupted", "killed, since the run had to stop at once"
        else:
            outcome, error = "crashed", _cause_of_death(end)
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


def _cause_of_death(end: Ended) -> str:
    code = end.exit_code
    if code is not None and code < 0:
        by = signal.Signals(-code).name
        hint = " (the system may have run out of memory)" if by == "SIGKILL" else ""
        said = f"its process was killed by {by}{hint}"
    else:
        said = f"its process ended with status {code}"
    *before, last = end.output.splitlines() or [""]
    # The last line tells most, and tables show the first.
    return "\n".join([f"{said}: {last}" if last else said, *before])
