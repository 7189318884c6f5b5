"""Examine a results folder under its lock, and repair what can be repaired. Imports no torch."""

import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any, Literal

from nin_bench.checkpoint import check_checkpoint
from nin_bench.errors import ResultsError, some_of
from nin_bench.files import DamagedFileError, set_aside
from nin_bench.results import PARTS, Record, ResultsFolder, is_of, planned_cells
from nin_bench.results.folder_lock import HOLDER, lock_holder, sole_writer
from nin_bench.results.stored import check_predictions

State = Literal["repaired", "noted", "open"]
"""`repaired`: mended or set aside. `noted`: worth telling, and not wrong. `open`: a person has to decide."""


@dataclass(frozen=True)
class Finding:
    """Something about a file that a person should know."""

    file: str
    """Where, below the results folder."""
    found: str
    """What is wrong with it."""
    done: str
    """What was done about it, or what a person can do."""
    state: State


def examine(path: Path) -> list[Finding]:
    """Go through a results folder, set aside what is damaged and clear away what a killed process left.

    Nothing whole is touched: records of cells that the grid does not plan stay, as does what lies behind a link.

    Raises:
        ResultsError: no results folder, in use (it says by whom), or it cannot be written.
    """
    if not any(os.path.lexists(path / name) for name in ("grid.json", *PARTS)):
        raise ResultsError(f"{path}: not a results folder (no grid.json); give one <root>/<grid>/<profile>")
    left = os.path.lexists(path / HOLDER) and lock_holder(path) is None
    with sole_writer(path):
        killed = Finding(HOLDER, "was left by a process that was killed", "removed", "repaired")
        return [*([killed] if left else []), *_Examination(ResultsFolder(path)).findings()]


class _Examination:
    """What is known so far of one folder."""

    def __init__(self, folder: ResultsFolder) -> None:
        self.folder = folder
        self.misplaced = {wrong.part: wrong for wrong in folder.misplaced()}
        self.records: dict[str, Record] = {}
        """Those that are whole, by their cell's id."""
        self.unreadable: set[str] = set()
        """Ids of cells whose records the system refuses."""
        self.planned: dict[str, dict[str, Any]] = {}
        """`planned_cells`; empty where the grid is not known."""
        self.contradicted: dict[str, str] = {}
        """Cells whose predictions and record are both whole, and not of each other; what differs."""

    def findings(self) -> Iterator[Finding]:
        for removed in self.folder.remove_leftovers():
            yield self._finding(removed, "was being written when its process was killed", "removed", "repaired")
        for part, wrong in self.misplaced.items():
            yield Finding(part, wrong.found, wrong.remedy, "open")
        try:
            self.planned = planned_cells(self.folder.read_grid_file())
        except FileNotFoundError:
            yield self._no_grid("is missing")
        except DamagedFileError as damage:
            yield self._no_grid(str(damage))
        yield from self._examine("cells", ".json", self._read_record)
        if self.planned:
            yield from self._compare_with_plan()
        yield from self._examine("checkpoints", ".ckpt", self._read_checkpoint)
        # Predictions are judged by their records, so these must have been seen.
        if not self.misplaced.keys() & {"cells", "predictions"}:
            yield from self._examine("predictions", ".npz", self._read_predictions)
            yield from self._contradictions()
            yield from self._missing_predictions()
        yield from self._examine("costs", ".json", self.folder.read_costs)

    def _no_grid(self, found: str) -> Finding:
        return self._finding(
            self.folder.grid_path,
            f"{found}; which cells were planned, and what was claimed before the first run, is lost with it",
            "put a copy back, or move it away and run its grid again: records stay, hypotheses are locked anew",
            "open",
        )

    def _examine(self, part: str, suffix: str, read: Callable[[str], object]) -> Iterator[Finding]:
        """Read every file of a folder, and set aside those that are damaged."""
        for path in [] if part in self.misplaced else sorted((self.folder.path / part).glob(f"*{suffix}")):
            identity = path.name.removesuffix(suffix)
            try:
                read(identity)
            except DamagedFileError as damage:
                kept = set_aside(path, str(damage))
                again = "; its cell runs again" if part == "cells" and identity in self.planned else ""
                yield self._finding(path, str(damage), f"set aside as {kept.name}{again}", "repaired")
            except ResultsError as refusal:
                self.unreadable.add(identity)
                found, _, remedy = str(refusal).removeprefix(f"{path}: ").partition("; ")
                yield self._finding(path, found, remedy, "open")

    def _read_record(self, cell_id: str) -> None:
        if record := self.folder.read_record(cell_id):
            self.records[cell_id] = record

    def _read_checkpoint(self, name: str) -> None:
        check_checkpoint(self.folder.checkpoints_path / f"{name}.ckpt")

    def _read_predictions(self, cell_id: str) -> None:
        predictions = self.folder.read_predictions(cell_id)
        if predictions is None or cell_id in self.unreadable:
            return
        record = self.records.get(cell_id)
        if record is None:
            raise DamagedFileError("belongs to no record")
        if record["outcome"] != "trained":
            raise DamagedFileError(f"belongs to no record: that of its cell says {record['outcome']}")
        try:
            check_predictions(predictions, record)
        except DamagedFileError as contradiction:
            self.contradicted[cell_id] = str(contradiction)

    def _contradictions(self) -> Iterator[Finding]:
        """Which of the two is true, no file tells: neither is touched."""
        for cell_id, found in self.contradicted.items():
            again = f"put back what was changed, or make both again: {self._again([cell_id])}"
            yield self._finding(self.folder.predictions_path(cell_id), found, again, "open")

    def _compare_with_plan(self) -> Iterator[Finding]:
        for cell_id, record in self.records.items():
            path = self.folder.record_path(cell_id)
            if cell_id not in self.planned:
                yield self._finding(path, "is of a cell that this grid does not plan", "left alone", "noted")
            elif not is_of(record, self.planned[cell_id]):
                yield self._finding(
                    path, "is of another experiment: a default has changed", "the next run replaces it", "noted"
                )

    def _missing_predictions(self) -> Iterator[Finding]:
        lacking = [
            cell_id
            for cell_id, record in self.records.items()
            if record["outcome"] == "trained" and not self.folder.predictions_path(cell_id).exists()
        ]
        if lacking:
            yield Finding(
                "predictions",
                f"lacks those of {len(lacking)} trained cells: {some_of(lacking)}",
                f"the records stand without them; to make them again: {self._again(lacking)}",
                "noted",
            )

    def _again(self, cell_ids: Iterable[str]) -> str:
        """The options of `run` that train these cells again, and no others."""
        seeds: dict[str, list[int]] = {}
        for cell in (self.planned[cell_id] for cell_id in cell_ids if cell_id in self.planned):
            seeds.setdefault(cell["label"], []).append(cell["seed"])
        return some_of(
            [
                f"run --fresh --only {shlex.quote(escape(label))} --seeds {','.join(map(str, of_label))}"
                for label, of_label in seeds.items()
            ]
            or ["run --fresh --only LABEL --seeds N"],
            most=3,
        )

    def _finding(self, path: Path, found: str, done: str, state: State) -> Finding:
        return Finding(path.relative_to(self.folder.path).as_posix(), found, done, state)
