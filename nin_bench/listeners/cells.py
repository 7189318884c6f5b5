"""What trackers share: the curve of each cell, without doubled points however often the cell is resumed."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from nin_bench.cell import Cell
from nin_bench.results import Record
from nin_bench.runner.events import CellEnded, CellResumed, CellStarted, EpochEnded, Event

Row = Mapping[str, Any]
"""An epoch of a cell's history, by the names of `results.records.Epoch`."""

Curve = TypeVar("Curve")


class Tracker(Protocol[Curve]):
    """Keeps curves somewhere."""

    def open_curve(self, cell: Cell, rows: Sequence[Row]) -> Curve:
        """A cell trains from here on; `rows` are the epochs that it need not train, maybe kept already."""

    def add(self, curve: Curve, row: Row) -> None:
        """An epoch was trained."""

    def close_curve(self, curve: Curve, record: Record) -> None:
        """The cell's attempt is over."""


class CellListener(Generic[Curve]):
    """A listener that tells a tracker of cells."""

    def __init__(self, tracker: Tracker[Curve]) -> None:
        self.tracker = tracker
        self._curves: dict[str, Curve] = {}
        """The curves of the cells that train, by id."""

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case CellStarted():
                self._curves.pop(event.cell.cell_id, None)
            case CellResumed() if event.is_resumed:
                self._curves[event.cell.cell_id] = self.tracker.open_curve(event.cell, event.history)
            case EpochEnded():
                self.tracker.add(self._curve(event.cell), event.row)
            case CellEnded():
                self.tracker.close_curve(self._curve(event.cell), event.record)
                del self._curves[event.cell.cell_id]

    def _curve(self, cell: Cell) -> Curve:
        if cell.cell_id not in self._curves:
            self._curves[cell.cell_id] = self.tracker.open_curve(cell, ())
        return self._curves[cell.cell_id]


def points(row: Row) -> dict[str, float]:
    """The numbers of an epoch, by name."""
    return {
        name: float(value) for name, value in row.items() if name != "epoch" and isinstance(value, int | float)
    }


def final_points(record: Record) -> dict[str, float]:
    """The numbers that a record ends with, by name, as `final/test_accuracy`."""
    values = dict(record.metrics)
    return {f"final/{name}": float(value) for name, value in values.items() if isinstance(value, int | float)}
