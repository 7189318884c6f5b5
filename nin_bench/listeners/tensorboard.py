"""TensorBoard's event files, in the results folder: `tensorboard/<variant> seed <n> <cell>/`. Needs the extra."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from nin_bench.cell import Cell
from nin_bench.listeners import Listener
from nin_bench.listeners.cells import CellListener, Row, final_points, points
from nin_bench.results import Record

_NOT_IN_NAMES = re.compile(r"[^\w=.,+ -]")


@contextmanager
def listen(folder: Path) -> Iterator[Listener]:
    """Write event files for the cells that a run trains."""
    writers = _Writers(folder / "tensorboard")
    try:
        yield CellListener(writers)
    finally:
        for writer in writers.opened:
            writer.close()


class _Writers:
    """A folder of event files for each cell, written anew when the cell starts or is resumed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: list[SummaryWriter] = []

    def open_curve(self, cell: Cell, rows: Sequence[Row]) -> SummaryWriter:
        label = _NOT_IN_NAMES.sub("_", cell.label)[:100]
        place = self.folder / f"{label} seed {cell.seed} {cell.cell_id[:8]}"
        for earlier in place.glob("events.out.tfevents.*"):
            earlier.unlink()
        writer = SummaryWriter(str(place))
        self.opened.append(writer)
        writer.add_text("cell", f"```json\n{json.dumps(cell.as_dict(), indent=1)}\n```")
        for row in rows:
            self.add(writer, row)
        return writer

    def add(self, writer: SummaryWriter, row: Row) -> None:
        for name, value in points(row).items():
            writer.add_scalar(name, value, row["epoch"])
        writer.flush()

    def close_curve(self, writer: SummaryWriter, record: Record) -> None:
        for name, value in final_points(record).items():
            writer.add_scalar(name, value, len(record.history))
        writer.close()
        self.opened.remove(writer)
