"""`run`."""

import shlex
import sys
import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from nin_bench.cli.grids import GridOptions, load_grid, process_options
from nin_bench.cli.options import (
    FollowOptions,
    MaxFailuresOption,
    ReuseOptions,
    WorkOptions,
    note,
    parse_batch_seeds,
    tell,
    time_left,
)
from nin_bench.cli.plan import print_plan
from nin_bench.cli.streams import let_output_go
from nin_bench.cli.verdicts import print_verdicts
from nin_bench.errors import counted
from nin_bench.failures import MAX_FAILURES

if TYPE_CHECKING:
    from nin_bench.api import Run


NOT_ENDED = ("missing", "interrupted")
"""Outcomes of cells that a run had no time for."""


def run(
    given: GridOptions,
    work: WorkOptions,
    reuse: ReuseOptions,
    follow: FollowOptions,
    retries: Annotated[
        int,
        typer.Option(
            "--retries", metavar="N", min=0, help="How often a cell that crashed or hung is tried again."
        ),
    ] = 0,
    max_failures: MaxFailuresOption = MAX_FAILURES,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train every cell from its first step, also those that are done.")
    ] = False,
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
    batch_seeds: Annotated[
        str | None,
        typer.Option(
            "--batch-seeds",
            metavar="auto|N",
            help="Train so many seeds of a variant as one batched model; auto: small networks, on an accelerator.",
        ),
    ] = None,
    devices_per_cell: Annotated[
        int,
        typer.Option(
            "--devices-per-cell",
            metavar="N",
            min=1,
            help="Train each cell on so many accelerators, or cores of a CPU, together.",
        ),
    ] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and stop.")] = False,
) -> None:
    """Train every cell of a grid that has no result yet, judge the claims, and write the report."""
    started = time.monotonic()
    seconds = work.seconds
    num_batched = None if batch_seeds is None else parse_batch_seeds(batch_seeds)
    loaded = load_grid(given)
    from nin_bench import api
    from nin_bench.runner.session import RunOptions

    options = RunOptions(
        **process_options(given, work),
        retries=retries,
        max_failures=max_failures,
        fresh=fresh,
        batch_seeds=num_batched,
        devices_per_cell=devices_per_cell,
        measure=measure,
        keep_weights=keep_weights,
        **reuse.fields,
    )
    if dry_run:
        follow.check_listeners()
        print_plan(api.plan(loaded, options, results=given.results), given.grid)
        return
    folder = api.results_folder(loaded, given.results).path
    with follow.following(folder, loaded.summary, "report.html") as (listeners, end):
        left = time_left(seconds, started)
        ended = api.run(loaded, options, results=given.results, seconds=left, listeners=listeners)
        end(ended.report.page if ended.report else None)
    let_output_go()
    if ended.report is not None and (page := ended.report.page):
        print_verdicts(ended.report.analysis)
        tell(f"report: {page}")
        tell(f"page for a browser: {page.with_suffix('.html')}")
    _finish(ended)


def _finish(ended: "Run") -> NoReturn:
    summary, folder = ended.summary, ended.folder
    told = ", ".join(f"{count} {outcome}" for outcome, count in summary.outcomes.most_common())
    reused = f", {summary.num_reused} taken over" if summary.num_reused else ""
    tell(f"results: {folder} ({told}; {summary.num_skipped} done before{reused})")
    if summary.signal_number is not None:
        note(
            "interrupted: run the same command again to go on, or see what there is with "
            f"python -m nin_bench report {shlex.quote(str(folder))}"
        )
        sys.exit(128 + summary.signal_number)
    if summary.out_of_time and (left := sum(summary.outcomes[outcome] for outcome in NOT_ENDED)):
        note(f"the time is over: {counted(left, 'cell')} left; run the same command again to go on")
    sys.exit(0 if set(summary.outcomes) <= {"trained"} else 1)
