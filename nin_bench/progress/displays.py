"""Show how a run, a measuring or a search goes: bars with the time left on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from nin_bench.cell import Cell
from nin_bench.data import Watch
from nin_bench.errors import printable
from nin_bench.estimates import estimate_lines, memory_warning
from nin_bench.executors import Slot
from nin_bench.failures import VariantStopped
from nin_bench.grid import SearchSpec
from nin_bench.progress import words
from nin_bench.runner import events
from nin_bench.runner.cost_benchmark import BenchmarkStarted, SampleEnded
from nin_bench.search import events as trials

MANY_IMAGES = 1_000
"""Fewer are read in a moment."""


@contextmanager
def progress_on(stream: TextIO, heading: str) -> Iterator[Callable[[events.Event | trials.SearchEvent], None]]:
    """A listener for `run_grid`, `measure_grid` and `search_grid` that shows their events while the context lasts.

    Args:
        stream: a terminal, or anything else that takes text.
        heading: what is run; shown before all else, but only once nothing speaks against running it.
    """
    console = Console(file=stream)
    if not console.is_terminal:
        yield _Lines(heading, stream)
        return
    with Progress(
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
        # Names are long: they have what the other columns leave, and are cut where that ends.
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        console=console,
        expand=True,
    ) as bars:
        yield _Bars(heading, stream, bars)


@contextmanager
def counting_on(stream: TextIO) -> Iterator[Watch]:
    """A listener for what takes a while before a run, as the reading of pictures; shown while the context lasts.

    A bar for each thing on a terminal, which then goes; elsewhere a line, where it is of many images.
    """
    console = Console(file=stream)
    if not console.is_terminal:

        def say(what: str, done: int, total: int) -> None:
            if done == 1 and total >= MANY_IMAGES:
                stream.write(f"{printable(what)}: {total:,} images\n")
                stream.flush()

        yield say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(escape(printable(what)), total=total)
            bars.update(tasks[what], completed=done)

        yield show


class _Lines:
    """A line for each start and end of a cell, trial or stage of measuring, and for each epoch."""

    def __init__(self, heading: str, stream: TextIO) -> None:
        self.heading = heading
        self.stream = stream
        self.spec: SearchSpec | None = None
        self.names: dict[str, str] = {}
        self.short_labels: dict[str, str] = {}
        """What tells the variants apart, by their labels."""
        self.epochs: Mapping[str, int] = {}
        """Epochs of every cell or trial that is to be trained."""
        self.left: dict[str, int] = {}
        """Epochs that are not trained yet, nor skipped by a cell that ended early."""
        self.num_epochs = self.num_left = 0
        """Sums of both, kept since there may be 100,000 cells."""
        self.num_epochs_seen = 0
        self.num_ended = 0
        self.started = time.monotonic()
        self.stage = ""

    def __call__(self, event: events.Event | trials.SearchEvent) -> None:
        match event:
            case events.Planned():
                self.say_heading()
                for line in (*event.notes, words.plan_line(event)):
                    self.say(line)
                self.short_labels = words.short_labels(one.cell.label for one in event.cells)
                todo = {one.cell.cell_id: one for one in event.cells if one.may_run}
                self.epochs = {key: one.cell.recipe.epochs for key, one in todo.items()}
                self.left = {key: self.epochs[key] - (one.num_epochs_saved or 0) for key, one in todo.items()}
                self.sum_up()
                self.begin("cells")
            case events.Estimated():
                for line in estimate_lines(event.estimates):
                    self.say(line)
                *_, most = event.estimates.values()
                if warning := memory_warning(most, event.machine):
                    self.say(warning)
            case BenchmarkStarted():
                self.say_heading()
                self.say(words.measuring_line(event))
                self.begin_samples(event.num_samples)
            case SampleEnded():
                self.started = time.monotonic()  # measuring is no part of the pace
                self.show_sample(event)
                if event.error is not None:
                    self.say(f"{event.label}: measured no further: {event.error.splitlines()[0]}")
            case events.CellStarted():
                cell = event.cell
                self.start(cell.cell_id, cell.label, f"seed {cell.seed}", event.slot)
            case events.CellResumed():
                for line in event.notes:
                    self.say(line)
                self.resume(event.cell, len(event.history), is_resumed=event.is_resumed)
            case events.EpochEnded():
                self.epoch(event.cell.cell_id, event.row["epoch"], *words.epoch_notes(event.row))
            case events.LookTaken():
                self.drop(event.unneeded)
                self.say(f"claim {event.look.hypothesis} after {event.look.n} seeds: {event.look.verdict}")
            case VariantStopped():
                self.drop(event.unneeded)
                left = len(event.unneeded)
                what = "cells" if self.spec is None else "trials"
                untried = f"; {left} of its {what} {'is' if left == 1 else 'are'} not tried" if left else ""
                self.say(f"{event.label}: stopped after failures alike{untried}: {event.error.splitlines()[0]}")
            case events.CellEnded():
                interrupted = event.record.outcome == "interrupted"
                self.end(
                    event.cell.cell_id, words.cell_outcome(event), again=event.will_retry, interrupted=interrupted
                )
            case events.Probed():
                came = (
                    "answered the probes" if event.error is None else f"no probes: {event.error.splitlines()[0]}"
                )
                self.say(f"{event.cell.label} seed {event.cell.seed}: {came}")
            case trials.SearchPlanned():
                self.say_heading()
                self.say(words.search_line(event))
                self.short_labels = words.short_labels(event.labels)
                self.spec, self.epochs, self.left = event.spec, event.epochs, dict(event.epochs)
                self.sum_up()
                self.begin("trials")
            case trials.TrialStarted():
                params = ", ".join(f"{name}={words.short_value(value)}" for name, value in event.params.items())
                self.start(event.key, event.label, f"trial {event.number}", event.slot, f" with {params}")
            case trials.TrialEpochEnded():
                assert self.spec is not None
                value = event.epoch.value
                self.epoch(
                    event.key,
                    event.epoch.epoch,
                    words.objective_value(self.spec, value),
                    words.short_objective(self.spec, value),
                )
            case trials.TrialEnded():
                assert self.spec is not None
                interrupted = event.result.error is not None and not event.will_retry
                outcome = words.trial_outcome(self.spec, event.result, will_retry=event.will_retry)
                self.end(event.key, outcome, again=event.will_retry, interrupted=interrupted)

    # What is counted on every display

    def say_heading(self) -> None:
        """Once, by whichever event comes first."""
        if self.heading:
            self.say(self.heading)
        self.heading = ""

    def start(self, key: str, label: str, which: str, slot: Slot, how: str = "") -> None:
        """A cell or trial starts, maybe again on another node; `which` is its seed or its number."""
        self.names[key] = f"{label} {which}"
        node = f" on {slot.node}" if slot.node else ""
        self.show_start(key, f"{which}{node}: {self.short_labels.get(label, label)}", f"started on {slot}{how}")

    def resume(self, cell: Cell, num_epochs: int, *, is_resumed: bool) -> None:
        key, total = cell.cell_id, cell.recipe.epochs
        self.set_left(key, total - num_epochs)
        self.say(
            f"{self.names[key]}: {f'goes on after epoch {num_epochs}/{total}' if is_resumed else 'starts over'}"
        )
        self.show_epoch(key, num_epochs)

    def epoch(self, key: str, number: int, note: str, short_note: str) -> None:
        """An epoch was trained; the notes say what was reached, the second one where there is little room."""
        self.set_left(key, self.epochs[key] - number)
        self.num_epochs_seen += 1
        self.show_epoch(key, number, note, short_note)

    def end(self, key: str, outcome: str, *, again: bool, interrupted: bool) -> None:
        self.set_left(key, self.epochs[key] if again else 0)
        self.num_ended += not (again or interrupted)
        self.show_end(key, f"{self.names[key]}: {outcome}", interrupted=interrupted)

    def drop(self, keys: Collection[str]) -> None:
        """Some cells will not be trained."""
        self.epochs = {key: epochs for key, epochs in self.epochs.items() if key not in keys or key in self.names}
        self.left = {key: left for key, left in self.left.items() if key in self.epochs}
        self.sum_up()
        self.show_whole()

    def set_left(self, key: str, left: int) -> None:
        self.num_left += left - self.left[key]
        self.left[key] = left

    def sum_up(self) -> None:
        self.num_epochs, self.num_left = sum(self.epochs.values()), sum(self.left.values())

    def time_left(self) -> str:
        """At the pace so far; empty while nothing is known of it, or nothing is left."""
        left = self.num_left
        if not self.num_epochs_seen or not left:
            return ""
        minutes = (time.monotonic() - self.started) / self.num_epochs_seen * left / 60
        if minutes < 1:
            return "< 1 min left"
        return f"about {minutes:.0f} min left" if minutes < 100 else f"about {minutes / 60:.1f} h left"

    # What is shown

    def say(self, line: str) -> None:
        """Show a line that stays."""
        self.stream.write(f"{printable(line)}\n")
        self.stream.flush()

    def begin(self, what: str) -> None:
        pass

    def show_start(self, key: str, short_name: str, how: str) -> None:
        self.say(f"{self.names[key]}: {how}")

    def show_epoch(self, key: str, number: int, note: str = "", short_note: str = "") -> None:
        """An epoch was trained; without a note, its checkpoint was found."""
        if note:
            self.say(f"{self.names[key]}: epoch {number}/{self.epochs[key]}, {note}")

    def show_end(self, key: str, line: str, *, interrupted: bool) -> None:
        left = "" if interrupted else self.time_left()
        self.say(f"[{self.num_ended}/{len(self.epochs)}{', ' if left else ''}{left}] {line}")

    def show_whole(self) -> None:
        pass

    def begin_samples(self, total: int) -> None:
        pass

    def show_sample(self, event: SampleEnded) -> None:
        if event.stage != self.stage:
            self.stage = event.stage
            self.say(f"measuring: {event.stage}")


class _Bars(_Lines):
    """A bar for the whole work, counted in epochs, one for each cell or trial in a worker, and one for samples."""

    def __init__(self, heading: str, stream: TextIO, bars: Progress) -> None:
        super().__init__(heading, stream)
        self.bars = bars
        self.bar_of: dict[str, TaskID] = {}

    def say(self, line: str) -> None:
        self.bars.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def begin(self, what: str) -> None:
        if self.epochs:
            self.whole = self.bars.add_task(f"epochs of all {what}", total=self.num_epochs, note="")

    def show_start(self, key: str, short_name: str, how: str) -> None:
        name = escape(printable(short_name))
        if key in self.bar_of:
            self.bars.update(self.bar_of[key], description=name, completed=0, note="")
        else:
            self.bar_of[key] = self.bars.add_task(name, total=self.epochs[key], note="")

    def show_epoch(self, key: str, number: int, note: str = "", short_note: str = "") -> None:
        self.bars.update(self.bar_of[key], completed=number, note=short_note)
        self.show_whole()

    def show_end(self, key: str, line: str, *, interrupted: bool) -> None:
        self.bars.remove_task(self.bar_of.pop(key))
        self.show_whole()
        self.say(line)

    def show_whole(self) -> None:
        done = self.num_epochs - self.num_left
        self.bars.update(self.whole, completed=done, total=self.num_epochs, note=self.time_left())

    def begin_samples(self, total: int) -> None:
        self.num_samples = total
        self.samples = self.bars.add_task("samples", total=total, note="")

    def show_sample(self, event: SampleEnded) -> None:
        name = escape(printable(self.short_labels.get(event.label, event.label)))
        done = self.num_samples - event.num_left
        self.bars.update(self.samples, completed=done, description=name, note=event.stage)
        if not event.num_left:
            self.bars.remove_task(self.samples)
