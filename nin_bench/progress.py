"""Show a run's events: bars with the time left on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from nin_bench.cell import Cell
from nin_bench.errors import printable
from nin_bench.events import CellEnded, CellResumed, CellStarted, EpochEnded, Event, Planned

Listener = Callable[[Event], None]


@contextmanager
def progress_on(stream: TextIO, heading: str) -> Iterator[Listener]:
    """A listener for `run_grid` that shows its events on a stream while the context lasts.

    Args:
        stream: a terminal, or anything else that takes text.
        heading: what is run; shown before all else, but only once nothing speaks against running it.
    """
    console = Console(file=stream)
    if not console.is_terminal:
        yield _Lines(stream, heading)
        return
    with Progress(
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
        # Labels are long: they have what the other columns leave, and are cut where that ends.
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        console=console,
        expand=True,
    ) as bars:
        yield _Bars(bars, heading)


def _plan_line(event: Planned) -> str:
    todo = sum(planned.has_to_run for planned in event.cells)
    continued = sum(planned.state == "continue" for planned in event.cells)
    retried = sum(planned.state == "retry" for planned in event.cells)
    outdated = sum(planned.state == "outdated" for planned in event.cells)
    details = [
        f"{len(event.cells) - todo} done before",
        *([f"{continued} to go on from a checkpoint"] if continued else []),
        *([f"{retried} to try again"] if retried else []),
        *([f"{outdated} outdated"] if outdated else []),
    ]
    where = f"{len(event.slots)} × {event.slots[0].device.partition(':')[0]}"
    return f"{todo} of {len(event.cells)} cells to run ({', '.join(details)}) on {where}"


def _cell_line(event: CellEnded) -> str:
    record = event.record
    accuracy = record["metrics"].get("test_accuracy")
    said = "" if accuracy is None else f", test accuracy {accuracy:.1%}"
    why = record["attempts"][-1]["error"]
    cause = f": {why.splitlines()[0]}" if why else ""
    again = "; will be tried again" if event.will_retry else ""
    return f"{_named(event.cell)}: {record['outcome']}{said}{cause}{again}"


def _resumed_lines(event: CellResumed) -> list[str]:
    total = event.cell.recipe.epochs
    where = f"goes on after epoch {event.num_epochs}/{total}" if event.is_resumed else "starts over"
    return [*event.notes, f"{_named(event.cell)}: {where}"]


def _named(cell: Cell) -> str:
    return f"{cell.label} seed {cell.seed}"


def _epoch_note(row: Mapping[str, float]) -> str:
    accuracy = row.get("validation_accuracy")
    return f"loss {row['train_loss']:.3f}" + ("" if accuracy is None else f", validation {accuracy:.1%}")


class _Work:
    """Epochs still to be done, cell by cell, and how long they will take at the pace so far."""

    def __init__(self, event: Planned) -> None:
        self.left = {
            planned.cell.cell_id: planned.cell.recipe.epochs - (planned.num_epochs_saved or 0)
            for planned in event.cells
            if planned.has_to_run
        }
        self.total = sum(self.left.values())
        self.num_seen = 0
        self.started = time.monotonic()

    @property
    def done(self) -> int:
        """Epochs that are over: trained, or skipped by a cell that ended early."""
        return self.total - sum(self.left.values())

    def note(self, event: CellResumed | EpochEnded | CellEnded) -> None:
        cell = event.cell
        match event:
            case CellResumed():
                self.left[cell.cell_id] = cell.recipe.epochs - event.num_epochs
            case EpochEnded():
                self.num_seen += 1
                self.left[cell.cell_id] = cell.recipe.epochs - event.row["epoch"]
            case CellEnded():
                self.left[cell.cell_id] = cell.recipe.epochs if event.will_retry else 0

    def time_left(self) -> str:
        """As people say it; empty while nothing is known of the pace, or nothing is left."""
        left = self.total - self.done
        if not self.num_seen or not left:
            return ""
        minutes = (time.monotonic() - self.started) / self.num_seen * left / 60
        if minutes < 1:
            return "less than a minute left"
        return f"about {minutes:.0f} min left" if minutes < 100 else f"about {minutes / 60:.1f} h left"


class _Lines:
    """A line for the plan, each cell's start and end, and each epoch."""

    def __init__(self, stream: TextIO, heading: str) -> None:
        self.stream = stream
        self.heading = heading
        self.num_ended = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                self.work = _Work(event)
                for line in (self.heading, *event.notes, _plan_line(event)):
                    self._say(line)
            case CellStarted():
                self._say(f"{_named(event.cell)}: started on {event.device}")
            case CellResumed():
                self.work.note(event)
                for line in _resumed_lines(event):
                    self._say(line)
            case EpochEnded():
                self.work.note(event)
                epochs = event.cell.recipe.epochs
                self._say(f"{_named(event.cell)}: epoch {event.row['epoch']}/{epochs}, {_epoch_note(event.row)}")
            case CellEnded():
                self.work.note(event)
                self.num_ended += not event.will_retry
                left = "" if event.record["outcome"] == "interrupted" else self.work.time_left()
                count = f"[{self.num_ended}/{len(self.work.left)}{', ' if left else ''}{left}]"
                self._say(f"{count} {_cell_line(event)}")

    def _say(self, line: str) -> None:
        self.stream.write(f"{printable(line)}\n")
        self.stream.flush()


class _Bars:
    """A bar for the whole run, counted in epochs, and one for each cell under way."""

    def __init__(self, bars: Progress, heading: str) -> None:
        self.bars = bars
        self.heading = heading
        self.cells: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                self.work = _Work(event)
                for line in (self.heading, *event.notes, _plan_line(event)):
                    self._say(line)
                if self.work.total:
                    self.whole = self.bars.add_task("epochs of all cells", total=self.work.total, note="")
            case CellStarted():
                self.cells[event.cell.cell_id] = self.bars.add_task(
                    escape(printable(_named(event.cell))), total=event.cell.recipe.epochs, note=""
                )
            case CellResumed():
                self.bars.update(self.cells[event.cell.cell_id], completed=event.num_epochs)
                self._advance(event)
                for line in _resumed_lines(event):
                    self._say(line)
            case EpochEnded():
                bar = self.cells[event.cell.cell_id]
                self.bars.update(bar, completed=event.row["epoch"], note=_epoch_note(event.row))
                self._advance(event)
            case CellEnded():
                self.bars.remove_task(self.cells.pop(event.cell.cell_id))
                self._advance(event)
                self._say(_cell_line(event))

    def _advance(self, event: CellResumed | EpochEnded | CellEnded) -> None:
        self.work.note(event)
        self.bars.update(self.whole, completed=self.work.done, note=self.work.time_left())

    def _say(self, line: str) -> None:
        self.bars.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
