"""Cells that ask for more epochs than a trained one: what state their training can go on from. Imports no torch.

Rates, orders and draws are functions of (recipe, seed, step). Where the schedule's rates do not depend on the
number of epochs, the state after the last of fewer epochs is one that more epochs pass through, bit for bit.
"""

import json
from collections.abc import Callable, Container, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nin_bench.cell import Cell
from nin_bench.checkpoint import read_header
from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError
from nin_bench.results import Record, ResultsFolder
from nin_bench.results.replays import what_changes_bits

OPEN_ENDED = frozenset({"constant", "step"})
"""The schedules whose rates do not depend on the number of epochs."""


@dataclass(frozen=True)
class KeptState:
    """The state that a trained cell of fewer epochs ended with."""

    cell: Cell
    """The cell as resolved today."""
    path: Path


class ShorterCells:
    """What a results folder holds of cells with fewer epochs than planned ones."""

    def __init__(self, folder: ResultsFolder, planned: Container[str], here: Mapping[str, Any]) -> None:
        self._folder = folder
        self._here = here
        self._kept: dict[Hashable, list[Record]] = {}
        self._former: set[Hashable] = set()
        for path in sorted((folder.path / "weights").glob("*.ckpt")):
            with suppress(DamagedFileError, FileNotFoundError):
                record = read_header(path)
                record.check_id(path.stem)
                self._kept.setdefault(_key(record.cell), []).append(record)
        for cell_id in folder.record_ids():
            if cell_id not in planned:
                with suppress(DamagedFileError, ResultsError):
                    if (former := folder.read_record(cell_id)) and former.outcome == "trained":
                        self._former.add((_key(former.cell), former.cell.recipe.epochs))

    def find(self, cell: Cell, is_todays_code: Callable[[Record], bool]) -> tuple[KeptState | None, str | None]:
        """The longest training that a cell can go on from; else why it starts over, if fewer epochs were trained.

        Both are None if no fewer epochs of the cell were trained.
        """
        if not (self._kept or self._former):
            return None, None
        key, epochs = _key(cell), cell.recipe.epochs
        kept = [record for record in self._kept.get(key, ()) if record.cell.recipe.epochs < epochs]
        if not kept:
            was_trained = any((key, fewer) in self._former for fewer in range(1, epochs))
            return None, _why_nothing_is_kept(cell) if was_trained else None
        record = max(kept, key=lambda record: record.cell.recipe.epochs)
        if cell.recipe.schedule not in OPEN_ENDED:
            return None, _depends_on_epochs(cell)
        if not is_todays_code(record):
            return None, f"the code of {cell.model.name} has changed since"
        if changed := what_changes_bits(record.environment, self._here):
            return None, f"what decides its bits has changed since: {', '.join(changed)}"
        return KeptState(
            with_epochs(cell, record.cell.recipe.epochs), self._folder.state_path(record.cell_id)
        ), None


def with_epochs(cell: Cell, epochs: int) -> Cell:
    """The cell with another number of epochs."""
    return cell.model_copy(update={"recipe": cell.recipe.model_copy(update={"epochs": epochs})})


def _key(cell: Cell) -> Hashable:
    """Equal for cells that differ in nothing but their epochs."""
    return json.dumps(with_epochs(cell, 1).as_dict(), sort_keys=True)


def _depends_on_epochs(cell: Cell) -> str:
    return f"the rates of the schedule {cell.recipe.schedule} depend on the number of epochs"


def _why_nothing_is_kept(cell: Cell) -> str:
    if cell.recipe.schedule not in OPEN_ENDED:
        return _depends_on_epochs(cell)
    return "no state of the trained ones was kept, as --keep-weights does"
