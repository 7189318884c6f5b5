"""`run` and `plan`."""

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from nin_bench.cli.grids import load_grid, other_roots, setting
from nin_bench.cli.options import (
    AcceptCodeOption,
    DataDirOption,
    DeviceOption,
    ForOption,
    GridOption,
    JsonOption,
    NoReuseOption,
    OnlyOption,
    OwnModelsOption,
    PilotOption,
    ProfileOption,
    ResultsOption,
    ReuseFromOption,
    SeedsOption,
    SetOption,
    TimeoutOption,
    WorkersOption,
    YesOption,
    counted,
    note,
    parse_duration,
    print_json,
    tell,
)
from nin_bench.cli.power import print_power
from nin_bench.cli.results import report_folder
from nin_bench.cli.streams import let_output_go
from nin_bench.cli.verdicts import print_verdicts
from nin_bench.cli.warnings import lock_notes, plan_warnings
from nin_bench.failures import MAX_FAILURES

if TYPE_CHECKING:
    from nin_bench.analysis.power import Power
    from nin_bench.grid import Grid
    from nin_bench.plan import PlannedCell
    from nin_bench.results import ResultsFolder
    from nin_bench.results.former import FormerCell
    from nin_bench.runner.run import RunSummary


NOT_ENDED = ("missing", "interrupted")
"""Outcomes of cells that a run had no time for."""


