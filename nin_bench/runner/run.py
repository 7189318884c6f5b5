"""The parent of a run: hold the folder, plan, measure, and have cells trained."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from nin_bench.analysis.lock import lock_notes
from nin_bench.catalog import RegistryCatalog, load_plan, model_code
from nin_bench.cell import Cell
from nin_bench.checkpoint import Checkpoints
from nin_bench.checks import doubt_notes
from nin_bench.files import DamagedFileError
from nin_bench.grid import Grid
from nin_bench.looks import SeedsUntilDecided, seeds_until_decided
from nin_bench.more_epochs import ShorterCells
from nin_bench.plan_notes import plan_notes
from nin_bench.planning import (
    ModelCode,
    PlannedCell,
    Shared,
    drops_looks,
    estimate_cells,
    plan_cells,
    variants_to_train,
)
from nin_bench.results import ResultsFolder
from nin_bench.results.cost_entry import CostEntry
from nin_bench.results.former import former_cells
from nin_bench.results.sharing import OtherFolders
from nin_bench.runner.cell_queue import TRAIN, CellQueue, CellTask
from nin_bench.runner.cost_benchmark import CostBenchmark, rounds_for
from nin_bench.runner.device_sharing import DeviceMemory, needed_bytes
from nin_bench.runner.estimating import grid_power, run_estimates
from nin_bench.runner.events import Estimated, Event, Planned
from nin_bench.runner.late_probes import late_probes
from nin_bench.runner.look_taking import LookTaker
from nin_bench.runner.reuse import take_over
from nin_bench.runner.scheduler import Kind, Scheduler
from nin_bench.runner.session import RunOptions, RunSession, check_options, open_session
from nin_bench.runner.several_devices import check_devices_per_cell


@dataclass(frozen=True)
class RunSummary:
    """What came of a run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Of every selected cell: what its record now says, `missing` where there is none."""
    num_skipped: int = 0
    """Cells that were done before."""
    num_reused: int = 0
    """Cells whose records were taken over from other results folders."""
    signal_number: int | None = None
    """The signal that ended it early."""
    out_of_time: bool = False
    """Whether its budget of time ended it early."""


@dataclass(frozen=True)
class VariantCost:
    """A variant, and what this machine has measured of it, now or before."""

    variant_id: str
    label: str
    entry: CostEntry | None
    """None where the measuring ended before it was its turn."""


@dataclass(frozen=True)
class MeasureSummary:
    """What came of a measuring."""

    costs: Sequence[VariantCost]
    """Of every selected variant."""
    num_skipped: int
    """Variants that this machine had measured before."""
    notes: Sequence[str]
    """A sentence for each damaged file that was quarantined."""
    signal_number: int | None
    """The signal that ended it early."""
    num_left: int = 0
    """Variants that were not measured, or not in all rounds, since the budget of time was over."""


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

    `at_end` is called when no cell is left to train or the time is over, unless a signal ended the run. The folder
    is still held then, so that what follows from its records is written by one run at a time.

    Raises:
        InputError: a network cannot be built, the data cannot be had, the device is not there.
        ResultsError: the folder cannot be written, is in use, or holds another grid. What is in it is
            whole, and the next run goes on from it.
    """
    check_options(options)
    num_rounds = options.num_rounds or rounds_for(grid)
    code = None if options.accept_code_changes else model_code(grid, folder)
    planned = load_plan(grid, folder, options.data_dir, fresh=options.fresh, code=code)
    check_devices_per_cell(options, [one.cell for one in planned if one.may_run])
    specs = [one.cell.data for one in planned if one.may_run]
    resolved = grid.resolved("cpu")
    about_lock = lock_notes(resolved, folder.find_grid())
    keep_looks = not drops_looks(grid, fresh=options.fresh)
    with open_session(grid, folder, options, specs, preload=task.preload, keep_looks=keep_looks) as session:
        notes = [
            told
            for cell in grid.selected
            if (told := folder.read_record_or_quarantine(cell.cell_id)[1]) is not None
        ]
        needed = seeds_until_decided(folder.read_grid())
        slots, others = session.nodes.slots, OtherFolders.under(options.other_roots, folder)
        shared = Shared(others, slots[0].device_kind, grid.probes) if options.reuse else None
        here = session.nodes.first.environment
        shorter = ShorterCells(folder, grid.cell_ids, here)
        plan = partial(plan_cells, folder=folder, looks=needed, code=code, shorter=shorter)
        planned = plan(grid, fresh=options.fresh, shared=shared)

        def plan_without(cells: Sequence[Cell]) -> list[PlannedCell]:
            return plan(grid.model_copy(update={"selected": tuple(cells)}))

        planned, failed = take_over(planned, folder, plan_without, lambda: session.executor.stopping)
        notes += [
            *about_lock,
            *failed,
            *plan_notes(planned, here, former_cells(folder, resolved)),
            *doubt_notes(variants_to_train(grid, planned), options.data_dir),
        ]
        if options.keep_weights and (told := _without_weights(planned, folder)):
            notes.append(told)
        planned = [_tidied(one, folder, options.fresh) for one in planned]
        todo = [one.cell for one in planned if one.has_to_run or one.shared] if options.measure else []
        unmeasured = [(kind, *_unmeasured(todo, folder, kind, num_rounds)) for kind in session.nodes.kinds]
        notes += [note for _, _, damaged in unmeasured for note in damaged]
        on_event(Planned(planned, slots, notes))
        for kind, cells, _ in unmeasured:
            _measure(cells, folder, kind, options, num_rounds, on_event)
        count_images = RegistryCatalog(options.data_dir).count_images
        planned = estimate_cells(
            planned, folder, session.machine["fingerprint"], session.num_per_node, count_images, grid.probes
        )
        if any(one.may_run and one.estimate.seconds is not None for one in planned):
            powers = grid_power(grid, folder, slots[0].device, options.data_dir) if grid.until_decided else ()
            estimates = run_estimates(grid, planned, powers, session.num_per_node, session.num_nodes)
            on_event(Estimated(estimates, session.machine))
        looks = _looks(needed, grid, folder, planned, code, session, on_event) if needed else None
        memory = _device_memory(folder, options, session)
        speed = partial(_one_device_speed, folder, session.machine)
        queue = CellQueue(folder, options, on_event, len(slots), task, planned, memory, looks, grid.probes, speed)
        late = late_probes(planned, grid.probes, folder, options, on_event)
        Scheduler(session.executor, retries=options.retries, admit=session.nodes.admit).run(
            lambda slot: queue.next_job(slot) or next(late, None)
        )
        if session.signal_number is None:
            at_end()
        num_reused = sum(one.shared is not None for one in planned)
        num_skipped = sum(one.state == "done" for one in planned) - num_reused
        return RunSummary(queue.counts(), num_skipped, num_reused, session.signal_number, session.out_of_time)


