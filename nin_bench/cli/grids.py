"""From a command's options to a grid and its results folder; the grids that the package ships, by name."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import nin_bench
from nin_bench.cli.options import counted, note
from nin_bench.errors import InputError, unknown_name

if TYPE_CHECKING:
    from nin_bench.grid import Grid
    from nin_bench.results import ResultsFolder


MOST_NOTES = 12
"""More than these are counted, not shown."""


def load_grid(
    path: Path,
    profile: str,
    device: str,
    overrides: Sequence[str] | None,
    seeds: str | None,
    only: str | None,
    results: Path,
    data_dir: Path | None,
    yes: bool,
    trials: int | None = None,
) -> "tuple[Grid, ResultsFolder]":
    """The grid that a command's options name, and the folder of its results.

    Raises:
        InputError: the file or an option is wrong.
    """
    from nin_bench.catalog import RegistryCatalog
    from nin_bench.environment import has_accelerator
    from nin_bench.grid import Grid
    from nin_bench.models import unavailable_packages
    from nin_bench.progress import counting_on
    from nin_bench.results import ResultsFolder

    with counting_on(sys.stderr) as watch:
        grid = Grid.load(
            find_grid(path),
            RegistryCatalog(data_dir, watch),
            profile=profile,
            has_accelerator=device.partition(":")[0] != "cpu" and has_accelerator(),
            overrides=overrides or (),
            seeds=_numbers(seeds),
            only=only,
            allow_many=yes,
            trials=trials,
        )
    notes = [*unavailable_packages(), *grid.notes]
    for text in notes[:MOST_NOTES]:
        note(text)
    if len(notes) > MOST_NOTES:
        note(f"and {len(notes) - MOST_NOTES} more such notes")
    return grid, ResultsFolder(results / grid.name / grid.profile)


def find_grid(grid: Path) -> Path:
    """The file of a grid: the one at this path, else the shipped grid of this name.

    Raises:
        InputError: there is no file, and a bare name is of no shipped grid.
    """
    if grid.is_file() or len(grid.parts) != 1 or grid.suffix:
        return grid
    shipped = shipped_grids()
    if grid.name not in shipped:
        raise InputError(f"--grid: no file, and {unknown_name('grid', grid.name, shipped)}")
    return shipped[grid.name]


def shipped_grids() -> dict[str, Path]:
    """The grids of experiments/ by name: part of an installed package, beside it in a checkout."""
    package = Path(nin_bench.__file__).parent
    folders = (package / "experiments", package.parent / "experiments")
    found = next((folder for folder in folders if folder.is_dir()), package)
    return {path.stem: path for path in sorted(found.glob("*.yaml"))}


def other_roots(results: Path, reuse_from: Sequence[Path] | None) -> tuple[Path, ...]:
    """The roots under which other results folders may hold cells of a grid: the one of its own, and those named.

    Raises:
        InputError: a root that is named holds no results folder.
    """
    for root in reuse_from or ():
        if not any(root.glob("*/*/cells")):
            raise InputError(
                f"--reuse-from {root}: holds no results folder; give the root of some, as results for "
                "results/<grid>/<profile>"
            )
    return results, *(reuse_from or ())


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds: {text!r} is no list of seeds; write --seeds 0,1") from error


def setting(grid: "Grid") -> str:
    """What a grid holds, in a line."""
    return (
        f"{grid.name}, profile {grid.profile}: {counted(len(grid.variants), 'variant')}, "
        f"{counted(len(grid.seeds), 'seed')}, {counted(len(grid.selected), 'cell')} selected"
    )
