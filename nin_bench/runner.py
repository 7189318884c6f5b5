"""The parent of a run: lock the folder, plan, hand cells to an executor, write what comes of each."""

import hashlib
import json
import logging
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from nin_bench.cell import Cell
from nin_bench.checkpoint import Checkpoints
from nin_bench.data import load_dataset
from nin_bench.devices import choose_slots
from nin_bench.environment import describe_environment
from nin_bench.errors import ResultsError
from nin_bench.events import CellEnded, CellResumed, CellStarted, EpochEnded, Event, Planned
from nin_bench.executors import Ended, LocalExecutor, Slot, Started, Task, Told
from nin_bench.files import sole_writer
from nin_bench.grid import Grid
from nin_bench.messages import Assignment, CellReady, CellResult, Keeping, News
from nin_bench.plan import PlannedCell, check_same_question, load_plan, plan_cells
from nin_bench.record import now
from nin_bench.results import FINAL_OUTCOMES, Record, ResultsFolder
from nin_bench.under_way import CellUnderWay
from nin_bench.worker import run_cell_task

logger = logging.getLogger(__name__)

PRELOAD = ("nin_bench.worker", "torch._dynamo", "sklearn.datasets")
"""What every worker has imported: itself, and what it would take a second each to import when it first counts
shapes on the meta device and reads the digits."""


@dataclass(frozen=True)
class CellTask:
    """What a worker does with a cell."""

    function: Callable[..., CellResult | ResultsError]
    """Of module level, called as `function(channel, slot, assignment)`; it tells `News` and returns what came of
    the cell, or what kept it from being stored."""
    preload: Sequence[str]
    """The modules that a worker finds imported."""


TRAIN = CellTask(run_cell_task, PRELOAD)


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
    """Train cells again that are done, and all of them from their first step on."""
    checkpoint_seconds: float = 60.0
    """How long a cell may train between two checkpoints."""
    keep_weights: bool = False
    """Keep the weights of every cell that is trained."""


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
    grid: Grid,
    folder: ResultsFolder,
    options: RunOptions,
    on_event: Callable[[Event], None],
    *,
    at_end: Callable[[], None] = lambda: None,
    task: CellTask = TRAIN,
) -> RunSummary:
    """Train every selected cell that has no final record, and record each as it ends.

    Args:
        grid: what to run.
        folder: where results go; held under a lock meanwhile.
        options: how to run.
        on_event: is told what happens.
        at_end: is called when no cell is left to train, unless a signal ended the run; the folder is still held
            then, so that what follows from its records is written by one run at a time.
        task: what workers do with a cell.

    Raises:
        InputError: a network cannot be built, the data cannot be had, the device is not there.
        ResultsError: the folder cannot be written, is in use, or belongs to another question. What is in it is
            whole, and the next run goes on from it.
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
        planned = [_tidied(one, folder, options.fresh) for one in planned]
        folder.write_grid(
            {**grid.as_dict(), "device_kind": slots[0].device.partition(":")[0], "lock": _lock(grid, folder)}
        )
        on_event(Planned(planned, slots, notes))
        summary = _Run(folder, options, on_event, slots, task).train(planned)
        if summary.signal_number is None:
            at_end()
        return summary


class _Run:
    """One run under way."""

    def __init__(
        self,
        folder: ResultsFolder,
        options: RunOptions,
        on_event: Callable[[Event], None],
        slots: Sequence[Slot],
        task: CellTask,
    ) -> None:
        self.folder = folder
        self.options = options
        self.on_event = on_event
        self.environment = {**describe_environment(), "workers": len(slots)}
        self.executor = LocalExecutor(slots, timeout_seconds=options.timeout_seconds, preload=task.preload)
        self.task = task
        self.queue: deque[Cell] = deque()
        self.earlier: dict[str, Record] = {}
        self.final: dict[str, str] = {}
        """Outcomes that a fresh attempt replaces only by another final one."""
        self.tries: Counter[str] = Counter()
        self.under_way: dict[str, CellUnderWay] = {}

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
        with _signals(self.executor, summary), closing(self.executor.run(self._next_task)) as events:
            for event in events:
                cell = cells[event.key]
                match event:
                    case Started():
                        self._start(cell, event.slot.device)
                    case Told():
                        self._hear(cell, event.news)
                    case Ended():
                        outcome[event.key] = self._finish(cell, event)
        summary.outcomes = Counter(outcome.values())
        return summary

    def _next_task(self) -> Task | None:
        if not self.queue:
            return None
        cell = self.queue.popleft()
        keeping = Keeping(
            checkpoints=self.folder.checkpoints_path,
            seconds=self.options.checkpoint_seconds,
            weights=self.folder.weights_path(cell.cell_id) if self.options.keep_weights else None,
        )
        assignment = Assignment(
            cell, self.options.data_dir, self.environment, keeping, self._earlier_attempts(cell)
        )
        return Task(cell.cell_id, self.task.function, (assignment,))

    def _earlier_attempts(self, cell: Cell) -> Sequence[Mapping[str, Any]]:
        earlier = self.earlier.get(cell.cell_id)
        return earlier["attempts"] if earlier else ()

    def _start(self, cell: Cell, device: str) -> None:
        self.under_way[cell.cell_id] = CellUnderWay(
            cell,
            Checkpoints(self.folder.checkpoints_path, cell),
            environment={**self.environment, "device": device},
            earlier_attempts=self._earlier_attempts(cell),
        )
        self.on_event(CellStarted(cell, device))

    def _hear(self, cell: Cell, news: News) -> None:
        self.under_way[cell.cell_id].hear(news)
        if not isinstance(news, CellReady):
            self.on_event(EpochEnded(cell, news.row))
        elif news.is_resumed or news.notes:
            self.on_event(CellResumed(cell, news.is_resumed, len(news.history), news.notes))

    def _finish(self, cell: Cell, end: Ended) -> str:
        if isinstance(end.result, ResultsError):
            raise end.result
        under_way = self.under_way.pop(cell.cell_id)
        if end.how == "returned":
            result = end.result
        else:
            result = CellResult(under_way.record_of_death(end, self.options.timeout_seconds))
        assert isinstance(result, CellResult)
        record = result.record
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
        if record["outcome"] != "trained" or not self.options.keep_weights:
            self.folder.remove_weights(cell.cell_id)
        self.folder.write_record(record)
        if record["outcome"] in FINAL_OUTCOMES:  # only now is nothing lost without them
            Checkpoints(self.folder.checkpoints_path, cell).remove()
        self.earlier[cell.cell_id] = record


def _tidied(planned: PlannedCell, folder: ResultsFolder, fresh: bool) -> PlannedCell:
    """Bring a cell's checkpoints and its record in line, as a run that was killed had no time to do.

    Checkpoints that nobody will go on from are removed. An attempt that left one, but no record, is recorded.
    """
    checkpoints = Checkpoints(folder.checkpoints_path, planned.cell)
    if fresh or planned.state == "done":
        checkpoints.remove()
    saved = checkpoints.newest_record() if planned.state == "continue" else None
    if saved is None or (planned.record and len(saved["attempts"]) <= len(planned.record["attempts"])):
        return planned
    folder.write_record(saved)
    return replace(planned, outcome=saved["outcome"], record=saved)


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


@contextmanager
def _signals(executor: LocalExecutor, summary: RunSummary) -> Iterator[None]:
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