def run(
    grid: GridOption,
    own_models: OwnModelsOption = None,
    profile: ProfileOption = "auto",
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
    data_dir: DataDirOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    timeout: TimeoutOption = None,
    budget: ForOption = None,
    retries: Annotated[
        int,
        typer.Option(
            "--retries", metavar="N", min=0, help="How often a cell that crashed or hung is tried again."
        ),
    ] = 0,
    max_failures: Annotated[
        int,
        typer.Option("--max-failures", metavar="N", min=1, help="Stop a variant after so many failures alike."),
    ] = MAX_FAILURES,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train every cell from its first step, also those that are done.")
    ] = False,
    accept_code_changes: AcceptCodeOption = False,
    reuse_from: ReuseFromOption = None,
    no_reuse: NoReuseOption = False,
    measure: Annotated[
        bool,
        typer.Option("--measure/--no-measure", help="Measure costs first, unless this machine has measured them."),
    ] = True,
    keep_weights: Annotated[
        bool,
        typer.Option(
            "--keep-weights", help="Keep each trained cell's weights, and the state that more epochs go on from."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and stop.")] = False,
    yes: YesOption = False,
) -> None:
    """Train every cell of a grid that has no result yet, judge the claims, and write the report."""
    started = time.monotonic()
    seconds = None if budget is None else parse_duration(budget)
    loaded, folder = load_grid(grid, profile, device, overrides, seeds, only, results, data_dir, yes)
    roots = other_roots(results, reuse_from)
    if dry_run:
        cells, machine, num_workers = _planned(
            loaded,
            folder,
            data_dir,
            device,
            workers,
            () if no_reuse else roots,
            fresh=fresh,
            accept_code_changes=accept_code_changes,
        )
        hypotheses = _power(loaded, folder, None, machine["device"], data_dir)
        _print_plan(loaded, folder, cells, machine, num_workers, grid, hypotheses)
        print_power(hypotheses)
        for warning in (
            *lock_notes(loaded, folder),
            *plan_warnings(loaded, cells, machine, num_workers, data_dir),
        ):
            note(warning)
        return
    from nin_bench.progress import progress_on
    from nin_bench.runner.budget import work_ends_at
    from nin_bench.runner.run import run_grid
    from nin_bench.runner.session import RunOptions

    options = RunOptions(
        data_dir=data_dir,
        device=device,
        workers=workers,
        timeout_seconds=timeout,
        retries=retries,
        max_failures=max_failures,
        fresh=fresh,
        accept_code_changes=accept_code_changes,
        measure=measure,
        keep_weights=keep_weights,
        other_roots=roots,
        ends_at=None if seconds is None else work_ends_at(started, seconds, len(loaded.cells)),
        reuse=not no_reuse,
    )
    pages: list[Path] = []
    with progress_on(sys.stderr, setting(loaded)) as on_event:
        summary = run_grid(loaded, folder, options, on_event, at_end=lambda: pages.append(_write_report(folder)))
    let_output_go()
    for page in pages:  # told only here, since bars on a terminal take what is printed for theirs
        from nin_bench.analysis.analysis import Analysis

        print_verdicts(Analysis.read(page.with_suffix(".json")))
        tell(f"report: {page}")
        tell(f"page for a browser: {page.with_suffix('.html')}")
    _finish(summary, folder)


def plan(
    grid: GridOption,
    own_models: OwnModelsOption = None,
    profile: ProfileOption = "auto",
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
    data_dir: DataDirOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    pilot: PilotOption = None,
    accept_code_changes: AcceptCodeOption = False,
    reuse_from: ReuseFromOption = None,
    no_reuse: NoReuseOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show every cell of a grid, what it will take, and what the seeds can decide; train nothing."""
    loaded, folder = load_grid(grid, profile, device, overrides, seeds, only, results, data_dir, yes)
    roots = other_roots(results, reuse_from)
    cells, machine, num_workers = _planned(
        loaded,
        folder,
        data_dir,
        device,
        workers,
        () if no_reuse else roots,
        accept_code_changes=accept_code_changes,
    )
    hypotheses = _power(loaded, folder, pilot, machine["device"], data_dir)
    warnings = [*lock_notes(loaded, folder), *plan_warnings(loaded, cells, machine, num_workers, data_dir)]
    if as_json:
        document = {
            "grid": loaded.name,
            "profile": loaded.profile,
            "matches": [
                {"label": variant.label, **variant.match.model_dump()}
                for variant in loaded.variants
                if variant.match
            ],
            "cells": [cell.as_dict() for cell in cells],
            "no_longer_in_grid": [asdict(cell) for cell in _former(loaded, folder)],
            "hypotheses": [power.as_dict() for power in hypotheses],
            "warnings": warnings,
        }
        print_json(document)
        return
    note(setting(loaded))
    _print_plan(loaded, folder, cells, machine, num_workers, grid, hypotheses)
    print_power(hypotheses)
    for warning in warnings:
        note(warning)


def _planned(
    grid: "Grid",
    folder: "ResultsFolder",
    data_dir: Path | None,
    device: str,
    workers: int | None,
    roots: Sequence[Path],
    *,
    fresh: bool = False,
    accept_code_changes: bool = False,
) -> "tuple[list[PlannedCell], dict[str, Any], int]":
    """The cells with what they will take, this machine, and how many of them run at a time."""
    from nin_bench.catalog import RegistryCatalog, load_plan, model_code
    from nin_bench.environment import describe_environment, describe_machine
    from nin_bench.more_epochs import ShorterCells
    from nin_bench.plan import Shared, estimate_cells
    from nin_bench.results.sharing import OtherFolders
    from nin_bench.runner.session import choose_slots

    code = None if accept_code_changes else model_code(grid, folder)
    slots = choose_slots(device, workers)
    shared = Shared(OtherFolders.under(roots, folder), slots[0].device.partition(":")[0])
    machine = describe_machine(slots[0].device)
    here = {**describe_environment(), "device": machine["device"]}
    shorter = ShorterCells(folder, {cell.cell_id for cell in grid.cells}, here)
    cells = load_plan(grid, folder, data_dir, fresh=fresh, code=code, shared=shared, shorter=shorter)
    count_images = RegistryCatalog(data_dir).count_images
    return estimate_cells(cells, folder, machine["fingerprint"], len(slots), count_images), machine, len(slots)


def _power(
    grid: "Grid", folder: "ResultsFolder", pilot: Path | None, device: str, data_dir: Path | None
) -> "list[Power]":
    """What the planned seeds can decide; without hypotheses nothing is loaded."""
    if not grid.hypotheses:
        return []
    from nin_bench.analysis.lock import Lock
    from nin_bench.analysis.power import power_analysis
    from nin_bench.analysis.spread import find_pilots
    from nin_bench.checks import untestable_claims

    pilots = find_pilots(folder) if pilot is None else [pilot]
    stored = folder.find_grid()
    lock = Lock.read(stored) if stored and stored.locks else None
    return power_analysis(grid, pilots, untestable_claims(grid, device, data_dir), lock)


def _print_plan(
    grid: "Grid",
    folder: "ResultsFolder",
    cells: "Sequence[PlannedCell]",
    machine: "dict[str, Any]",
    num_workers: int,
    grid_path: Path,
    hypotheses: "Sequence[Power]",
) -> None:
    from nin_bench.analysis.power import expected_seeds
    from nin_bench.environment import describe_environment
    from nin_bench.estimates import estimate_run
    from nin_bench.plan import expected_cells, more_epochs_notes, outdated_notes, sharing_notes
    from nin_bench.progress import estimate_line, memory_warning
    from nin_bench.results.former import describe_former

    for variant in grid.variants:
        if match := variant.match:
            tell(
                f"{variant.label}: its width gives it {match.reached:,} {match.size}, and {match.to} has "
                f"{match.target:,} ({match.residue:+.2%})"
            )
    width = max(len(planned.cell.label) for planned in cells)
    for planned in cells:
        saved = planned.num_epochs_saved
        known = [
            *([planned.outcome] if planned.outcome else []),
            *([f"from {planned.shared.source}"] if planned.shared else []),
            *([f"{saved} of {counted(planned.cell.recipe.epochs, 'epoch')} saved"] if saved is not None else []),
        ]
        details = f" ({', '.join(known)})" if known else ""
        state = f"{planned.state}{details}{_needed(planned)}{_takes(planned)}"
        tell(f"{planned.cell.label:{width}}  seed {planned.cell.seed}  {state}")
    todo = [planned for planned in cells if planned.has_to_run]
    done = f"{sum(planned.state == 'done' for planned in cells)} done"
    if num_reused := sum(planned.state == "reuse" for planned in cells):
        done += f", {num_reused} to take over"
    if grid.until_decided is None:
        tell(f"{len(cells)} cells: {len(todo)} to run, {done}")
        estimate = estimate_run((planned.estimate for planned in todo), num_workers)
        if line := estimate_line(estimate):
            tell(line)
    else:
        expected = expected_cells(grid, cells, expected_seeds(grid, hypotheses))
        most = [planned for planned in cells if planned.may_run]
        counts = f"{len(todo)} to run, {len(expected)} as expected, {len(most)} at most, {done}"
        tell(f"{len(cells)} cells: {counts}")
        for name, some in (("as expected", expected), ("at most", most)):
            estimate = estimate_run((planned.estimate for planned in some), num_workers)
            if line := estimate_line(estimate):
                tell(f"{name}: {line}")
    here = {**describe_environment(), "device": machine["device"]}
    for sentence in (*sharing_notes(cells, here), *outdated_notes(cells), *more_epochs_notes(cells)):
        note(sentence)
    if former := describe_former(_former(grid, folder)):
        note(former)
    if warning := memory_warning(estimate, machine):
        note(warning)
    if estimate.num_unknown:
        note(
            f"{counted(estimate.num_unknown, 'cell')} without figures of this machine yet: run takes them first, "
            f"and so does, with the same options, python -m nin_bench measure --grid {shlex.quote(str(grid_path))}"
        )


def _former(grid: "Grid", folder: "ResultsFolder") -> "list[FormerCell]":
    """Cells that have a record and are no longer in the grid."""
    from nin_bench.results.former import former_cells

    return former_cells(folder, {cell.cell_id for cell in grid.cells}, grid.variants)


def _needed(planned: "PlannedCell") -> str:
    if planned.state in ("done", "reuse") or planned.need == "now":
        return ""
    return ", if a claim is undecided" if planned.need == "if undecided" else ", not needed"


def _takes(planned: "PlannedCell") -> str:
    from nin_bench.progress import human_duration, human_memory

    seconds, memory = planned.estimate.seconds, planned.estimate.memory_bytes
    known = [
        *([] if seconds is None else [human_duration(seconds)]),
        *([] if memory is None else [human_memory(memory)]),
    ]
    return f"  {', '.join(known)}" if planned.has_to_run and known else ""


def _write_report(folder: "ResultsFolder") -> Path:
    """Write the report where it goes by default, and clear away what a killed run was writing there."""
    from nin_bench.files import remove_temporary_files
    from nin_bench.report.build import build_report

    out = report_folder(folder.path)
    for place in (out, out / "figures", out / "tables"):
        remove_temporary_files(place)
    return build_report(folder.path, out)


def _finish(summary: "RunSummary", folder: "ResultsFolder") -> NoReturn:
    told = ", ".join(f"{count} {outcome}" for outcome, count in summary.outcomes.most_common())
    reused = f", {summary.num_reused} taken over" if summary.num_reused else ""
    tell(f"results: {folder.path} ({told}; {summary.num_skipped} done before{reused})")
    if summary.signal_number is not None:
        note(
            "interrupted: run the same command again to go on, or see what there is with "
            f"python -m nin_bench report {shlex.quote(str(folder.path))}"
        )
        sys.exit(128 + summary.signal_number)
    if summary.out_of_time and (left := sum(summary.outcomes[outcome] for outcome in NOT_ENDED)):
        note(f"the time is over: {counted(left, 'cell')} left; run the same command again to go on")
    sys.exit(0 if set(summary.outcomes) <= {"trained"} else 1)
