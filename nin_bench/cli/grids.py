"""From a command's options to a grid."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nin_bench.cli.options import note
from nin_bench.errors import InputError

if TYPE_CHECKING:
    from nin_bench.grid import Grid

MOST_NOTES = 12
"""More than these are counted, not shown."""


def load_grid(
    path: Path,
    profile: str,
    device: str,
    overrides: Sequence[str] | None,
    seeds: str | None,
    only: Sequence[str] | None,
    data_dir: Path | None,
    yes: bool,
    trials: int | None = None,
) -> "Grid":
    """The grid that a command's options name; what is hardly meant in it is told.

    Raises:
        InputError: the file or an option is wrong.
    """
    from nin_bench import api
    from nin_bench.models import unavailable_packages

    grid = api.load_grid(
        path,
        profile=profile,
        device=device,
        overrides=overrides or (),
        seeds=_numbers(seeds),
        only=only,
        trials=trials,
        data_dir=data_dir,
        allow_many=yes,
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
