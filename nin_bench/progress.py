"""Show the events of a run or of a measuring: bars with the time left on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from nin_bench.cell import Cell
from nin_bench.errors import printable
from nin_bench.foretell import RunForecast
from nin_bench.plan import PlannedCell
from nin_bench.rounds import MeasuringStarted, SampleEnded
from nin_bench.runner import CellEnded, CellStarted, EpochEnded, Event, Foretold, Planned

Listener = Callable[[Event], None]


@contextmanager
def progress_on(stream: TextIO, heading: str) -> Iterator[Listener]:
    """A listener for `run_grid` and `measure_grid` that shows its events on a stream while the context lasts.

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
    retried = sum(planned.state == "retry" for planned in event.cells)
    outdated = sum(planned.state == "outdated" for planned in event.cells)
    details = [
        f"{len(event.cells) - todo} done before",
        *([f"{retried} to try again"] if retried else []),
        *([f"{outdated} outdated"] if outdated else []),
    ]
    where = f"{len(event.slots)} × {event.slots[0].device.partition(':')[0]}"
    return f"{todo} of {len(event.cells)} cells to run ({', '.join(details)}) on {where}"


def forecast_line(forecast: RunForecast) -> str | None:
    """What a run will take; None where nothing is known of it."""
    if not forecast.num_known:
        return None
    workers = "1 worker" if forecast.num_workers == 1 else f"{forecast.num_workers} workers"
    of = f" for {forecast.num_known} of {forecast.num_cells} cells" if forecast.num_unknown else ""
    memory = (
        "" if forecast.memory_bytes is None else f", together holding up to {human_memory(forecast.memory_bytes)}"
    )
    return f"foretold: {human_duration(forecast.seconds)}{of} with {workers}{memory}"


def memory_warning(forecast: RunForecast, machine: Mapping[str, Any]) -> str | None:
    """That a run will take more memory than there is; of accelerators, each worker has its own.

    Args:
        forecast: of the cells to run.
        machine: as `describe_machine` tells.
    """
    total, wanted = machine["memory_bytes"], forecast.memory_bytes
    if machine["device"] != "cpu" or total is None or wanted is None or wanted <= total:
        return None
    return (
        f"warning: {forecast.num_workers} workers may hold {human_memory(wanted)} together, and this machine has "
        f"{human_memory(total)}; give fewer --workers"
    )


def human_duration(seconds: float) -> str:
    """As people say it.

    >>> human_duration(42.4), human_duration(150.0), human_duration(9000.0)
    ('42 s', '2.5 min', '2.5 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def human_memory(num_bytes: int) -> str:
    """As people say it: `1.5 GiB`."""
    return f"{num_bytes / 2**30:.1f} GiB"


def _measuring_line(event: MeasuringStarted) -> str:
    variants = "variant" if event.num_variants == 1 else "variants"
    return f"measuring {event.num_variants} {variants}, one process at a time: {event.num_samples} samples"


def _failure_line(event: SampleEnded) -> str:
    return f"{event.label}: measured no further: {(event.error or '').splitlines()[0]}"


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


class _Work:
    """Epochs still to be done, cell by cell, and how long they will take at the pace so far."""

    def __init__(self, cells: Sequence[PlannedCell]) -> None:
        self.left = {planned.cell.cell_id: planned.cell.recipe.epochs for planned in cells if planned.has_to_run}
        self.total = sum(self.left.values())
        self.num_seen = 0
        self.started = time.monotonic()

    @property
    def done(self) -> int:
        """Epochs that are over: trained, or skipped by a cell that ended early."""
        return self.total - sum(self.left.values())

    def wait(self) -> None:
        """Nothing trains yet: the pace is counted from now."""
        self.started = time.monotonic()

    def note(self, event: EpochEnded | CellEnded) -> None:
        cell = event.cell
        if isinstance(event, EpochEnded):
            self.num_seen += 1
            self.left[cell.cell_id] = cell.recipe.epochs - event.row["epoch"]
        else:
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
        self.work = _Work([])
        self.stage = ""

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                self.work = _Work(event.cells)
                self._say_heading()
                for line in (*event.notes, _plan_line(event)):
                    self._say(line)
            case Foretold():
                for said in (forecast_line(event.forecast), memory_warning(event.forecast, event.machine)):
                    if said:
                        self._say(said)
            case MeasuringStarted():
                self._say_heading()
                self._say(_measuring_line(event))
            case SampleEnded():
                self.work.wait()
                if event.stage != self.stage:
                    self.stage = event.stage
                    self._say(f"measuring: {event.stage}")
                if event.error is not None:
                    self._say(_failure_line(event))
            case CellStarted():
                self._say(f"{_named(event.cell)}: started on {event.device}")
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

    def _say_heading(self) -> None:
        if self.heading:
            self._say(self.heading)
        self.heading = ""

    def _say(self, line: str) -> None:
        self.stream.write(f"{printable(line)}\n")
        self.stream.flush()


class _Bars:
    """A bar for the whole run, counted in epochs, and one for each cell under way."""

    def __init__(self, bars: Progress, heading: str) -> None:
        self.bars = bars
        self.heading = heading
        self.work = _Work([])
        self.cells: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                self.work = _Work(event.cells)
                self._say_heading()
                for line in (*event.notes, _plan_line(event)):
                    self._say(line)
                if self.work.total:
                    self.whole = self.bars.add_task("epochs of all cells", total=self.work.total, note="")
            case Foretold():
                for said in (forecast_line(event.forecast), memory_warning(event.forecast, event.machine)):
                    if said:
                        self._say(said)
            case MeasuringStarted():
                self._say_heading()
                self._say(_measuring_line(event))
                self.samples = self.bars.add_task("samples", total=event.num_samples, note="")
                self.num_samples = event.num_samples
            case SampleEnded():
                self.work.wait()
                self.bars.update(
                    self.samples,
                    completed=self.num_samples - event.num_left,
                    description=escape(printable(event.label)),
                    note=event.stage,
                )
                if event.error is not None:
                    self._say(_failure_line(event))
                if not event.num_left:
                    self.bars.remove_task(self.samples)
            case CellStarted():
                self.cells[event.cell.cell_id] = self.bars.add_task(
                    escape(printable(_named(event.cell))), total=event.cell.recipe.epochs, note=""
                )
            case EpochEnded():
                bar = self.cells[event.cell.cell_id]
                self.bars.update(bar, completed=event.row["epoch"], note=_epoch_note(event.row))
                self._advance(event)
            case CellEnded():
                self.bars.remove_task(self.cells.pop(event.cell.cell_id))
                self._advance(event)
                self._say(_cell_line(event))

    def _advance(self, event: EpochEnded | CellEnded) -> None:
        self.work.note(event)
        self.bars.update(self.whole, completed=self.work.done, note=self.work.time_left())

    def _say_heading(self) -> None:
        if self.heading:
            self._say(self.heading)
        self.heading = ""

    def _say(self, line: str) -> None:
        self.bars.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
