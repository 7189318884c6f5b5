"""`init`: a grid to start from."""

import re
import shlex
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from nin_bench.cli.options import tell
from nin_bench.errors import InputError


def init(
    name: Annotated[
        Path,
        typer.Argument(metavar="NAME", help="What the grid is called; NAME.yaml is written.", show_default=False),
    ],
) -> None:
    """Write a small grid with comments, to start from; it runs as it is."""
    from nin_bench.grid.file import FOLDER_NAME

    path = name if name.suffix == ".yaml" else name.with_name(f"{name.name}.yaml")
    if not re.fullmatch(FOLDER_NAME, path.stem):
        raise InputError(f"{path.stem!r} names no grid; use small letters, digits, - and _, as in my-grid")
    template = resources.files("nin_bench") / "cli" / "grid_template.yaml"
    text = template.read_text("utf-8").replace("my_grid.yaml", path.as_posix()).replace("my_grid", path.stem)
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise InputError(f"{path}: is there already; give another name, or delete the file") from error
    grid = shlex.quote(str(path))
    tell(f"{path}: a grid to start from. Change it, then:")
    tell(f"  python -m nin_bench plan --grid {grid}   # what would be trained, and what the seeds can decide")
    tell(f"  python -m nin_bench run --grid {grid}    # train, judge the claims, write a report")
