"""What a run has told so far, as a page shows it."""

import math
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from nin_bench.cell import Cell
from nin_bench.failures import VariantStopped
from nin_bench.runner.cost_benchmark import BenchmarkStarted, SampleEnded
from nin_bench.runner.events import (
    CellEnded,
    CellResumed,
    CellStarted,
    EpochEnded,
    Event,
    LookTaken,
    Planned,
)

MOST_POINTS = 200
"""The most points of a curve; a longer one is thinned, its last point kept."""
_DRAWN = ("epoch", "train_loss", "validation_accuracy")


@dataclass
class _Running:
    """A cell that trains."""

    cell: Cell
    device: str
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """Epoch, training loss and validation accuracy, or None."""

    def as_dict(self) -> dict[str, Any]:
        step = math.ceil(len(self.rows) / MOST_POINTS) or 1
        return {
            "cell_id": self.cell.cell_id,
            "title": f"{self.cell.label}, seed {self.cell.seed}",
            "device": self.device,
            "epochs": self.cell.recipe.epochs,
            "rows": self.rows[::-1][::step][::-1],
        }


class RunState:
    """A listener that keeps what is going on; any thread may ask for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stage = "starting"
        """`starting`, `measuring`, `training` or `ended`."""
        self.num_records = 0
        """Cells that have a record, those from before too."""
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._outcomes: Counter[str] = Counter()
        self._running: dict[str, _Running] = {}
        self._num_samples = (0, 0)
        self._notes: list[str] = []

    def __call__(self, event: Event) -> None:
        """Take an event."""
        with self._lock:
            self._take(event)

    def end(self) -> None:
        """Nothing more will happen."""
        with self._lock:
            self.stage = "ended"
            self._running.clear()

    def as_dict(self) -> dict[str, Any]:
        """The state in plain values."""
        with self._lock:
            left, total = self._num_samples
            return {
                "name": self.name,
                "stage": self.stage,
                "samples": {"done": total - left, "total": total},
                "num_waiting": len(self._waiting),
                "outcomes": dict(self._outcomes.most_common()),
                "running": [one.as_dict() for one in self._running.values()],
                "notes": self._notes,
            }

    def _take(self, event: Event) -> None:
        match event:
            case Planned():
                self.stage = "training"
                self._waiting = {one.cell.cell_id for one in event.cells if one.may_run}
                self._outcomes.update(one.outcome for one in event.cells if one.state == "done" and one.outcome)
                self.num_records = self._outcomes.total()
                self._notes += event.notes
            case BenchmarkStarted():
                self.stage = "measuring"
                self._num_samples = (event.num_samples, event.num_samples)
            case SampleEnded():
                self._num_samples = (event.num_left, self._num_samples[1])
                self.stage = "measuring" if event.num_left else "training"
            case CellStarted():
                self.stage = "training"
                self._waiting.discard(event.cell.cell_id)
                self._running[event.cell.cell_id] = _Running(event.cell, str(event.slot))
            case CellResumed():
                self._notes += event.notes
                self._running[event.cell.cell_id].rows = [_drawn(row) for row in event.history]
            case EpochEnded():
                self._running[event.cell.cell_id].rows.append(_drawn(event.row))
            case LookTaken() | VariantStopped():
                self._waiting -= set(event.unneeded)
            case CellEnded():
                self._running.pop(event.cell.cell_id, None)
                if event.will_retry:
                    self._waiting.add(event.cell.cell_id)
                else:
                    self._outcomes[event.record.outcome] += 1
                    self.num_records += 1


def _drawn(row: Any) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in _DRAWN)
