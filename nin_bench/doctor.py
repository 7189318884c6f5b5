"""Examine a results folder under its lock, and repair what can be repaired. Imports no torch."""

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from glob import escape
from pathlib import Path
from typing import Literal

from nin_bench.cell import Cell
from nin_bench.checkpoint import check_checkpoint
from nin_bench.data.pictures import PictureFolder
from nin_bench.data.sources import data_root
from nin_bench.errors import InputError, ResultsError, some_of
from nin_bench.files import DamagedFileError, NewerFileError, quarantine, quarantine_path, remove_file
from nin_bench.results import Record, ResolvedGrid, ResultsFolder
from nin_bench.results.folder import OUTDATED, PARTS
from nin_bench.results.folder_lock import HOLDER, lock_holder, sole_writer
from nin_bench.results.predictions import check_predictions
from nin_bench.results.replays import Replays
from nin_bench.results.studies import SearchConfig, StudySummary

RUN_PARTS = tuple(part for part in PARTS if part != "studies")

State = Literal["repaired", "noted", "open"]
"""`repaired`: mended or quarantined. `noted`: worth knowing, and not wrong. `open`: a person has to decide."""


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


def examine(path: Path, *, data_dir: Path | None = None, dry_run: bool = False) -> list[Finding]:
    """Go through a results folder, quarantine what is damaged and clear away what a killed process left.

    Nothing whole is touched: records of cells that the grid does not plan stay, as does what lies behind a link.
    The user's pictures that the grid names are read again, every byte, and what was kept of them is verified.

    Raises:
        ResultsError: no results folder, in use (it says by whom), or it cannot be written.
    """
    if not any(os.path.lexists(path / name) for name in ("grid.json", "search.json", *PARTS)):
        raise ResultsError(f"{path}: not a results folder (no grid.json); give one <root>/<grid>/<profile>")
    holder = lock_holder(path)
    if dry_run and holder is not None:
        raise ResultsError(f"{path}: in use by {holder}; wait until it ends")
    left = os.path.lexists(path / HOLDER) and holder is None
    with nullcontext() if dry_run else sole_writer(path):
        examination = _Examination(ResultsFolder(path), data_dir, dry_run)
        killed = Finding(HOLDER, "was left by a process that was killed", examination.would("removed"), "repaired")
        return [*([killed] if left else []), *examination.findings()]


