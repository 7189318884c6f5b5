"""Show the events of a run, cell by cell, and of a measuring, sample by sample."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from nin_bench.cell import Cell
from nin_bench.estimates import RunEstimate
from nin_bench.progress.display import Display, display_on
from nin_bench.runner.cost_benchmark import BenchmarkStarted, SampleEnded
from nin_bench.runner.events import CellEnded, CellResumed, CellStarted, EpochEnded, Estimated, Event, Planned


@contextmanager
def progress_on(stream: TextIO, heading: str) -> Iterator[Callable[[Event], None]]:
    """A listener for `run_grid` and `measure_grid` that shows their events on a stream while the context lasts.

    Args:
        stream: a terminal, or anything else that takes text.
        heading: what is run; shown before all else, but only once nothing speaks against running it.
    """
    with display_on(stream) as display:
        yield _Listener(display, heading)


class _Listener:
    def __init__(self, display: Display, heading: str) -> None:
        self.display = display
        self.heading = heading

    def __call__(self, event: Event) -> None:
        display = self.display
        match event:
            case Planned():
                self._say_heading()
                for line in (*event.notes, _plan_line(event)):
                    display.say(line)
                todo = [one for one in event.cells if one.has_to_run]
                epochs = {one.cell.cell_id: one.cell.recipe.epochs for one in todo}
                saved = {one.cell.cell_id: one.num_epochs_saved for one in todo if one.num_epochs_saved}
                display.plan(epochs, "cells", saved)
            case Estimated():
                for said in (estimate_line(event.estimate), memory_warning(event.estimate, event.machine)):
                    if said:
                        display.say(said)
            case BenchmarkStarted():
                self._say_heading()
                display.say(_measuring_line(event))
                display.count("samples", event.num_samples)
            case SampleEnded():
                display.counted(event.num_left, event.label, event.stage)
                if event.error is not None:
                    display.say(f"{event.label}: measured no further: {event.error.splitlines()[0]}")
            case CellStarted():
                display.start(event.cell.cell_id, _named(event.cell), f"started on {event.device}")
            case CellResumed():
                for said in event.notes:
                    display.say(said)
                where = f"after epoch {event.num_epochs}/{event.cell.recipe.epochs}"
                said = f"goes on {where}" if event.is_resumed else "starts over"
                display.resume(event.cell.cell_id, event.num_epochs, said)
            case EpochEnded():
                display.epoch(event.cell.cell_id, event.row["epoch"], _epoch_note(event.row))
            case CellEnded():
                interrupted = event.record["outcome"] == "interrupted"
                display.end(event.cell.cell_id, _outcome(event), again=event.will_retry, interrupted=interrupted)

    def _say_heading(self) -> None:
        """Once, by whichever comes first."""
        if self.heading:
            self.display.say(self.heading)
        self.heading = ""


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


def _measuring_line(event: BenchmarkStarted) -> str:
    variants = "variant" if event.num_variants == 1 else "variants"
    return f"measuring {event.num_variants} {variants}, one process at a time: {event.num_samples} samples"


def estimate_line(estimate: RunEstimate) -> str | None:
    """What a run will take; None where nothing is known of it."""
    if not estimate.num_known:
        return None
    workers = "1 worker" if estimate.num_workers == 1 else f"{estimate.num_workers} workers"
    of = f" for {estimate.num_known} of {estimate.num_cells} cells" if estimate.num_unknown else ""
    memory = (
        "" if estimate.memory_bytes is None else f", together holding up to {human_memory(estimate.memory_bytes)}"
    )
    return f"estimate: {human_duration(estimate.seconds)}{of} with {workers}{memory}"


def memory_warning(estimate: RunEstimate, machine: Mapping[str, Any]) -> str | None:
    """That a run will take more memory than there is; of accelerators, each worker has its own.

    Args:
        estimate: of the cells to run.
        machine: as `describe_machine` tells.
    """
    total, wanted = machine["memory_bytes"], estimate.memory_bytes
    if machine["device"] != "cpu" or total is None or wanted is None or wanted <= total:
        return None
    return (
        f"warning: {estimate.num_workers} workers may hold {human_memory(wanted)} together, and this machine has "
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


def _outcome(event: CellEnded) -> str:
    record = event.record
    accuracy = record["metrics"].get("test_accuracy")
    said = "" if accuracy is None else f", test accuracy {accuracy:.1%}"
    why = record["attempts"][-1]["error"]
    cause = f": {why.splitlines()[0]}" if why else ""
    again = "; will be tried again" if event.will_retry else ""
    return f"{record['outcome']}{said}{cause}{again}"


def _named(cell: Cell) -> str:
    return f"{cell.label} seed {cell.seed}"


def _epoch_note(row: Mapping[str, Any]) -> str:
    accuracy = row.get("validation_accuracy")
    return f"loss {row['train_loss']:.3f}" + ("" if accuracy is None else f", validation {accuracy:.1%}")
