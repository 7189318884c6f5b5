"""The parent of a run: lock the folder, plan, hand cells to an executor, write what comes of each."""

import hashlib
import json
import logging
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch

from nin_bench.cell import Cell
from nin_bench.data import load_dataset
from nin_bench.environment import describe_environment
from nin_bench.errors import InputError
from nin_bench.executors import Ended, LocalExecutor, Slot, Started, Task, Told
from nin_bench.files import sole_writer
from nin_bench.grid import Grid
from nin_bench.plan import PlannedCell, check_same_question, load_plan, plan_cells
from nin_bench.results import FINAL_OUTCOMES, Record, ResultsFolder
from nin_bench.training import Epoch
from nin_bench.worker import CellResult, make_record, now, run_cell_task

logger = logging.getLogger(__name__)

PRELOAD = ("nin_bench.worker", "torch._dynamo", "sklearn.datasets")
"""What every worker has imported: itself, and what it would take a second each to import when it first counts
shapes on the meta device and reads the digits."""


@dataclass(frozen=True)
class RunOptions:
    """How a grid is run; nothing here can change a result."""

    data_dir: Path | None = None
    device: str = "auto"
    workers: int | None = None
    """Processes on a CPU; None is one per core. An accelerator takes one per device."""
    timeout_seconds: float | None = None
    """For one cell."""
    retries: int = 0
    """Further tries, in this run, of a cell that crashed, timed out or ran out of memory."""
    fresh: bool = False
    """Train cells again that are done."""


@dataclass(frozen=True)
class Planned:
    """The run knows what it has to do."""

    cells: Sequence[PlannedCell]
    slots: Sequence[Slot]
    notes: Sequence[str]


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


Event = Planned | CellStarted | EpochEnded | CellEnded


class Interruptible(Protocol):
    """What remembers the signal that ended it early."""

    signal_number: int | None


@dataclass
class RunSummary:
    """What came of a run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Of every selected cell: what its record now says, `missing` where there is none."""
    num_skipped: int = 0
    """Cells that were done before."""
    signal_number: int | None = None
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
    # What is wrong with the input is found before the folder is made: a refused run leaves nothing behind.
    planned = load_plan(grid, folder, options.data_dir, fresh=options.fresh)
    slots = choose_slots(options.device, options.workers)
    for spec in dict.fromkeys(one.cell.data for one in planned if one.has_to_run):
        load_dataset(spec, options.data_dir).load_test()  # its files are verified here, its images used in a cell
    with sole_writer(folder.path):
        check_same_question(grid, folder)  # again: another run may have held the folder meanwhile
        folder.remove_leftovers()
        folder.check_writable()
        notes = [
            told
            for cell in grid.selected
            if (told := folder.read_record_or_set_aside(cell.cell_id)[1]) is not None
        ]
        planned = plan_cells(grid, folder, fresh=options.fresh)
        folder.write_grid(
            {**grid.as_dict(), "device_kind": slots[0].device.partition(":")[0], "lock": _lock(grid, folder)}
        )
        on_event(Planned(planned, slots, notes))
        return _Run(folder, options, on_event, slots).train(planned)


