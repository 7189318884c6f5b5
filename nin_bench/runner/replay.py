"""Train recorded cells again, and see whether the same numbers come out. Nothing of the records changes."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Cell
from nin_bench.environment import describe_environment
from nin_bench.errors import InputError, ResultsError, SpecError, some_of
from nin_bench.executors import Ended, LocalExecutor, Task, claimed_cores
from nin_bench.models.code import code_digest
from nin_bench.results import Record, ResultsFolder
from nin_bench.results.folder_lock import sole_writer
from nin_bench.results.predictions import unpack_predictions
from nin_bench.results.replays import ReplayedCell, Replays, compare_replay
from nin_bench.runner.budget import EndedEarly
from nin_bench.runner.messages import Assignment, CellResult
from nin_bench.runner.record import now
from nin_bench.runner.scheduler import Call, Scheduler, describe_end
from nin_bench.runner.session import PRELOAD, choose_slots, stop_on_signals
from nin_bench.runner.worker import run_cell_task

REPLAYED = ("trained", "diverged")
"""Outcomes that a training can repeat."""


@dataclass
class ReplaySummary(EndedEarly):
    """What came of a replay."""

    cells: list[ReplayedCell] = field(default_factory=list)
    """In the order in which they ended."""


@dataclass(frozen=True)
class _Replay:
    """One recorded cell, trained again."""

    record: Record
    cell: Cell
    folder: ResultsFolder
    data_dir: Path | None
    timeout_seconds: float | None
    on_end: Callable[[ReplayedCell], None]

    def job(self) -> Call:
        return Call(self.record.cell_id, self._task, self._ended)

    def _task(self) -> Task:
        micro_batch = self.record.metrics.micro_batch
        assignment = Assignment(self.cell, self.data_dir, describe_environment(), micro_batch=micro_batch)
        return Task(self.record.cell_id, run_cell_task, (assignment,), self.timeout_seconds)

    def _ended(self, end: Ended) -> None:
        result = end.result
        stopped = isinstance(result, CellResult) and result.record.outcome == "interrupted"
        if end.how != "killed" and not stopped:
            self.on_end(self._replayed(end))

    def _replayed(self, end: Ended) -> ReplayedCell:
        result, record = end.result, self.record
        if end.how != "returned" or not isinstance(result, CellResult):
            error = str(result) if end.how == "returned" else describe_end(end, self.timeout_seconds)[1]
        elif result.record.outcome not in REPLAYED:
            error = f"{result.record.outcome}: {result.record.attempts[-1].error}"
        else:
            known = self.folder.read_predictions(record.cell_id) if record.outcome == "trained" else None
            packed = result.predictions
            again = None if packed is None else unpack_predictions(packed, record.cell_id)
            return compare_replay(record, result.record, known, again, now())
        return ReplayedCell(
            cell_id=record.cell_id,
            label=record.label,
            seed=record.cell.seed,
            replayed_at=now(),
            expected="equal bits",
            repeated=False,
            error=error,
        )


def replay_cells(
    folder: ResultsFolder,
    records: Sequence[Record],
    *,
    device: str = "cpu",
    workers: int | None = None,
    data_dir: Path | None = None,
    timeout_seconds: float | None = None,
    on_end: Callable[[ReplayedCell], None] = lambda cell: None,
) -> ReplaySummary:
    """Train recorded cells again; what came of each is kept in the folder's `replay.json`.

    Raises:
        InputError: a model is not there, or its code has changed since; the device is not there.
        ResultsError: the folder cannot be written, or is in use.
    """
    cells = [recorded_cell(record, RegistryCatalog(data_dir)) for record in records]
    summary = ReplaySummary()
    with sole_writer(folder.path), claimed_cores(choose_slots(device, workers)) as slots:

        def keep(cell: ReplayedCell) -> None:
            summary.cells.append(cell)
            earlier = folder.find_replays()
            kept = Replays(cells=(cell,)) if earlier is None else earlier.with_cells([cell])
            kept.write(folder.replay_path)
            on_end(cell)

        waiting = [
            _Replay(record, cell, folder, data_dir, timeout_seconds, keep).job()
            for record, cell in zip(records, cells, strict=True)
        ]
        executor = LocalExecutor(slots, PRELOAD)
        with stop_on_signals(executor, summary):
            Scheduler(executor).run(lambda slot: waiting.pop(0) if waiting else None)
    return summary


def recorded_cell(record: Record, catalog: RegistryCatalog) -> Cell:
    """The recorded cell, with today's defaults; InputError if model, defaults or code are not as they were."""
    model = record.cell.model
    try:
        resolved = catalog.resolve_model(model.name, model.arguments)
    except SpecError as error:
        raise InputError(f"{record.label}: {error}; a model of your own is given as --models FILE.py") from error
    cell = record.cell.model_copy(update={"model": resolved, "label": record.label})
    what = None
    if cell.cell_id != record.cell_id or resolved.revision != model.revision:
        what = f"{model.name} has other defaults or another revision"
    elif record.code_digest is not None and code_digest(model.name) != record.code_digest:
        what = f"the code of {model.name} is another"
    if what is not None:
        raise InputError(f"{record.label}: {what} than when it was trained; check out {_code(record)}")
    return cell


def _code(record: Record) -> str:
    commit = record.environment.get("commit")
    return f"commit {commit[:12]}" if isinstance(commit, str) else "the code that it was trained with"


def sample_records(records: Sequence[Record], number: int) -> list[Record]:
    """Some records that can be replayed, of as many variants as possible; the same whenever they are asked for.

    The order is that of a hash of their ids, so that nobody picks those that repeat.
    """
    order = sorted(
        (record for record in records if record.outcome in REPLAYED),
        key=lambda record: hashlib.sha256(record.cell_id.encode()).digest(),
    )
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int, Record]] = []
    for record in order:
        rank = seen[record.variant_id] = seen.get(record.variant_id, -1) + 1
        ranked.append((rank, len(ranked), record))
    return [record for _, _, record in sorted(ranked, key=lambda one: one[:2])[:number]]


def records_named(records: Sequence[Record], names: Sequence[str]) -> list[Record]:
    """The records of the cells whose ids begin so.

    Raises:
        ResultsError: none does, several do, or the cell cannot be replayed.
    """
    found = []
    for name in names:
        matching = [record for record in records if record.cell_id.startswith(name)]
        if len(matching) != 1:
            known = some_of([record.cell_id for record in matching or records]) or "none, since no cell has ended"
            what = "the ids of several cells begin" if matching else "no cell's id begins"
            raise ResultsError(f"{what} with {name!r}; known: {known}")
        if matching[0].outcome not in REPLAYED:
            raise ResultsError(f"cell {name} ended {matching[0].outcome}; only what trained or diverged repeats")
        found += matching
    return found
