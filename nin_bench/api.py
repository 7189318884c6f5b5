"""Load, plan, measure and run a grid: what the command line does, for Python. Needs torch."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nin_bench.analysis.lock import lock_notes
from nin_bench.analysis.power import Power
from nin_bench.catalog import RegistryCatalog, load_plan, model_code
from nin_bench.checks import check_variants, largest_memory, network_warnings
from nin_bench.environment import describe_machine, environment_of, has_accelerator
from nin_bench.errors import InputError, ResultsError
from nin_bench.estimates import RunEstimate, human_memory
from nin_bench.failures import MAX_FAILURES, failures_alike
from nin_bench.files import DamagedFileError, remove_temporary_files
from nin_bench.grid import Grid
from nin_bench.grid.shipped import find_grid
from nin_bench.listeners import Listener, listening
from nin_bench.models.registry import model_function
from nin_bench.more_epochs import ShorterCells
from nin_bench.plan_notes import plan_notes
from nin_bench.planning import PlannedCell, Shared, estimate_cells, variants_to_train
from nin_bench.progress.displays import counting_on, progress_on
from nin_bench.results import Results, ResultsFolder, load_results
from nin_bench.results.former import FormerCell, former_cells
from nin_bench.results.sharing import OtherFolders
from nin_bench.runner.budget import work_ends_at
from nin_bench.runner.estimating import grid_power, run_estimates
from nin_bench.runner.events import Event
from nin_bench.runner.run import MeasureSummary, RunSummary, measure_grid, run_grid
from nin_bench.runner.session import RunOptions, check_options, check_slots, slots_here
from nin_bench.runner.several_devices import check_devices_per_cell

if TYPE_CHECKING:
    from nin_bench.reporting.build import Report

DEFAULTS = RunOptions()
WORKER_BYTES = 400_000_000
"""About what a worker holds before it builds a network: PyTorch, its libraries, the images."""


@dataclass(frozen=True, repr=False)
class Plan:
    """What would be done of a grid on this machine, and what is known of it before."""

    grid: Grid
    cells: Sequence[PlannedCell]
    """With what they will take."""
    machine: Mapping[str, Any]
    num_workers: int
    """How many cells run at a time, on each node if there are several."""
    former: Sequence[FormerCell]
    """Cells that have a record and are no longer in the grid."""
    notes: Sequence[str]
    hypotheses: Sequence[Power]
    """What the planned seeds can decide."""
    warnings: Sequence[str]
    num_nodes: int = 1
    """Machines like `machine` that the estimates count on."""

    @cached_property
    def estimates(self) -> Mapping[str, RunEstimate]:
        """Of the run, as `run_estimates` tells."""
        return run_estimates(self.grid, self.cells, self.hypotheses, self.num_workers, self.num_nodes)

    def __repr__(self) -> str:
        counts = f"{sum(cell.may_run for cell in self.cells)} of {len(self.cells)} cells to run"
        return f"Plan({self.grid.name!r}, profile {self.grid.profile!r}: {counts})"

    def as_dict(self) -> dict[str, Any]:
        """The plan as `plan --json` prints it."""
        matches = [(variant.label, variant.match) for variant in self.grid.variants if variant.match]
        return {
            "grid": self.grid.name,
            "profile": self.grid.profile,
            "matches": [{"label": label, **match.model_dump()} for label, match in matches],
            "cells": [cell.as_dict() for cell in self.cells],
            "no_longer_in_grid": [asdict(cell) for cell in self.former],
            "hypotheses": [power.as_dict() for power in self.hypotheses],
            "warnings": self.warnings,
        }


@dataclass(frozen=True, repr=False)
class Run:
    """What came of a run."""

    summary: RunSummary
    folder: Path
    """Where its results lie."""
    report: "Report | None"
    """The report that was written; None if a signal ended the run, as Ctrl-C does."""

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self.summary.outcomes.most_common())
        return f"Run({str(self.folder)!r}: {counts})"

    @cached_property
    def results(self) -> Results:
        """The folder as it was read first."""
        return load_results(self.folder)


def load_grid(
    grid: Path | str,
    *,
    profile: str = "auto",
    device: str = "auto",
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    only: str | Sequence[str] | None = None,
    trials: int | None = None,
    data_dir: Path | None = None,
    allow_many: bool = False,
) -> Grid:
    """Read a grid and expand it.

    Args:
        grid: a YAML file, or the name of a grid that ships, as `quickstart`.
        profile: a profile of the grid; `auto` is `cpu` if it will not run on an accelerator, else `full`.
        device: where it will run: `auto`, `cpu`, or a torch device.
        overrides: fields to set, as `recipe.epochs=2`.
        seeds: select only these of the grid's seeds.
        only: select only the variants whose label matches this shell pattern, or one of several.
        trials: of a search, in place of the grid's own number.
        data_dir: the folder of the datasets; None is `NIN_BENCH_DATA`, else the user's folder of caches.
        allow_many: allow more than 10,000 cells, up to 100,000.

    Raises:
        InputError: with file, line, column, field, the value found and what would be right.
    """
    with counting_on(sys.stderr) as watch:
        return Grid.load(
            find_grid(Path(grid)),
            RegistryCatalog(data_dir, watch),
            profile=profile,
            has_accelerator=device.partition(":")[0] != "cpu" and has_accelerator(),
            overrides=overrides,
            seeds=seeds,
            only=only,
            allow_many=allow_many,
            trials=trials,
        )


def results_folder(grid: Grid, results: Path | str) -> ResultsFolder:
    """The folder of a grid's results under a root; ResultsError if a file stands in its way."""
    path = Path(results) / grid.name / grid.profile
    for place in (path, *path.parents):
        if place.is_file():
            raise ResultsError(
                f"{place}: is a file, and results need a folder there; move it, or give other results"
            )
    return ResultsFolder(path)


