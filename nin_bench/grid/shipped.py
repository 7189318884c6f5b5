"""The grids that the package ships, by name."""

from pathlib import Path

from nin_bench.errors import InputError, unknown_name


def find_grid(grid: Path) -> Path:
    """The file of a grid: the one at this path, else the shipped grid of this name; else InputError."""
    if grid.is_file() or len(grid.parts) != 1 or grid.suffix:
        return grid
    shipped = shipped_grids()
    if grid.name not in shipped:
        raise InputError(f"--grid: no file, and {unknown_name('grid', grid.name, shipped)}")
    return shipped[grid.name]


def shipped_grids() -> dict[str, Path]:
    """The grids of experiments/ by name: part of an installed package, beside it in a checkout."""
    package = Path(__file__).parent.parent
    folders = (package / "experiments", package.parent / "experiments")
    found = next((folder for folder in folders if folder.is_dir()), package)
    return {path.stem: path for path in sorted(found.glob("*.yaml"))}
