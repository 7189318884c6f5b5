"""`plan`, which `run --dry-run` prints, too."""

import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nin_bench.cli.grids import GridOptions, load_grid, process_options
from nin_bench.cli.options import JsonOption, ReuseOptions, note, print_json, tell
from nin_bench.cli.power import print_power
from nin_bench.errors import counted

if TYPE_CHECKING:
    from nin_bench.api import Plan
    from nin_bench.planning import PlannedCell


def plan(
    given: GridOptions,
    reuse: ReuseOptions,
    pilot: Annotated[
        Path | None,
        typer.Option(
            "--pilot", metavar="RESULTS_DIR", help="Take the spread over seeds from the records of this folder."
        ),
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option(
            "--nodes",
            metavar="N",
            min=1,
            help="Estimate for a Ray cluster of so many nodes, each like the machine that measured last.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is to be trained of a grid, what it will take, and what the seeds can decide; train nothing."""
    with redirect_stdout(sys.stderr):  # where networks of one's own may print
        loaded = load_grid(given)
        from nin_bench import api
        from nin_bench.runner.session import RunOptions

        options = RunOptions(**process_options(given), **reuse.fields)
        found = api.plan(loaded, options, results=given.results, pilot=pilot, nodes=nodes)
    if as_json:
        print_json(found.as_dict())
        return
    note(loaded.summary)
    print_plan(found, given.grid)


def print_plan(plan: "Plan", grid_path: Path) -> None:
    """Print the state of every cell, what all will take, what the seeds can decide, and warnings."""
    from nin_bench.estimates import estimate_lines, memory_warning
    from nin_bench.reporting.text import named_seeds

    grid, cells = plan.grid, plan.cells

    for variant in grid.variants:
        if match := variant.match:
            tell(
                f"{variant.label}: its width gives it {match.reached:,} {match.size}, and {match.to} has "
                f"{match.target:,} ({match.residue:+.2%})"
            )
    width = max(len(planned.cell.label) for planned in cells)
    seeds_by_state: dict[str, dict[tuple[str, str], list[int]]] = {}
    for planned in cells:
        saved = planned.num_epochs_saved
        known = [
            *([planned.outcome] if planned.outcome else []),
            *([f"from {planned.shared.source}"] if planned.shared else []),
            *([f"{saved} of {counted(planned.cell.recipe.epochs, 'epoch')} saved"] if saved is not None else []),
        ]
        details = f" ({', '.join(known)})" if known else ""
        state = f"{planned.state}{details}{_needed(planned)}"
        states = seeds_by_state.setdefault(planned.cell.label, {})
        states.setdefault((state, _takes(planned)), []).append(planned.cell.seed)
    for label, states in seeds_by_state.items():
        for (state, takes), seeds in states.items():
            each = " each" if takes and len(seeds) > 1 else ""
            tell(f"{label:{width}}  {named_seeds(seeds)}  {state}{takes}{each}")
    counts = [f"{sum(planned.has_to_run for planned in cells)} to run"]
    counts += [f"{estimate.num_cells} {name}" for name, estimate in plan.estimates.items() if name]
    counts.append(f"{sum(planned.state == 'done' for planned in cells)} done")
    if num_reused := sum(planned.state == "reuse" for planned in cells):
        counts.append(f"{num_reused} to take over")
    tell(f"{counted(len(cells), 'cell')}: {', '.join(counts)}")
    for line in estimate_lines(plan.estimates):
        tell(line)
    for sentence in plan.notes:
        note(sentence)
    *_, most = plan.estimates.values()
    if warning := memory_warning(most, plan.machine):
        note(warning)
    if most.num_unknown:
        note(
            f"{counted(most.num_unknown, 'cell')} without figures of this machine yet: run takes them first, "
            f"and so does, with the same options, python -m nin_bench measure --grid {shlex.quote(str(grid_path))}"
        )
    print_power(plan.hypotheses)
    for sentence in plan.warnings:
        note(sentence)


def _needed(planned: "PlannedCell") -> str:
    if planned.state in ("done", "reuse") or planned.need == "now":
        return ""
    return ", if a claim is undecided" if planned.need == "if undecided" else ", not needed"


def _takes(planned: "PlannedCell") -> str:
    from nin_bench.estimates import human_duration, human_memory

    seconds, memory = planned.estimate.seconds, planned.estimate.memory_bytes
    known = [
        *([] if seconds is None else [human_duration(seconds)]),
        *([] if memory is None else [human_memory(memory)]),
    ]
    return f"  {', '.join(known)}" if planned.has_to_run and known else ""