def plan(
    grid: Grid | Path | str,
    options: RunOptions = DEFAULTS,
    *,
    results: Path | str = "results",
    pilot: Path | None = None,
    nodes: int | None = None,
) -> Plan:
    """Plan a grid's cells, and look at what else can be known before they are trained; nothing is written.

    Args:
        grid: a grid, its file, or the name of one that ships.
        options: how it would run.
        results: the root under which results lie, as `<root>/<grid>/<profile>`.
        pilot: a results folder from whose records the spread over seeds is taken.
        nodes: estimate for so many machines, each like the one that measured the grid last; None is this one.

    Raises:
        InputError: the grid, a network or the device is wrong, or options do not go together, as in a run.
        ResultsError: the folder holds another grid.
    """
    check_options(options)
    grid = _loaded(grid, options)
    folder, options = results_folder(grid, results), _with_root(options, results)
    code = None if options.accept_code_changes else model_code(grid, folder)
    slots = slots_here(options, share=options.devices_per_cell == 1)
    roots = options.other_roots if options.reuse else ()
    shared = Shared(OtherFolders.under(roots, folder), slots[0].device_kind, grid.probes)
    here = environment_of(slots[0].device)
    shorter = ShorterCells(folder, grid.cell_ids, here)
    cells = load_plan(
        grid, folder, options.data_dir, fresh=options.fresh, code=code, shared=shared, shorter=shorter
    )
    check_devices_per_cell(options, [one.cell for one in cells if one.may_run or one.shared])
    check_slots(slots, options)
    count_images = RegistryCatalog(options.data_dir).count_images
    machine: Mapping[str, Any] = describe_machine(slots[0].device)
    num_workers = len(slots)
    if nodes is not None:
        machine, num_workers = _node(grid, folder, machine, num_workers)
    cells = estimate_cells(cells, folder, machine["fingerprint"], num_workers, count_images, grid.probes)
    resolved = grid.resolved("cpu")
    former = former_cells(folder, resolved)
    return Plan(
        grid=grid,
        cells=cells,
        machine=machine,
        num_workers=num_workers,
        num_nodes=nodes or 1,
        former=former,
        notes=plan_notes(cells, here, former),
        hypotheses=grid_power(grid, folder, slots[0].device, options.data_dir, pilot),
        warnings=[
            *lock_notes(resolved, folder.find_grid()),
            *_warnings(grid, cells, machine, num_workers, options.data_dir),
        ],
    )


def _node(
    grid: Grid, folder: ResultsFolder, machine: Mapping[str, Any], num_workers: int
) -> tuple[Mapping[str, Any], int]:
    """The machine that measured a grid last, as a node of a cluster did, and its workers; else this machine."""
    stored = folder.find_grid()
    last = stored.machine if stored else None
    if last is None or last.fingerprint == machine["fingerprint"]:
        return machine, num_workers
    counts = []
    for variant in grid.variants:
        with suppress(DamagedFileError):
            entry = folder.read_cost_entry(variant.variant_id, last.fingerprint)
            counts += [entry.setting.num_workers] if entry else []
    return last.model_dump(), max(counts, default=num_workers)


def measure(
    grid: Grid | Path | str,
    options: RunOptions = DEFAULTS,
    *,
    results: Path | str = "results",
    seconds: float | None = None,
    progress: bool = True,
) -> MeasureSummary:
    """Measure what every variant of a grid costs on this machine; train nothing.

    Args:
        grid: a grid, its file, or the name of one that ships.
        options: how to measure; `fresh` measures again what was measured before.
        results: the root under which results lie, as `<root>/<grid>/<profile>`.
        seconds: stop in time; whole rounds are kept, and the same call goes on.
        progress: whether to show on stderr how it goes.

    Raises:
        InputError: the grid, a network or the device is wrong.
        ResultsError: the folder cannot be written, is in use, or holds another grid.
    """
    ends_at = None if seconds is None else work_ends_at(time.monotonic(), seconds)
    grid = _loaded(grid, options)
    options = replace(_with_root(options, results), ends_at=ends_at)
    with _shown(grid, progress) as on_event:
        return measure_grid(grid, results_folder(grid, results), options, on_event)


