"""The options of every command that takes a grid, and the grid that they name."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nin_bench.cli.options import (
    DataDirOption,
    DeviceOption,
    OwnModelsOption,
    WorkersOption,
    WorkOptions,
    named_path,
    note,
)
from nin_bench.errors import InputError

if TYPE_CHECKING:
    from nin_bench.grid import Grid

MOST_NOTES = 12
"""More than these are counted, not shown."""


def _complete_grid(begun: str) -> list[str]:
    """The names of shipped grids; where none fits, shells complete paths."""
    from nin_bench.grid.shipped import shipped_grids

    return [name for name in shipped_grids() if name.startswith(begun)]


@dataclass(frozen=True)
class GridOptions:
    """Which grid, what of it, where its results go, and where it runs."""

    grid: Annotated[
        Path,
        typer.Option(
            "--grid",
            metavar="FILE",
            parser=named_path,
            autocompletion=_complete_grid,
            help="The grid: a YAML file, or the name of one that ships. May be given first, without --grid.",
        ),
    ]
    own_models: OwnModelsOption = None
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            help="A profile of the grid; `full` is the grid as written, `auto` is `cpu` without an accelerator.",
        ),
    ] = "auto"
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="K=V", help="Set a field of the grid, such as recipe.epochs=2."),
    ] = None
    seeds: Annotated[
        str | None, typer.Option("--seeds", metavar="N,N…", help="Run only these of the grid's seeds.")
    ] = None
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="GLOB", help="Run only variants whose label matches; may be given again."),
    ] = None
    results: Annotated[
        Path,
        typer.Option(
            "--results", metavar="ROOT", parser=named_path, help="Where results go, as ROOT/<grid>/<profile>."
        ),
    ] = Path("results")
    data_dir: DataDirOption = None
    workers: WorkersOption = None
    device: DeviceOption = "auto"
    yes: Annotated[bool, typer.Option("--yes", help="Allow more than 10,000 cells, up to 100,000.")] = False


def process_options(given: GridOptions, work: WorkOptions | None = None) -> dict[str, Any]:
    """Fields of `ProcessOptions` that these options give."""
    where = {"data_dir": given.data_dir, "device": given.device, "workers": given.workers}
    return where if work is None else {**where, "ray_address": work.cluster, "timeout_seconds": work.timeout}


def load_grid(given: GridOptions, trials: int | None = None) -> "Grid":
    """The grid that a command's options name, with a note on what is probably a mistake; else InputError."""
    from nin_bench import api
    from nin_bench.models import unavailable_packages

    grid = api.load_grid(
        given.grid,
        profile=given.profile,
        device=given.device,
        overrides=given.overrides or (),
        seeds=_numbers(given.seeds),
        only=given.only,
        trials=trials,
        data_dir=given.data_dir,
        allow_many=given.yes,
    )
    notes = [*unavailable_packages(), *grid.notes]
    for text in notes[:MOST_NOTES]:
        note(text)
    if len(notes) > MOST_NOTES:
        note(f"and {len(notes) - MOST_NOTES} more such notes")
    return grid


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds: {text!r} is no list of seeds; write --seeds 0,1") from error