class _Run:
    """One run under way."""

    def __init__(
        self,
        folder: ResultsFolder,
        options: RunOptions,
        on_event: Callable[[Event], None],
        slots: Sequence[Slot],
    ) -> None:
        self.folder = folder
        self.options = options
        self.on_event = on_event
        self.environment = {**describe_environment(), "workers": len(slots)}
        self.executor = LocalExecutor(slots, timeout_seconds=options.timeout_seconds, preload=PRELOAD)
        self.queue: deque[Cell] = deque()
        self.earlier: dict[str, Record] = {}
        self.final: dict[str, str] = {}
        """Outcomes that a fresh attempt replaces only by another final one."""
        self.tries: Counter[str] = Counter()
        self.started_at: dict[str, str] = {}
        self.rows: dict[str, list[Epoch]] = {}
        self.devices: dict[str, str] = {}

    def train(self, planned: Sequence[PlannedCell]) -> RunSummary:
        cells = {one.cell.cell_id: one.cell for one in planned if one.has_to_run}
        self.queue.extend(cells.values())
        self.earlier = {one.cell.cell_id: one.record for one in planned if one.record}
        self.final = {one.cell.cell_id: one.outcome for one in planned if one.state == "again" and one.outcome}
        # An outdated record is of another experiment.
        outcome = {
            one.cell.cell_id: one.outcome if one.outcome and one.state != "outdated" else "missing"
            for one in planned
        }
        summary = RunSummary(num_skipped=len(planned) - len(cells))
        with stop_on_signals(self.executor, summary), closing(self.executor.run(self._next_task)) as events:
            for event in events:
                cell = cells[event.key]
                match event:
                    case Started():
                        self.started_at[event.key], self.rows[event.key] = now(), []
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
            outcome, error = "crashed", cause_of_death(end)
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


def choose_slots(device: str, workers: int | None) -> list[Slot]:
    """Where workers run: one per accelerator, or one per core of the CPU, pinned to it.

    Args:
        device: `auto`, `cpu`, or a torch device (`cuda`, `cuda:1`); a kind alone takes all of its devices.
        workers: how many on a CPU; None is one per core that this process may use.

    Raises:
        InputError: there is no such device here.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    kind, _, number = device.partition(":")
    if device == "auto":
        kind = accelerator.type if accelerator else "cpu"
    if kind == "cpu":
        if number:
            raise InputError(f"--device {device}: a CPU has no number; use --device cpu, and --workers")
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        count = workers or len(cores) or os.cpu_count() or 1
        # More workers than cores share them as the system sees fit.
        return [Slot("cpu", cores[index] if count <= len(cores) else None) for index in range(count)]
    if accelerator is None or accelerator.type != kind:
        here = accelerator.type if accelerator else "no accelerator"
        raise InputError(f"--device {device}: there is {here} here; use --device cpu")
    every = [str(index) for index in range(torch.accelerator.device_count())]
    if number and number not in every:
        raise InputError(f"--device {device}: there are {len(every)} such devices, numbered from 0")
    return [Slot(f"{kind}:{index}") for index in ([number] if number else every)]


def _lock(grid: Grid, folder: ResultsFolder) -> Mapping[str, Any]:
    """The hypotheses and planned seeds as they stood at the first run; later changes are post hoc."""
    stored = folder.find_grid()
    if stored and (lock := stored.get("lock")):
        return dict(lock)
    fixed = {
        "seeds": list(grid.seeds),
        "hypotheses": [hypothesis.model_dump(mode="json") for hypothesis in grid.hypotheses],
    }
    text = json.dumps(fixed, sort_keys=True)
    return {
        "digest": hashlib.sha256(text.encode()).hexdigest(),
        "locked_at": now(),
        "variants": {variant.label: variant.variant_id for variant in grid.variants},
        **fixed,
    }


def cause_of_death(end: Ended) -> str:
    """Why a worker's process ended before its task did; the first line says most."""
    code = end.exit_code
    if code is not None and code < 0:
        by = signal.Signals(-code).name
        hint = " (the system may have run out of memory)" if by == "SIGKILL" else ""
        said = f"its process was killed by {by}{hint}"
    else:
        said = f"its process ended with status {code}"
    *before, last = end.output.splitlines() or [""]
    # The last line tells most, and tables show the first.
    return "\n".join([f"{said}: {last}" if last else said, *before])


@contextmanager
def stop_on_signals(executor: LocalExecutor, summary: Interruptible) -> Iterator[None]:
    """While a run lasts, SIGINT and SIGTERM ask it to stop; a second one stops it at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        summary.signal_number = number
        executor.stop()
        logger.warning("stopping: every worker ends its step first; once more stops at once")

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
