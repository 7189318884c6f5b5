"""Cells that other results folders hold: found by the names of their records, and taken over whole.

A cell's id is a hash of what can change its result, so its record is worth the same in every grid that plans it.
Imports no torch.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from nin_bench.cell import Cell
from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError, atomic_stream, open_regular, read_regular, write_atomically
from nin_bench.results.folder import MAX_PREDICTIONS_BYTES, ResultsFolder
from nin_bench.results.predictions import check_predictions, unpack_predictions
from nin_bench.results.records import FINAL_OUTCOMES, Record
from nin_bench.results.schema import ResolvedGrid

_COPY_BYTES = 2**20


@dataclass(frozen=True)
class SharedRecord:
    """A final record of a planned cell in another results folder."""

    folder: ResultsFolder
    record: Record

    @property
    def source(self) -> str:
        """The folder that its cell was trained in, as `<grid>/<profile>`."""
        return self.record.reused_from or "/".join(self.folder.path.absolute().parts[-2:])

    def take_over(self, goal: ResultsFolder, label: str) -> Record:
        """Copy the record with its predictions, probes and weights, the record last: all is there before it is.

        Returns:
            The record as it now stands in `goal`.

        Raises:
            DamagedFileError: predictions are damaged, missing, or not the record's; `goal` is as it was.
            ResultsError: a file cannot be read or written.
        """
        cell_id = self.record.cell_id
        predictions = self._verified_predictions()
        if predictions is None:
            goal.remove_predictions(cell_id)
        else:
            write_atomically(goal.predictions_path(cell_id), predictions)
        goal.remove_probes(cell_id)
        with suppress(DamagedFileError):  # a record stands without probes
            if (probes := self.folder.read_probes(self.record)) is not None:
                probes.write(goal.probes_path(cell_id))
        goal.remove_weights(cell_id)
        for theirs, ours in zip(self.folder.kept_paths(cell_id), goal.kept_paths(cell_id), strict=True):
            with suppress(FileNotFoundError, DamagedFileError):  # a record stands without weights
                _copy(theirs, ours)
        record = self.record.model_copy(update={"label": label, "reused_from": self.source})
        goal.write_record(record)
        return record

    def _verified_predictions(self) -> bytes | None:
        """The content of the predictions file, once it is known to be the record's; None for one without any."""
        if self.record.outcome != "trained":
            return None
        path = self.folder.predictions_path(self.record.cell_id)
        try:
            content = read_regular(path, MAX_PREDICTIONS_BYTES)
            predictions = unpack_predictions(content, self.record.cell_id)
        except FileNotFoundError as error:
            raise DamagedFileError("are missing") from error
        except (MemoryError, OSError, ResultsError) as error:  # what cannot be read here is trained
            raise DamagedFileError("cannot be read") from error
        check_predictions(predictions, self.record)
        return content


@dataclass(frozen=True)
class OtherFolders:
    """The results folders in which a run looks for cells that it plans."""

    folders: Sequence[ResultsFolder]

    @classmethod
    def under(cls, roots: Iterable[Path], own: ResultsFolder) -> Self:
        """Every `<root>/<grid>/<profile>` with records but one's own; links are not followed."""
        found: dict[Path, ResultsFolder] = {own.path.resolve(): own}
        for root in roots:
            for grid in _folders(root):
                for path in _folders(grid):
                    if (path / "cells").is_dir() and not (path / "cells").is_symlink():
                        found.setdefault(path.resolve(), ResultsFolder(path))
        return cls([folder for folder in found.values() if folder is not own])

    def find(self, cell: Cell, is_wanted: Callable[[SharedRecord], bool]) -> SharedRecord | None:
        """The first final record of a cell, as it is resolved today, that is wanted; None if there is none.

        A file that is damaged or cannot be read is passed over, and so is a trained cell without predictions.
        """
        for folder, names in self._names:
            if f"{cell.cell_id}.json" not in names:
                continue
            with suppress(DamagedFileError, ResultsError):
                record = folder.read_record(cell.cell_id)
                if record is None or record.outcome not in FINAL_OUTCOMES or not record.is_of(cell):
                    continue
                has_all = record.outcome != "trained" or folder.predictions_path(cell.cell_id).is_file()
                if has_all and is_wanted(found := SharedRecord(folder, record)):
                    return found
        return None

    def final_cells(self, grid: ResolvedGrid) -> set[str]:
        """Ids of the planned cells whose results are known in some folder, whatever device they are from."""
        return {
            cell_id
            for cell_id, cell in grid.planned_cells.items()
            if any(_is_final(folder, cell_id, cell) for folder, names in self._names if f"{cell_id}.json" in names)
        }

    @cached_property
    def _names(self) -> list[tuple[ResultsFolder, frozenset[str]]]:
        """The names of each folder's records, so that only those of planned cells are opened."""
        return [(folder, _names_in(folder.path / "cells")) for folder in self.folders]


def _is_final(folder: ResultsFolder, cell_id: str, cell: Cell) -> bool:
    with suppress(DamagedFileError, ResultsError):
        record = folder.read_record(cell_id)
        return record is not None and record.outcome in FINAL_OUTCOMES and record.is_of(cell)
    return False


def device_kind(record: Record) -> str | None:
    """The kind of device that a record's cell was trained on; None if the record does not say.

    Records hold an accelerator's model name where it is CUDA's, as `device_name` tells it, and else the kind.
    """
    device = record.environment.get("device")
    if not isinstance(device, str):
        return None
    return device if device == device.lower() else "cuda"


def differing_versions(record: Record, environment: Mapping[str, Any]) -> list[str]:
    """What a record was trained with and this machine has otherwise, as `torch 2.5.1, here 2.6.0`."""
    then, now = _versions(record.environment), _versions(environment)
    return [f"{name} {value}, here {now[name]}" for name, value in then.items() if now.get(name, value) != value]


def _versions(environment: Mapping[str, Any]) -> dict[str, Any]:
    software = environment.get("software")
    named = {name: environment.get(name) for name in ("processor", "device", "python")}
    return {
        name: value
        for name, value in {**named, **(software if isinstance(software, dict) else {})}.items()
        if value is not None
    }


def _folders(path: Path) -> list[Path]:
    """The folders in a folder, sorted; none if it cannot be looked into."""
    try:
        with os.scandir(path) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _names_in(path: Path) -> frozenset[str]:
    try:
        with os.scandir(path) as entries:
            return frozenset(entry.name for entry in entries)
    except OSError:
        return frozenset()


def _copy(source: Path, goal: Path) -> None:
    """Copy a file, which is seen whole or not at all."""
    with open_regular(source) as theirs, atomic_stream(goal, os.fstat(theirs.fileno()).st_size) as ours:
        while block := theirs.read(_COPY_BYTES):
            ours.write(block)
