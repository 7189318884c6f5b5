"""A search's events as a run's, so that what follows a run follows a search: a trial's networks are cells."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nin_bench.cell import Cell
from nin_bench.failures import VariantStopped
from nin_bench.results import Record
from nin_bench.runner.events import CellEnded, CellStarted, EpochEnded, Event, Planned
from nin_bench.runner.record import make_record, now
from nin_bench.search.events import (
    SearchEvent,
    SearchPlanned,
    TrialEnded,
    TrialEpochEnded,
    TrialResult,
    TrialStarted,
)

_AT_ITS_END = ("train_loss", "validation_loss", "validation_accuracy")
"""Values of a network's last epoch that its record holds."""


class TrialsAsCells:
    """Tells a run's listener of a search's trials."""

    def __init__(self, listener: Callable[[Event], None]) -> None:
        self.listener = listener
        self._trials: dict[str, Sequence[Cell]] = {}
        """The networks of the trials under way, by key."""

    def __call__(self, event: SearchEvent) -> None:
        """Take an event."""
        for one in self._told(event):
            self.listener(one)

    def _told(self, event: SearchEvent) -> Iterator[Event]:
        match event:
            case SearchPlanned():
                yield Planned(cells=(), slots=event.slots, notes=())
            case TrialStarted():
                self._trials[event.key] = event.cells
                for cell in event.cells:
                    yield CellStarted(cell, event.slot)
            case TrialEpochEnded():
                for cell in self._trials[event.key]:
                    if (row := event.epoch.rows.get(cell.seed)) is not None:
                        yield EpochEnded(cell, row)
            case TrialEnded():
                for cell in self._trials.pop(event.key):
                    yield CellEnded(cell, _record(cell, event.result), event.will_retry)
            case VariantStopped():
                yield event


def _record(cell: Cell, result: TrialResult) -> Record:
    """What came of a trial's network, as a record; one that was cut short with its trial is interrupted."""
    run: Mapping[str, Any] = next((run for run in result.runs if run["seed"] == cell.seed), {})
    history = run.get("history", ())
    outcome = run.get("outcome", "crashed")
    if outcome == "trained" and (result.pruned or result.error):
        outcome = "interrupted"
    known = {name: run[name] for name in ("failed", "escaped", "escape_epoch", "num_steps") if name in run}
    known |= {name: history[-1].get(name) for name in _AT_ITS_END if history}
    return make_record(cell, outcome, started_at=now(), error=result.error, metrics=known, history=history)
