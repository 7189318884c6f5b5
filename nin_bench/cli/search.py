"""`search`."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nin_bench.cli.grids import GridOptions, load_grid, process_options
from nin_bench.cli.options import (
    FollowOptions,
    MaxFailuresOption,
    ReuseOptions,
    WorkOptions,
    named_path,
    note,
    tell,
)
from nin_bench.cli.run import run
from nin_bench.errors import InputError, counted
from nin_bench.failures import MAX_FAILURES

if TYPE_CHECKING:
    from nin_bench.grid import Grid, SearchSpec, Variant
    from nin_bench.results import ResultsFolder
    from nin_bench.results.studies import StudySummary
    from nin_bench.search.events import SearchEvent


def search(
    given: GridOptions,
    work: WorkOptions,
    follow: FollowOptions,
    retries: Annotated[
        int,
        typer.Option(
            "--retries", metavar="N", min=0, help="How often a trial that crashed or hung is tried again."
        ),
    ] = 1,
    max_failures: MaxFailuresOption = MAX_FAILURES,
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", min=1, help="Number of trials of each variant.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            metavar="URL",
            help="The address of a database for the studies; default a file in the results folder.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            parser=named_path,
            help="The tuned grid; default tuned.yaml in the results folder.",
        ),
    ] = None,
    then_run: Annotated[bool, typer.Option("--then-run", help="Run the tuned grid afterwards.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be searched, and stop.")] = False,
) -> None:
    """Find the best recipe of each variant on validation images, with the same number of trials for each."""
    started = time.monotonic()
    seconds = work.seconds
    if given.seeds is not None and not then_run:
        raise InputError("--seeds: a search has its own (search.seeds); give it with --then-run, for the run")
    if given.only and then_run:
        raise InputError("--only: narrows a search, and a tuned grid has other labels; leave out --then-run")
    loaded = load_grid(given, trials)
    import optuna

    from nin_bench.analysis.search.studies import read_search
    from nin_bench.analysis.search.warnings import find_warnings
    from nin_bench.api import results_folder
    from nin_bench.catalog import RegistryCatalog
    from nin_bench.checks import check_variants, network_warnings
    from nin_bench.listeners import listening
    from nin_bench.progress.displays import progress_on
    from nin_bench.reporting.build import build_search_report, report_folder
    from nin_bench.runner.budget import work_ends_at
    from nin_bench.runner.session import slots_here
    from nin_bench.search.as_cells import TrialsAsCells
    from nin_bench.search.config import load_search
    from nin_bench.search.run import SearchOptions, search_grid
    from nin_bench.search.tuned import check_unedited, read_choices, tuned_text, write_tuned

    folder, catalog = results_folder(loaded, given.results), RegistryCatalog(given.data_dir)
    tuned = out or folder.path / "tuned.yaml"
    options = SearchOptions(
        **process_options(given, work),
        retries=retries,
        max_failures=max_failures,
        storage=storage,
        ends_at=None if seconds is None else work_ends_at(started, seconds, len(loaded.variants)),
    )
    check_unedited(tuned)
    load_search(loaded, folder, catalog, storage)
    assert loaded.search is not None
    if dry_run:
        follow.check_listeners()
        slots_here(options)
        _print_plan(loaded, folder)
    trials_left = [
        variant for variant, study in _studies(loaded, folder) if _num_done(study) < loaded.search.trials
    ]
    for sentence in network_warnings(trials_left, check_variants(trials_left, given.data_dir), given.data_dir):
        note(sentence)
    if dry_run:
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    heading = _setting(loaded)
    with follow.following(folder.path, heading, "search.html") as (listeners, end):
        with listening(listeners, folder.path) as hand_on, progress_on(sys.stderr, heading) as show:
            followers = TrialsAsCells(hand_on)

            def hear(event: "SearchEvent") -> None:
                if listeners:
                    followers(event)
                show(event)

            summary = search_grid(loaded, folder, options, hear)
        if summary.signal_number is not None:
            end(None)
            note("interrupted: run the same command again to go on")
            sys.exit(128 + summary.signal_number)
        page = build_search_report(folder.path, report_folder(folder.path))
        end(page)
    _print_table(loaded, folder)
    for warning in find_warnings(read_search(folder.path)):
        tell(f"warning: {warning.sentence}")
    tell(f"search report: {page}")
    write_tuned(tuned, tuned_text(loaded, read_choices(loaded, folder), catalog, tuned))
    tell(f"tuned grid: {tuned}")
    if any(_num_done(study) < loaded.search.trials for _, study in _studies(loaded, folder)):
        why = "the time is over, and " if summary.out_of_time else ""
        note(f"{why}some study lacks trials: run the same command again for the rest")
        sys.exit(1)
    if then_run:
        left = None if seconds is None else f"{max(1, int(started + seconds - time.monotonic()))}s"
        tuned_grid = replace(given, grid=tuned, profile=loaded.profile)
        work = replace(work, budget=left)
        run(tuned_grid, work, ReuseOptions(), follow, retries=retries, max_failures=max_failures)


def _setting(grid: "Grid") -> str:
    if grid.search is None:
        return grid.name
    return (
        f"{grid.name}, profile {grid.profile}: {counted(len(grid.variants), 'variant')}, "
        f"{counted(grid.search.trials, 'trial')} each with {counted(grid.search.seeds, 'seed')}"
    )


def _studies(grid: "Grid", folder: "ResultsFolder") -> "list[tuple[Variant, StudySummary | None]]":
    """The selected variants, and what the folder keeps of the study of each."""
    from nin_bench.results.studies import find_study

    selected = {cell.variant_id for cell in grid.selected}
    variants = (variant for variant in grid.variants if variant.variant_id in selected)
    return [(variant, find_study(folder, variant.variant_id)) for variant in variants]


def _num_done(study: "StudySummary | None") -> int:
    return study.num_done if study else 0


def _print_plan(grid: "Grid", folder: "ResultsFolder") -> None:
    assert grid.search is not None
    studies = _studies(grid, folder)
    width = max(len(variant.label) for variant, _ in studies)
    total = 0
    for variant, study in studies:
        done = _num_done(study)
        total += (grid.search.trials - done) * grid.search.seeds * (grid.search.epochs or variant.recipe.epochs)
        tell(f"{variant.label:{width}}  {done} of {counted(grid.search.trials, 'trial')} done")
    tell(f"{counted(len(studies), 'variant')}: {counted(total, 'epoch')} to train at most")


def _print_table(grid: "Grid", folder: "ResultsFolder") -> None:
    """For every variant: trials done, the best values, what they reached, and what every seed did."""
    assert grid.search is not None
    studies = _studies(grid, folder)
    width = max(len(variant.label) for variant, _ in studies)
    for variant, study in studies:
        done = f"{_num_done(study)}/{grid.search.trials} trials"
        tell(f"{variant.label:{width}}  {done}  {_best(study, grid.search)}")


def _best(study: "StudySummary | None", spec: "SearchSpec") -> str:
    if study is None or (best := study.best_trial) is None:
        return "no trial ran to its end"

    def shown(value: float) -> str:
        return f"{value:.1%}" if spec.in_points else f"{value:.3f}"

    values = [run.value for run in best.runs if run.value is not None]
    assert best.value is not None
    spread = f" ({shown(min(values))} to {shown(max(values))}, n={len(values)})" if len(values) > 1 else ""
    params = ", ".join(
        f"{name}={value:.3g}" if type(value) is float else f"{name}={value}" for name, value in best.params.items()
    )
    return f"{spec.objective_title} {shown(best.value)}{spread} with {params}"