def measure_grid(
    grid: Grid, folder: ResultsFolder, options: RunOptions, on_event: Callable[[Event], None]
) -> MeasureSummary:
    """Measure every selected variant that this machine has not measured, or one of each kind; train nothing.

    With the option `fresh`, all selected variants are measured again.

    Raises:
        InputError: a network cannot be built, the data cannot be had, the device is not there.
        ResultsError: the folder cannot be written, is in use, or holds another grid.
    """
    num_rounds = options.num_rounds or rounds_for(grid)
    load_plan(grid, folder, options.data_dir)
    variants = {cell.variant_id: cell for cell in grid.selected}
    with open_session(grid, folder, options, [cell.data for cell in variants.values()]) as session:
        costs: list[VariantCost] = []
        notes: list[str] = []
        num_skipped, num_left, kinds = 0, 0, session.nodes.kinds
        for kind in kinds:
            to_measure, damaged = _unmeasured(variants.values(), folder, kind, num_rounds)
            notes += damaged
            if options.fresh:
                to_measure = list(variants.values())
            _measure(to_measure, folder, kind, options, num_rounds, on_event)
            on = f" on {_name(kind)}" if len(kinds) > 1 else ""
            costs += [
                VariantCost(
                    variant_id,
                    f"{cell.label}{on}",
                    folder.read_cost_entry(variant_id, kind.machine["fingerprint"]),
                )
                for variant_id, cell in variants.items()
            ]
            num_skipped += len(variants) - len(to_measure)
            if session.out_of_time:
                unmeasured, _ = _unmeasured(variants.values(), folder, kind, num_rounds)
                num_left += len(to_measure) if options.fresh else len(unmeasured)
        return MeasureSummary(costs, num_skipped, notes, session.signal_number, num_left)


