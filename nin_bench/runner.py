"""The parent of a run: plan, measure, hand cells to an executor, write what comes of each."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from nin_bench import rounds
from nin_bench.cell import Cell
from nin_bench.cost_entry import Entry, is_measured
from nin_bench.cost_file import entry_of
from nin_bench.environment import describe_environment
from nin_bench.executors import Ended, LocalExecutor, Slot, Started, Task, Told
from nin_bench.foretell import RunForecast, foretell_run
from nin_bench.grid import Grid
from nin_bench.plan import PlannedCell, foretell_cells, load_plan, plan_cells
from nin_bench.results import FINAL_OUTCOMES, Record, ResultsFolder
from nin_bench.rounds import Measuring
from nin_bench.training import Epoch
from nin_bench.worker import CellResult, make_record, now, run_cell_task
from nin_bench.workplace import Held, RunOptions, held_folder


@dataclass(frozen=True)
class Planned:
    """The run knows what it has to do."""

    cells: Sequence[PlannedCell]
    slots: Sequence[Slot]
    notes: Sequence[str]


@dataclass(frozen=True)
class Foretold:
    """Nothing is left to measure, and what was measured tells what training will take."""

    forecast: RunForecast
    """Of the cells to run."""
    machine: Mapping[str, Any]
    """As `describe_machine` tells."""


@dataclass(frozen=True)
class CellStarted:
    """A cell has its process."""

    cell: Cell
    device: str


@dataclass(frozen=True)
class EpochEnded:
    """A cell has passed once more over its images."""

    cell: Cell
    row: Epoch


@dataclass(frozen=True)
class CellEnded:
    """A cell is over and its record is safe."""

    cell: Cell
    record: Record
    will_retry: bool


Event = Planned | Foretold | CellStarted | EpochEnded | CellEnded | rounds.Event


@dataclass
class RunSummary:
    """What came of a run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Of every selected cell: what its record now says, `missing` where there is none."""
    num_skipped: int = 0
    """Cells that were done before."""
    signal_number: int | None = None
    """The signal that ended it early."""


@dataclass(frozen=True)
class VariantCost:
    """A variant, and what this machine has measured of it, now or before."""

    variant_id: str
    label: str
    entry: Entry | None
    """None where the measuring ended before it was its turn."""


@dataclass(frozen=True)
class MeasureSummary:
    """What came of a measuring."""

    costs: Sequence[VariantCost]
    """Of every selected variant."""
    num_skipped: int
    """Variants that this machine had measured before."""
    notes: Sequence[str]
    """A sentence for each damaged file that was set aside."""
    signal_number: int | None
    """The signal that ended it early."""


def run_grid(
    grid: Grid, folder: ResultsFolder, options: RunOptions, on_event: Callable[[Event], None]
) -> RunSummary:
    """Train every selected cell that has no final record, and record each as it ends.

    Args:
        grid: what to run.
        folder: where results go; held under a lock meanwhile.
        options: how to run.
        on_event: is told what happens.

    Raises:
        InputError: a network cannot be built, the data cannot be had, the device is not there.
        ResultsError: the folder cannot be written, is in use, or belongs to another question.
    """
    planned = load_plan(grid, folder, options.data_dir, fresh=options.fresh)
    specs = [one.cell.data for one in planned if one.has_to_run]
    with held_folder(grid, folder, options, specs) as held:
        notes = [
            told
            for cell in grid.selected
            if (told := folder.read_record_or_set_aside(cell.cell_id)[1]) is not None
        ]
        planned = plan_cells(grid, folder, fresh=options.fresh)
        todo = [one.cell for one in planned if one.has_to_run] if options.measure else []
        to_measure, damaged = _unmeasured(todo, folder, held, options.num_rounds)
        on_event(Planned(planned, held.slots, [*notes, *damaged]))
        _measure(to_measure, folder, held, options, on_event)
        planned = foretell_cells(planned, folder, held.machine["fingerprint"], len(held.slots), options.data_dir)
        forecast = foretell_run((one.forecast for one in planned if one.has_to_run), len(held.slots))
        if forecast.num_known:
            on_event(Foretold(forecast, held.machine))
        summary = _Run(folder, options, on_event, held.executor).train(planned)
        summary.signal_number = held.signal_number
        return summary


def measure_grid(
    grid: Grid, folder: ResultsFolder, options: RunOptions, on_event: Callable[[Event], None]
) -> MeasureSummary:
    """Measure every selected variant that this machine has not measured; train nothing.

    Args:
        grid: whose variants to measure.
        folder: where costs go; held under a lock meanwhile.
        options: how to measure; `fresh` measures all selected variants again.
        on_event: is told what happens.

    Raises:
        InputError: a network cannot be built, the data cannot be had, the device is not there.
        ResultsError: the folder cannot be written, is in use, or belongs to another question.
    """
    load_plan(grid, folder, options.data_dir)
    variants = {cell.variant_id: cell for cell in grid.selected}
    with held_folder(grid, folder, options, [cell.data for cell in variants.values()]) as held:
        to_measure, notes = _unmeasured(variants.values(), folder, held, options.num_rounds)
        if options.fresh:
            to_measure = list(variants.values())
        _measure(to_measure, folder, held, options, on_event)
        costs = [
            VariantCost(variant_id, cell.label, _entry(folder, variant_id, held.machine))
            for variant_id, cell in variants.items()
        ]
        return MeasureSummary(costs, len(variants) - len(to_measure), notes, held.signal_number)


def _unmeasured(
    cells: Iterable[Cell], folder: ResultsFolder, held: Held, num_rounds: int
) -> tuple[list[Cell], list[str]]:
    """A cell of each variant that this machine has not measured as wanted, and what was set aside on the way."""
    unmeasured, notes = [], []
    for variant_id, cell in {cell.variant_id: cell for cell in cells}.items():
        costs, note = folder.read_costs_or_set_aside(variant_id)
        notes += [note] if note else []
        entry = None if costs is None else entry_of(costs, held.machine["fingerprint"])
        if not is_measured(entry, num_rounds, len(held.slots)):
            unmeasured.append(cell)
    return unmeasured, notes


def _entry(folder: ResultsFolder, variant_id: str, machine: Mapping[str, Any]) -> Entry | None:
    costs = folder.read_costs(variant_id)
    return None if costs is None else entry_of(costs, machine["fingerprint"])


def _measure(
    cells: Sequence[Cell],
    folder: ResultsFolder,
    held: Held,
    options: RunOptions,
    on_event: Callable[[Event], None],
) -> None:
    if cells:
        Measuring(
            cells,
            folder,
            held.executor,
            num_rounds=options.num_rounds,
            machine=held.machine,
            data_dir=options.data_dir,
            on_event=on_event,
        ).measure()


class _Run:
    """One run under way."""

    def __init__(
        self,
        folder: ResultsFolder,
        options: RunOptions,
        on_event: Callable[[Event], None],
        executor: LocalExecutor,
    ) -> None:
        self.folder = folder
        self.options = options
        self.on_event = on_event
        self.environment = {**describe_environment(), "workers": len(executor.slots)}
        self.executor = executor
        self.queue: deque[Cell] = deque()
        self.earlier: dict[str, Record] = {}
        self.final: dict[str, str] = {}
        """Outcomes that a fresh attempt replaces only by another final one."""
        self.tries: Counter[str] = Counter()
        self.started_at: dict[str, str] = {}
        self.started_seconds: dict[str, float] = {}
        """By a clock that nobody sets."""
        self.foretold_seconds: dict[str, float | None] = {}
        self.rows: dict[str, list[Epoch]] = {}
        self.devices: dict[str, str] = {}

    def train(self, planned: Sequence[PlannedCell]) -> RunSummary:
        cells = {one.cell.cell_id: one.cell for one in planned if one.has_to_run}
        self.queue.extend(cells.values())
        self.earlier = {one.cell.cell_id: one.record for one in planned if one.record}
        self.foretold_seconds = {one.cell.cell_id: one.forecast.seconds for one in planned}
        self.final = {one.cell.cell_id: one.outcome for one in planned if one.state == "again" and one.outcome}
        # An outdated record is of another experiment.
        outcome = {
            one.cell.cell_id: one.outcome if one.outcome and one.state != "outdated" else "missing"
            for one in planned
        }
        summary = RunSummary(num_skipped=len(planned) - len(cells))
        with closing(self.executor.run(self._next_task)) as events:
            for event in events:
                cell = cells[event.key]
                match event:
                    case Started():
                        self.started_at[event.key], self.rows[event.key] = now(), []
                        self.started_seconds[event.key] = time.monotonic()
                        self.devices[event.key] = event.slot.device
                        self.on_event(CellStarted(cell, event.slot.device))
                    case Told():
                        self.rows[event.key].append(event.news)
                        self.on_event(EpochEnded(cell, event.news))
                    case Ended():
                        outcome[event.key] = self._finish(cell, event)
        summary.outcomes = Counter(outcome.values())
        return summary

    def _next_task(self) -> Task | None:
        if not self.queue:
            return None
        cell = self.queue.popleft()
        return Task(cell.cell_id, run_cell_task, (cell, self.options.data_dir, self.environment))

    def _finish(self, cell: Cell, end: Ended) -> str:
        result = end.result if end.how == "returned" else self._dead(cell, end)
        assert isinstance(result, CellResult)
        record = result.record
        attempt = {
            **record["attempts"][-1],
            "seconds": time.monotonic() - self.started_seconds[cell.cell_id],
            "foretold_seconds": self.foretold_seconds[cell.cell_id],
        }
        record = {**record, "attempts": [attempt]}
        if earlier := self.earlier.get(cell.cell_id):
            record = {**record, "attempts": [*earlier["attempts"], *record["attempts"]]}
        outcome: str = record["outcome"]
        kept = self.final.get(cell.cell_id) if outcome not in FINAL_OUTCOMES else None
        if kept is None:
            self._write(cell, record, result.predictions)
        passing = outcome not in FINAL_OUTCOMES and outcome != "interrupted"
        will_retry = passing and not self.executor.stopping and self.tries[cell.cell_id] < self.options.retries
        if will_retry:
            self.tries[cell.cell_id] += 1
            self.queue.append(cell)
        self.on_event(CellEnded(cell, record, will_retry))
        return kept or outcome

    def _write(self, cell: Cell, record: Record, predictions: Mapping[str, Any] | None) -> None:
        if predictions is not None:
            self.folder.write_predictions(cell.cell_id, predictions)
        else:
            self.folder.remove_predictions(cell.cell_id)
        self.folder.write_record(record)
        self.earlier[cell.cell_id] = record

    def _dead(self, cell: Cell, end: Ended) -> CellResult:
        """The record of a cell whose process did not live to write its own."""
        if end.how == "timed_out":
            outcome, error = "timed_out", f"took longer than the limit of {self.options.timeout_seconds:g} s"
        elif end.how == "killed":
            outcome, error = "interrupted", "killed, since the run had to stop at once"
        else:
            outcome, error = "crashed", end.cause
        return CellResult(
            make_record(
                cell,
                outcome,
                started_at=self.started_at[cell.cell_id],
                error=error,
                history=self.rows[cell.cell_id],
                environment={**self.environment, "device": self.devices[cell.cell_id]},
            )
        )