def run(
    grid: Grid | Path | str,
    options: RunOptions = DEFAULTS,
    *,
    results: Path | str = "results",
    seconds: float | None = None,
    progress: bool = True,
    listeners: Sequence[str | Listener] = (),
) -> Run:
    """Train every selected cell of a grid that has no final result, judge the claims, and write the report.

    Args:
        grid: a grid, its file, or the name of one that ships.
        options: how to run.
        results: the root under which results lie, as `<root>/<grid>/<profile>`.
        seconds: stop in time, checkpoints saved, measuring and the report included; the same call goes on.
        progress: whether to show on stderr how it goes.
        listeners: functions, or names as `--listener` takes them: each is told what happens, as
            `nin_bench.runner.events` has it, in a thread of its own; one that fails is noted and hears no more.

    Raises:
        InputError: the grid, a network or the device is wrong, or the data cannot be had.
        ResultsError: the folder cannot be written, is in use, or holds another grid. What is in it is whole.
    """
    from nin_bench.reporting.build import report, report_folder  # draws, which a plan does not

    started = time.monotonic()
    grid = _loaded(grid, options)
    ends_at = None if seconds is None else work_ends_at(started, seconds, len(grid.cells))
    folder, options = results_folder(grid, results), replace(_with_root(options, results), ends_at=ends_at)
    written: list[Report] = []

    def write_report() -> None:
        # What a killed run was writing there is cleared away.
        for part in ("", "figures", "tables"):
            remove_temporary_files(report_folder(folder.path) / part)
        written.append(report(folder.path))

    with listening(listeners, folder.path) as hand_on, _shown(grid, progress) as show:

        def on_event(event: Event) -> None:
            hand_on(event)
            show(event)

        summary = run_grid(grid, folder, options, on_event, at_end=write_report)
    return Run(summary, folder.path, written[0] if written else None)


def _loaded(grid: Grid | Path | str, options: RunOptions) -> Grid:
    """The grid, none of whose models is defined in the script or notebook itself."""
    if not isinstance(grid, Grid):
        grid = load_grid(grid, device=options.device, data_dir=options.data_dir)
    for name in dict.fromkeys(variant.model.name for variant in grid.variants):
        if model_function(name).__module__ == "__main__":
            raise InputError(
                f"model {name!r} is defined in the main module, which workers do not import; move it into a file, "
                "and name that with nin_bench.use_own_file(FILE)"
            )
    return grid


def _with_root(options: RunOptions, results: Path | str) -> RunOptions:
    """The options, with the grid's own root among those under which results folders may hold cells of it."""
    for root in options.other_roots:
        if not any(Path(root).glob("*/*/cells")):
            raise InputError(
                f"--reuse-from {root}: holds no results folder; give the root of some, as results for "
                "results/<grid>/<profile>"
            )
    return replace(options, other_roots=(Path(results), *options.other_roots))


def _shown(grid: Grid, progress: bool) -> AbstractContextManager[Callable[[Event], None]]:
    return progress_on(sys.stderr, grid.summary) if progress else nullcontext(lambda event: None)


def _warnings(
    grid: Grid, cells: Sequence[PlannedCell], machine: Mapping[str, Any], num_workers: int, data_dir: Path | None
) -> Iterator[str]:
    """A sentence for each thing that a person should know before the run."""
    chosen = variants_to_train(grid, cells)
    networks = check_variants(chosen, data_dir)
    yield from network_warnings(chosen, networks, data_dir)
    ended = [
        (one.cell.label, one.outcome or "", one.record.attempts[-1].error)
        for one in cells
        if one.record is not None
    ]
    for sentence in failures_alike(ended):
        yield f"warning: {sentence}; a run tries it again, and stops it after {MAX_FAILURES} more such failures"
    unmeasured = Counter(one.cell.label for one in cells if one.may_run and one.estimate.memory_bytes is None)
    unknown = [variant for variant in chosen if variant.label in unmeasured]
    total = machine["memory_bytes"]
    if machine["device"] == "cpu" and total and (largest := largest_memory(unknown, networks, "cpu", data_dir)):
        label, needed = largest
        at_once = min(num_workers, unmeasured.total())
        of_each = needed + WORKER_BYTES
        if of_each * at_once > total:
            yield (
                f"warning: {label} takes about {human_memory(of_each)} in training, and this machine has "
                f"{human_memory(total)} for {at_once} workers; give fewer --workers, or the recipe a micro_batch"
            )
