"""Show a run's events: bars with the time left on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from nin_bench.cell import Cell
from nin_bench.runner import CellEnded, CellStarted, EpochEnded, Event, Planned

Listener = Callable[[Event], None]


@contextmanager
def progress_on(stream: TextIO) -> Iterator[Listener]:
    """A listener for `run_grid` that shows its events on a stream while the context lasts."""
    console = Console(file=stream)
    if not console.is_terminal:
        yield _Lines(stream)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeLeftColumn(),
        console=console,
        speed_estimate_period=3600,
    ) as bars:
        yield _Bars(bars)


def _plan_line(event: Planned) -> str:
    todo = sum(planned.has_to_run for planned in event.cells)
    retried = sum(planned.state == "retry" for planned in event.cells)
    outdated = sum(planned.state == "outdated" for planned in event.cells)
    details = [
        f"{len(event.cells) - todo} done before",
        *([f"{retried} of them tried again"] if retried else []),
        *([f"{outdated} of them outdated"] if outdated else []),
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


def _named(cell: Cell) -> str:
    return f"{cell.label} seed {cell.seed}"


def _epoch_note(row: dict[str, float]) -> str:
    accuracy = row.get("validation_accuracy")
    return f"loss {row['train_loss']:.3f}" + ("" if accuracy is None else f", validation {accuracy:.1%}")


class _Lines:
    """A line for the plan, each cell's start and end, and each epoch."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.num_cells = 0
        self.num_ended = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                self.num_cells = sum(planned.has_to_run for planned in event.cells)
                for line in (*event.notes, _plan_line(event)):
                    self._say(line)
            case CellStarted():
                self._say(f"{_named(event.cell)}: started on {event.device}")
            case EpochEnded():
                epochs = event.cell.recipe.epochs
                self._say(f"{_named(event.cell)}: epoch {event.row['epoch']}/{epochs}, {_epoch_note(event.row)}")
            case CellEnded():
                self.num_ended += not event.will_retry
                self._say(f"[{self.num_ended}/{self.num_cells}] {_cell_line(event)}")

    def _say(self, line: str) -> None:
        self.stream.write(f"{line}\n")
        self.stream.flush()


class _Bars:
    """A bar for the whole run, counted in epochs, and one for each cell under way."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.whole: TaskID | None = None
        self.cells: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                for line in (*event.notes, _plan_line(event)):
                    self.bars.console.print(escape(line), highlight=False)
                epochs = sum(planned.cell.recipe.epochs for planned in event.cells if planned.has_to_run)
                self.whole = self.bars.add_task("all cells", total=epochs, note="epochs")
            case CellStarted():
                self.cells[event.cell.cell_id] = self.bars.add_task(
                    escape(_named(event.cell)), total=event.cell.recipe.epochs, note=""
                )
            case EpochEnded():
                self.bars.update(
                    self.cells[event.cell.cell_id], completed=event.row["epoch"], note=_epoch_note(event.row)
                )
                self._advance(1)
            case CellEnded():
                bar = self.cells.pop(event.cell.cell_id)
                done = next(task.completed for task in self.bars.tasks if task.id == bar)
                self.bars.remove_task(bar)
                # A cell that ended early leaves no epochs behind; one that will be retried does them again.
                self._advance(-done if event.will_retry else event.cell.recipe.epochs - done)
                self.bars.console.print(escape(_cell_line(event)), highlight=False)

    def _advance(self, epochs: float) -> None:
        assert self.whole is not None
        self.bars.advance(self.whole, epochs)