def _name(kind: Kind) -> str:
    machine = kind.machine
    name = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    return f"{name}, {machine['num_cores']} cores"


def _without_weights(planned: Sequence[PlannedCell], folder: ResultsFolder) -> str | None:
    """A sentence if weights are wanted of cells that are done, and were not kept then."""
    done = [one.cell.cell_id for one in planned if one.state == "done"]
    if count := sum(not folder.weights_path(cell_id).exists() for cell_id in done):
        cells = "cell that is done has" if count == 1 else "cells that are done have"
        return f"{count} {cells} no weights, since they were not kept then; --fresh trains anew and keeps them"
    return None


def _looks(
    seeds: SeedsUntilDecided,
    grid: Grid,
    folder: ResultsFolder,
    planned: Sequence[PlannedCell],
    code: Mapping[str, ModelCode] | None,
    session: RunSession,
    on_event: Callable[[Event], None],
) -> LookTaker:
    """The looks at the grid's claims, those taken for which a killed run had no time."""
    # Of cells that are not selected too a look takes only what a run would take for done.
    everything = plan_cells(grid.model_copy(update={"selected": grid.cells}), folder, code=code)
    done = {one.cell.cell_id for one in everything if one.state == "done"}
    ended = done - {one.cell.cell_id for one in planned if one.may_run}
    looks = LookTaker(seeds, folder, grid.cells, ended, on_event, lambda: session.executor.stopping)
    looks.take_due()
    return looks


def _unmeasured(
    cells: Iterable[Cell], folder: ResultsFolder, kind: Kind, num_rounds: int
) -> tuple[list[Cell], list[str]]:
    """A cell of each variant that a machine has not measured as wanted, and what was quarantined on the way."""
    unmeasured, notes = [], []
    for variant_id, cell in {cell.variant_id: cell for cell in cells}.items():
        costs, note = folder.read_costs_or_quarantine(variant_id)
        notes += [note] if note else []
        entry = costs.entry_of(kind.machine["fingerprint"]) if costs else None
        if entry is None or not entry.is_enough(num_rounds, len(kind.executor.slots)):
            unmeasured.append(cell)
    return unmeasured, notes


def _one_device_speed(folder: ResultsFolder, machine: Mapping[str, Any], cell: Cell) -> float | None:
    """Images per second of training on one device alone; None if that was not measured."""
    with suppress(DamagedFileError):  # the next measuring sets it aside, and says so
        if (entry := folder.read_cost_entry(cell.variant_id, machine["fingerprint"])) and entry.train:
            return entry.train.images_per_second.median
    return None


def _device_memory(folder: ResultsFolder, options: RunOptions, session: RunSession) -> DeviceMemory:
    """The memory of the run's accelerators. Who says how many workers share one has decided that they fit."""
    device_bytes = session.nodes.device_bytes

    @cache
    def needed(variant_id: str) -> int | None:
        with suppress(DamagedFileError):  # the next measuring sets it aside, and says so
            entry = folder.read_cost_entry(variant_id, session.machine["fingerprint"])
            return needed_bytes(entry, session.num_per_device, min(device_bytes.values()))
        return None

    return DeviceMemory(device_bytes, lambda cell: needed(cell.variant_id) if options.workers is None else 0)


def _measure(
    cells: Sequence[Cell],
    folder: ResultsFolder,
    kind: Kind,
    options: RunOptions,
    num_rounds: int,
    on_event: Callable[[Event], None],
) -> None:
    if cells and kind.executor.slots:
        CostBenchmark(
            cells, folder, kind, num_rounds, options.timeout_seconds, options.data_dir, on_event
        ).measure()


def _tidied(planned: PlannedCell, folder: ResultsFolder, fresh: bool) -> PlannedCell:
    """Bring a cell's checkpoints and its record in line, as a run that was killed had no time to do.

    Checkpoints that nobody will go on from are removed. An attempt that left one, but no record, is recorded.
    """
    checkpoints = Checkpoints(folder.checkpoints_path, planned.cell)
    if fresh or planned.state in ("done", "outdated"):
        checkpoints.remove()
    saved = checkpoints.newest_record() if planned.state == "continue" else None
    if saved is None or (planned.record and len(saved.attempts) <= len(planned.record.attempts)):
        return planned
    folder.write_record(saved)
    return replace(planned, outcome=saved.outcome, record=saved)
