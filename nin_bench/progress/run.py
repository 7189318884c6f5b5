"""Show a run's events, cell by cell."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from nin_bench.cell import Cell
from nin_bench.progress.display import Display, display_on
from nin_bench.runner import CellEnded, CellStarted, EpochEnded, Event, Planned


@contextmanager
def run_progress(stream: TextIO, heading: str) -> Iterator[Callable[[Event], None]]:
    """A listener for `run_grid` that shows its events on a stream while the context lasts.

    Args:
        stream: a terminal, or anything else that takes text.
        heading: what is run; shown before all else, but only once nothing speaks against running it.
    """
    with display_on(stream) as display:
        yield lambda event: _show(event, display, heading)


def _show(event: Event, display: Display, heading: str) -> None:
    match event:
        case Planned():
            epochs = {one.cell.cell_id: one.cell.recipe.epochs for one in event.cells if one.has_to_run}
            display.plan([heading, *event.notes, _plan_line(event)], epochs, "cells")
        case CellStarted():
            display.start(event.cell.cell_id, _named(event.cell), f"started on {event.device}")
        case EpochEnded():
            display.epoch(event.cell.cell_id, event.row["epoch"], _epoch_note(event.row))
        case CellEnded():
            interrupted = event.record["outcome"] == "interrupted"
            display.end(event.cell.cell_id, _outcome(event), again=event.will_retry, interrupted=interrupted)


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


def _epoch_note(row: dict[str, float]) -> str:
    accuracy = row.get("validation_accuracy")
    return f"loss {row['train_loss']:.3f}" + ("" if accuracy is None else f", validation {accuracy:.1%}")
