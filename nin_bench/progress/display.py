"""Show work under way: bars with the time left on a terminal, plain lines elsewhere. Knows no cells, no trials."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from nin_bench.errors import printable


class Display(ABC):
    """Work of several pieces, each of so many epochs; and before it, perhaps, samples to be taken."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.epochs: Mapping[str, int] = {}
        self.work = _Work({})

    @abstractmethod
    def say(self, line: str) -> None:
        """Show a line that stays."""

    def plan(self, epochs: Mapping[str, int], what: str, saved: Mapping[str, int] | None = None) -> None:
        """There is work to be done.

        Args:
            epochs: of every piece, by its key.
            what: the pieces, as `cells`.
            saved: epochs that need not be done again, by the keys of pieces that have any.
        """
        self.epochs = epochs
        self.work = _Work(epochs)
        for key, number in (saved or {}).items():
            self.work.left[key] -= number
        self._begin(what)

    def start(self, key: str, name: str, how: str) -> None:
        """A piece is begun."""
        self.names[key] = name
        self._start(key, f"{name}: {how}")

    def resume(self, key: str, epoch: int, how: str) -> None:
        """A piece that was begun before needs so many epochs no more."""
        self.work.left[key] = self.epochs[key] - epoch
        self.say(f"{self.names[key]}: {how}")
        self._resume(key, epoch)

    def epoch(self, key: str, epoch: int, note: str) -> None:
        """A piece has ended an epoch."""
        self.work.left[key] = self.epochs[key] - epoch
        self.work.num_seen += 1
        self._epoch(key, epoch, note)

    def end(self, key: str, outcome: str, *, again: bool, interrupted: bool) -> None:
        """A piece is over, or will be begun again."""
        self.work.left[key] = self.epochs[key] if again else 0
        self._end(key, f"{self.names[key]}: {outcome}", again=again, interrupted=interrupted)

    @abstractmethod
    def count(self, what: str, total: int) -> None:
        """So many samples will be taken before the work is begun."""

    def counted(self, left: int, name: str, stage: str) -> None:
        """One was taken; the pace of the work is counted from now."""
        self.work.started = time.monotonic()
        self._counted(left, name, stage)

    @abstractmethod
    def _begin(self, what: str) -> None: ...

    @abstractmethod
    def _start(self, key: str, line: str) -> None: ...

    @abstractmethod
    def _resume(self, key: str, epoch: int) -> None: ...

    @abstractmethod
    def _epoch(self, key: str, epoch: int, note: str) -> None: ...

    @abstractmethod
    def _end(self, key: str, line: str, *, again: bool, interrupted: bool) -> None: ...

    @abstractmethod
    def _counted(self, left: int, name: str, stage: str) -> None: ...


@contextmanager
def display_on(stream: TextIO) -> Iterator[Display]:
    """A display on a terminal, or on anything else that takes text, while the context lasts."""
    console = Console(file=stream)
    if not console.is_terminal:
        yield _Lines(stream)
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
        yield _Bars(bars)


class _Work:
    """Epochs still to be done, piece by piece, and how long they will take at the pace so far."""

    def __init__(self, epochs: Mapping[str, int]) -> None:
        self.left = dict(epochs)
        self.total = sum(epochs.values())
        self.num_seen = 0
        self.started = time.monotonic()

    @property
    def done(self) -> int:
        """Epochs that are over: trained, or skipped by a piece that ended early."""
        return self.total - sum(self.left.values())

    def time_left(self) -> str:
        """As people say it; empty while nothing is known of the pace, or nothing is left."""
        left = self.total - self.done
        if not self.num_seen or not left:
            return ""
        minutes = (time.monotonic() - self.started) / self.num_seen * left / 60
        if minutes < 1:
            return "less than a minute left"
        return f"about {minutes:.0f} min left" if minutes < 100 else f"about {minutes / 60:.1f} h left"


class _Lines(Display):
    """A line for each piece's start and end, and for each epoch."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self.num_ended = 0
        self.stage = ""

    def say(self, line: str) -> None:
        self.stream.write(f"{printable(line)}\n")
        self.stream.flush()

    def count(self, what: str, total: int) -> None:
        pass

    def _begin(self, what: str) -> None:
        pass

    def _start(self, key: str, line: str) -> None:
        self.say(line)

    def _resume(self, key: str, epoch: int) -> None:
        pass

    def _epoch(self, key: str, epoch: int, note: str) -> None:
        self.say(f"{self.names[key]}: epoch {epoch}/{self.epochs[key]}, {note}")

    def _end(self, key: str, line: str, *, again: bool, interrupted: bool) -> None:
        self.num_ended += not (again or interrupted)
        left = "" if interrupted else self.work.time_left()
        self.say(f"[{self.num_ended}/{len(self.epochs)}{', ' if left else ''}{left}] {line}")

    def _counted(self, left: int, name: str, stage: str) -> None:
        if stage != self.stage:
            self.stage = stage
            self.say(f"measuring: {stage}")


class _Bars(Display):
    """A bar for the whole work, counted in epochs, one for each piece under way, and one for samples."""

    def __init__(self, bars: Progress) -> None:
        super().__init__()
        self.bars = bars
        self.pieces: dict[str, TaskID] = {}

    def say(self, line: str) -> None:
        self.bars.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def count(self, what: str, total: int) -> None:
        self.samples = self.bars.add_task(what, total=total, note="")
        self.num_samples = total

    def _begin(self, what: str) -> None:
        if self.work.total:
            self.whole = self.bars.add_task(f"epochs of all {what}", total=self.work.total, note="")

    def _start(self, key: str, line: str) -> None:
        name = escape(printable(self.names[key]))
        self.pieces[key] = self.bars.add_task(name, total=self.epochs[key], note="")

    def _resume(self, key: str, epoch: int) -> None:
        self.bars.update(self.pieces[key], completed=epoch)
        self._advance()

    def _epoch(self, key: str, epoch: int, note: str) -> None:
        self.bars.update(self.pieces[key], completed=epoch, note=note)
        self._advance()

    def _end(self, key: str, line: str, *, again: bool, interrupted: bool) -> None:
        self.bars.remove_task(self.pieces.pop(key))
        self._advance()
        self.say(line)

    def _counted(self, left: int, name: str, stage: str) -> None:
        done, name = self.num_samples - left, escape(printable(name))
        self.bars.update(self.samples, completed=done, description=name, note=stage)
        if not left:
            self.bars.remove_task(self.samples)

    def _advance(self) -> None:
        self.bars.update(self.whole, completed=self.work.done, note=self.work.time_left())
