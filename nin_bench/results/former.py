"""Cells that a grid once planned: their records stay in the folder, and are left out of the analysis."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nin_bench.errors import shown, some_of
from nin_bench.files import DamagedFileError
from nin_bench.results.folder import ResultsFolder
from nin_bench.results.records import Record
from nin_bench.results.schema import ResolvedGrid, ResolvedVariant


@dataclass(frozen=True)
class FormerCell:
    """A cell whose record lies in the folder and that is no longer in the grid."""

    cell_id: str
    label: str
    """The label of its variant, in the grid that it was trained for."""
    seed: int
    differs: str
    """In what it differs from the variant that has its label now; empty without one, or if its seed differs."""


def former_cells(folder: ResultsFolder, grid: ResolvedGrid) -> list[FormerCell]:
    """The readable records of cells that are no longer in a grid, by label and seed; nothing is changed."""
    by_label = {variant.label: variant for variant in grid.variants}
    planned = {cell.cell_id for cell in grid.cells}
    found = []
    for cell_id in folder.record_ids():
        if cell_id in planned:
            continue
        with suppress(DamagedFileError):
            if record := folder.read_record(cell_id):
                differs = _difference(record, by_label.get(record.label))
                found.append(FormerCell(cell_id, record.label, record.cell.seed, differs))
    return sorted(found, key=lambda cell: (cell.label, cell.differs, cell.seed))


def describe_former(cells: Sequence[FormerCell]) -> str | None:
    """A sentence that lists cells that are no longer in the grid, variant by variant; None if there are none."""
    if not cells:
        return None
    counts = Counter(f"{cell.label}{f' with {cell.differs}' if cell.differs else ''}" for cell in cells)
    some = some_of([f"{name} ({count})" for name, count in counts.items()])
    number = "1 cell is" if len(cells) == 1 else f"{len(cells)} cells are"
    return f"{number} no longer in the grid; kept, and left out of the analysis: {some}"


def _difference(record: Record, variant: ResolvedVariant | None) -> str:
    if variant is None:
        return ""
    then, now = _fields(record.cell), _fields(variant)
    return ", ".join(f"{key} {shown(value)}" for key, value in then.items() if value != now.get(key, value))


def _fields(of: Any) -> dict[str, Any]:
    """Every field of model, data and recipe, by its dotted name."""
    return {
        f"{section}.{name}": value
        for section in ("model", "data", "recipe")
        for name, value in getattr(of, section).model_dump().items()
    }
