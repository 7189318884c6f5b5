"""`run` and `plan`."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from nin_bench.cli.options import (
    DataDirOption,
    GridOption,
    JsonOption,
    OnlyOption,
    ProfileOption,
    ResultsOption,
    SeedsOption,
    SetOption,
    YesOption,
    counted,
    note,
    print_json,
    tell,
)
from nin_bench.cli.results import report_folder
from nin_bench.errors import InputError

if TYPE_CHECKING:
    from nin_bench.grid import Grid
    from nin_bench.plan import PlannedCell
    from nin_bench.results import ResultsFolder
    from nin_bench.runner import RunSummary


def run(
    grid: GridOption,
    profile: ProfileOption = "auto",
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
    data_dir: DataDirOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes on a CPU; default one per core.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, or a torch device as cuda:0.")] = "auto",
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=1, help="Seconds that one cell may take.")
    ] = None,
    retries: Annotated[
        int, typer.Option("--retries", metavar="N", min=0, help="Further tries of a cell that crashed or hung.")
    ] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train all from the first step on, also cells that are done.")
    ] = False,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Keep each trained cell's weights, in weights/.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and stop.")] = False,
    yes: YesOption = False,
) -> None:
    """Train every cell of a grid that has no result yet, and write the report."""
    loaded, folder = _load(grid, profile, device, overrides, seeds, only, results, data_dir, yes)
    if dry_run:
        _print_plan(_planned(loaded, folder, data_dir, fresh=fresh))
        return
    from nin_bench.progress import progress_on
    from nin_bench.runner import RunOptions, run_grid

    options = RunOptions(
        data_dir=data_dir,
        device=device,
        workers=workers,
        timeout_seconds=timeout,
        retries=retries,
        fresh=fresh,
        keep_weights=keep_weights,
    )
    pages: list[Path] = []
    with progress_on(sys.stderr, _setting(loaded)) as on_event:
        summary = run_grid(loaded, folder, options, on_event, at_end=lambda: pages.append(_write_report(folder)))
    for page in pages:  # told only here, since bars on a terminal take what is printed for theirs
        tell(f"report: {page}")
    _finish(summary, folder)


def plan(
    grid: GridOption,
    profile: ProfileOption = "auto",
    overrides: SetOption = None,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    results: ResultsOption = Path("results"),
    data_dir: DataDirOption = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, or a torch device as cuda:0.")] = "auto",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show every cell of a grid and what is known of it; train nothing."""
    loaded, folder = _load(grid, profile, device, overrides, seeds, only, results, data_dir, yes)
    cells = _planned(loaded, folder, data_dir)
    if as_json:
        document = {
            "grid": loaded.name,
            "profile": loaded.profile,
            "cells": [cell.as_dict() for cell in cells],
        }
        print_json(document)
        return
    note(_setting(loaded))
    _print_plan(cells)


def _load(
    path: Path,
    profile: str,
    device: str,
    overrides: Sequence[str] | None,
    seeds: str | None,
    only: str | None,
    results: Path,
    data_dir: Path | None,
    yes: bool,
) -> "tuple[Grid, ResultsFolder]":
    from nin_bench.environment import has_accelerator
    from nin_bench.grid import Grid
    from nin_bench.plan import RegistryCatalog
    from nin_bench.results import ResultsFolder

    grid = Grid.load(
        path,
        RegistryCatalog(data_dir),
        profile=profile,
        has_accelerator=device.partition(":")[0] != "cpu" and has_accelerator(),
        overrides=overrides or (),
        seeds=_numbers(seeds),
        only=only,
        allow_many=yes,
    )
    return grid, ResultsFolder(results / grid.name / grid.profile)


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds: {text!r} is no list of seeds; write --seeds 0,1") from error


def _setting(grid: "Grid") -> str:
    return (
        f"{grid.name}, profile {grid.profile}: {counted(len(grid.variants), 'variant')}, "
        f"{counted(len(grid.seeds), 'seed')}, {counted(len(grid.selected), 'cell')} selected"
    )


def _planned(
    grid: "Grid", folder: "ResultsFolder", data_dir: Path | None, *, fresh: bool = False
) -> "list[PlannedCell]":
    from nin_bench.plan import load_plan

    return load_plan(grid, folder, data_dir, fresh=fresh)


def _print_plan(cells: "Sequence[PlannedCell]") -> None:
    width = max(len(planned.cell.label) for planned in cells)
    for planned in cells:
        saved = planned.num_epochs_saved
        known = [
            *([planned.outcome] if planned.outcome else []),
            *([f"{saved} of {counted(planned.cell.recipe.epochs, 'epoch')} saved"] if saved is not None else []),
        ]
        details = f" ({', '.join(known)})" if known else ""
        tell(f"{planned.cell.label:{width}}  seed {planned.cell.seed}  {planned.state}{details}")
    todo = sum(planned.has_to_run for planned in cells)
    tell(f"{len(cells)} cells: {todo} to run, {len(cells) - todo} done")


def _write_report(folder: "ResultsFolder") -> Path:
    """Write the report where it goes by default, and clear away what a killed run was writing there."""
    from nin_bench.files import remove_temporary_files
    from nin_bench.report.build import build_report

    out = report_folder(folder.path)
    for place in (out, out / "figures"):
        remove_temporary_files(place)
    return build_report(folder.path, out)


def _finish(summary: "RunSummary", folder: "ResultsFolder") -> NoReturn:
    told = ", ".join(f"{count} {outcome}" for outcome, count in summary.outcomes.most_common())
    tell(f"results: {folder.path} ({told}; {summary.num_skipped} done before)")
    if summary.signal_number is not None:
        note(
            "interrupted: run the same command again to go on, or see what there is with "
            f"python -m nin_bench report {shlex.quote(str(folder.path))}"
        )
        sys.exit(128 + summary.signal_number)
    sys.exit(0 if set(summary.outcomes) <= {"trained"} else 1)
