"""`replay`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nin_bench.cli.options import (
    DataDirOption,
    DeviceOption,
    FolderArgument,
    JsonOption,
    OwnModelsOption,
    TimeoutOption,
    WorkersOption,
    note,
    print_json,
    tell,
)
from nin_bench.errors import InputError, counted

if TYPE_CHECKING:
    from nin_bench.results.replays import ReplayedCell


def replay(
    folder: FolderArgument,
    sample: Annotated[
        int,
        typer.Option("--sample", metavar="N", min=1, help="How many cells, of as many variants as possible."),
    ] = 5,
    cells: Annotated[
        str | None, typer.Option("--cells", metavar="ID,ID…", help="These cells instead; ids may be shortened.")
    ] = None,
    own_models: OwnModelsOption = None,
    data_dir: DataDirOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train recorded cells again, and compare: the same numbers must come out. No record changes."""
    from nin_bench.results import ResultsFolder, load_results
    from nin_bench.runner.replay import records_named, replay_cells, sample_records

    results = load_results(folder)
    names = [name.strip() for name in cells.split(",")] if cells is not None else None
    chosen = sample_records(results.records, sample) if names is None else records_named(results.records, names)
    if not chosen:
        raise InputError(
            f"{folder}: no cell ended trained or diverged, so none can be replayed; run its grid first"
        )
    if device == "auto":
        device = results.grid.device_kind
    note(f"{counted(len(chosen), 'cell')} to train again on {device}")
    summary = replay_cells(
        ResultsFolder(folder),
        chosen,
        device=device,
        workers=workers,
        data_dir=data_dir,
        timeout_seconds=timeout,
        on_end=lambda cell: note(_line(cell)),
    )
    if as_json:
        print_json({"cells": [cell.model_dump(mode="json") for cell in summary.cells]})
    else:
        repeated = sum(cell.repeated for cell in summary.cells)
        tell(f"{repeated} of {counted(len(summary.cells), 'cell')} repeated: {Path(folder) / 'replay.json'}")
    if summary.signal_number is not None:
        sys.exit(128 + summary.signal_number)
    if not all(cell.repeated for cell in summary.cells):
        sys.exit(1)


def _line(cell: "ReplayedCell") -> str:
    """What came of a cell, in a line."""
    name = f"{cell.label} seed {cell.seed}"
    if cell.error is not None:
        return f"{name}: not repeated: {cell.error}"
    if not cell.differences:
        return f"{name}: the same, bit for bit"
    first = cell.differences[0]
    more = f", and {len(cell.differences) - 1} more" if len(cell.differences) > 1 else ""
    why = f"; {', '.join(cell.differs_in)} differ from the record's" if cell.differs_in else ""
    kind = "within the tolerance" if cell.repeated else "not repeated"
    return f"{name}: {kind}: {first.what} was {first.recorded}, is {first.again}{more}{why}"