@dataclass
class _Examination:
    """What is known so far of one folder."""

    folder: ResultsFolder
    data_dir: Path | None
    dry_run: bool

    def __post_init__(self) -> None:
        self.misplaced = {wrong.part: wrong for wrong in self.folder.misplaced()}
        self.records: dict[str, Record] = {}
        """The records that are whole, by their cell's id."""
        self.unreadable: set[str] = set()
        """Ids of cells whose records the system refuses."""
        self.planned: Mapping[str, Cell] = {}
        """`ResolvedGrid.planned_cells`; empty if the grid is not known."""
        self.search: SearchConfig | None = None
        self.contradicted: dict[str, str] = {}
        """Cells whose predictions and record are both whole, and not of each other; what differs."""

    def findings(self) -> Iterator[Finding]:
        leftovers = self.folder.leftovers() if self.dry_run else self.folder.remove_leftovers()
        for removed in leftovers:
            found = "was being written when its process was killed"
            yield self._finding(removed, found, self.would("removed"), "repaired")
        for part, wrong in self.misplaced.items():
            yield Finding(part, wrong.found, wrong.remedy, "open")
        searched = os.path.lexists(self.folder.search_path) or bool(self._files("studies", ".json"))
        if not searched or any(os.path.lexists(self.folder.path / name) for name in ("grid.json", *RUN_PARTS)):
            yield from self._examine_run()
        if searched:
            yield from self._examine_search()

    def would(self, done: str) -> str:
        """What is done; in a dry run, what would be."""
        return f"would be {done}" if self.dry_run else done

    def _examine_run(self) -> Iterator[Finding]:
        try:
            self.planned = ResolvedGrid.read(self.folder.grid_path).planned_cells
        except FileNotFoundError:
            yield self._no_grid("is missing")
        except DamagedFileError as damage:
            yield self._no_grid(str(damage))
        except ResultsError as refusal:
            yield self._refused(self.folder.grid_path, refusal)
        yield from self._examine("cells", ".json", self._read_record)
        if self.planned:
            yield from self._compare_with_plan()
        yield from self._examine(
            "checkpoints", ".ckpt", lambda name: check_checkpoint(self.folder.checkpoints_path / f"{name}.ckpt")
        )
        yield from self._examine(
            "weights", ".ckpt", lambda cell_id: check_checkpoint(self.folder.state_path(cell_id))
        )
        # Predictions are judged by their records, so these must have been seen.
        if not self.misplaced.keys() & {"cells", "predictions"}:
            yield from self._examine("predictions", ".npz", self._read_predictions)
            yield from self._examine("probes", ".json", self._read_probes)
            yield from self._contradictions()
            yield from self._missing_predictions()
        yield from self._examine("costs", ".json", self.folder.read_costs)
        yield from self._examine_replays()
        yield from self._examine_pictures()

    def _examine_pictures(self) -> Iterator[Finding]:
        """Whether the cells' pictures are there, byte for byte, and what is kept of them."""
        specs = {(cell.data.folder, cell.data.content) for cell in self.planned.values() if cell.data.folder}
        for folder, content in sorted((folder, content) for folder, content in specs if folder and content):
            try:
                pictures = PictureFolder.find(data_root(self.data_dir) / folder)
                found, changed = pictures.verify(remembers=not self.dry_run)
            except InputError as refusal:
                told = " ".join(str(refusal).split())
                yield Finding(folder, f"cannot be compared: {told}", "say where it is by --data-dir", "noted")
                continue
            path = pictures.path
            if changed:
                names = some_of(changed)
                done = "put back what was changed, or run the grid again: its cells are then others"
                unseen = f"changed, with the same size and time of change: {names}"
                yield Finding(str(path), unseen, done, "open")
            elif found != content:
                done = "put the pictures back, or run the grid again: its cells are then others"
                yield Finding(str(path), "holds other pictures than the cells were trained on", done, "open")
            for damaged in pictures.kept(content).damaged():
                if not self.dry_run:
                    remove_file(damaged)
                done = f"{self.would('removed')}; the next run decodes the pictures again"
                yield Finding(str(damaged), "is not what was decoded: it has another checksum", done, "repaired")

    def _examine_replays(self) -> Iterator[Finding]:
        path = self.folder.replay_path
        with suppress(FileNotFoundError):
            yield from self._check(path, lambda: Replays.read(path), "replay again")

    def _examine_search(self) -> Iterator[Finding]:
        path = self.folder.search_path

        def read() -> None:
            self.search = SearchConfig.read(path)

        try:
            yield from self._check(path, read, "the next search writes it anew")
        except FileNotFoundError:
            yield self._finding(path, "is missing", "put a copy back, or search its grid again", "open")
        yield from self._examine("studies", ".json", self._read_study)
        if self.search is not None:
            for path in self._files("studies", ".json"):
                if path.stem not in self.search.variants_by_id:
                    found = "is of a variant that this search does not plan"
                    yield self._finding(path, found, "left alone", "noted")

    def _read_study(self, variant_id: str) -> None:
        study = StudySummary.read(self.folder.study_path(variant_id))
        if self.search is not None and variant_id in self.search.variants_by_id:
            study.check_is_of(self.search.variants_by_id[variant_id], self.search)

    def _no_grid(self, found: str) -> Finding:
        return self._finding(
            self.folder.grid_path,
            f"{found}; which cells were planned, and what was claimed before the first run, is lost with it",
            "put a copy back, or move it away and run its grid again: records stay, hypotheses are locked anew",
            "open",
        )

    def _examine(self, part: str, suffix: str, read: Callable[[str], object]) -> Iterator[Finding]:
        """Read every file of a folder, and quarantine those that are damaged."""
        for path in self._files(part, suffix):
            runs_again = part == "cells" and path.stem in self.planned
            yield from self._check(path, partial(read, path.stem), "its cell runs again" if runs_again else "")

    def _check(self, path: Path, read: Callable[[], object], then: str) -> Iterator[Finding]:
        """Read a file; a damaged one is quarantined, and told with what comes of it."""
        try:
            read()
        except NewerFileError as newer:
            yield self._finding(path, str(newer), "a newer nin_bench wrote it, so update this one", "open")
        except DamagedFileError as damage:
            kept = quarantine_path(path) if self.dry_run else quarantine(path, str(damage))
            done = self.would(f"quarantined as {kept.name}")
            yield self._finding(path, str(damage), f"{done}; {then}" if then else done, "repaired")
        except ResultsError as refusal:
            self.unreadable.add(path.stem)
            yield self._refused(path, refusal)

    def _refused(self, path: Path, refusal: ResultsError) -> Finding:
        found, _, remedy = str(refusal).removeprefix(f"{path}: ").partition("; ")
        return self._finding(path, found, remedy, "open")

    def _files(self, part: str, suffix: str) -> list[Path]:
        paths = [] if part in self.misplaced else sorted((self.folder.path / part).glob(f"*{suffix}"))
        return [path for path in paths if not path.name.endswith(OUTDATED)]

    def _read_record(self, cell_id: str) -> None:
        if record := self.folder.read_record(cell_id):
            self.records[cell_id] = record

    def _read_predictions(self, cell_id: str) -> None:
        predictions = self.folder.read_predictions(cell_id)
        if predictions is None or cell_id in self.unreadable:
            return
        record = self.records.get(cell_id)
        if record is None:
            raise DamagedFileError("belongs to no record")
        if record.outcome != "trained":
            raise DamagedFileError(f"belongs to no record: that of its cell says {record.outcome}")
        try:
            check_predictions(predictions, record)
        except DamagedFileError as contradiction:
            self.contradicted[cell_id] = str(contradiction)

    def _read_probes(self, cell_id: str) -> None:
        if cell_id not in self.unreadable:
            if cell_id not in self.records:
                raise DamagedFileError("belongs to no record")
            self.folder.read_probes(self.records[cell_id])

    def _contradictions(self) -> Iterator[Finding]:
        """Which of the two is true, no file tells: neither is touched."""
        for cell_id, found in self.contradicted.items():
            again = f"put back what was changed, or make both again: {self._again([cell_id])}"
            yield self._finding(self.folder.predictions_path(cell_id), found, again, "open")

    def _compare_with_plan(self) -> Iterator[Finding]:
        for cell_id, record in self.records.items():
            path = self.folder.record_path(cell_id)
            if cell_id not in self.planned:
                yield self._finding(path, "is of a cell that is no longer in the grid", "left alone", "noted")
            elif not record.is_of(self.planned[cell_id]):
                yield self._finding(
                    path, "is of another experiment: a default has changed", "the next run replaces it", "noted"
                )

    def _missing_predictions(self) -> Iterator[Finding]:
        lacking = [
            cell_id
            for cell_id, record in self.records.items()
            if record.outcome == "trained" and not self.folder.predictions_path(cell_id).exists()
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
            seeds.setdefault(cell.label, []).append(cell.seed)
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
