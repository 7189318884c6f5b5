"""The results folder and all in it: the grid as resolved, records, predictions, costs.

Layout: `<root>/<grid>/<profile>/` with `grid.json`, `cells/<cell-id>.json`, `predictions/<cell-id>.npz`,
`probes/<cell-id>.json`, `costs/<variant-id>.json`, `weights/<cell-id>.pt` and `checkpoints/`.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nin_bench.errors import ResultsError
from nin_bench.files import (
    DamagedFileError,
    quarantine,
    read_regular,
    remove_file,
    remove_temporary_files,
    temporary_files,
    write_atomically,
)
from nin_bench.results.cost_entry import CostEntry, CostFile
from nin_bench.results.predictions import Predictions, unpack_predictions
from nin_bench.results.probes import ProbeFile, Probes, ProbeState
from nin_bench.results.records import FINAL_OUTCOMES, Record
from nin_bench.results.replays import Replays
from nin_bench.results.schema import ResolvedGrid

PARTS = ("cells", "predictions", "probes", "costs", "checkpoints", "studies", "weights", "tensorboard")
"""The folders in a results folder."""

_Read = TypeVar("_Read")

OUTDATED = ".outdated.json"
"""How the names of records of other code end."""

REPORT_PARTS = ("report", "report/figures", "report/tables")
"""The folders of a report that is written into a results folder."""

MAX_PREDICTIONS_BYTES = 64 * 2**20
"""More than the predictions of any test set take."""


@dataclass(frozen=True)
class Misplaced:
    """A folder of ours that is none."""

    part: str
    """Which: one of `PARTS` or `REPORT_PARTS`."""
    found: str
    """What is in its place."""
    remedy: str


@dataclass(frozen=True)
class ResultsFolder:
    """One `<root>/<grid>/<profile>`: paths, and the reading and writing of single files."""

    path: Path

    @property
    def grid_path(self) -> Path:
        """The grid as resolved, its cells, and the lock on its hypotheses."""
        return self.path / "grid.json"

    def record_path(self, cell_id: str) -> Path:
        """Where a cell's record lies."""
        return self.path / "cells" / f"{cell_id}.json"

    def outdated_path(self, cell_id: str, code_digest: str) -> Path:
        """Where a cell's record of other code lies, once one of today's code has replaced it."""
        return self.path / "cells" / f"{cell_id}.{code_digest}{OUTDATED}"

    def predictions_path(self, cell_id: str) -> Path:
        """Where a cell's predictions lie."""
        return self.path / "predictions" / f"{cell_id}.npz"

    def probes_path(self, cell_id: str) -> Path:
        """Where the answers lie of a cell's network to the grid's probes."""
        return self.path / "probes" / f"{cell_id}.json"

    def weights_path(self, cell_id: str) -> Path:
        """Where a cell's final weights lie, if they were to be kept."""
        return self.path / "weights" / f"{cell_id}.pt"

    def state_path(self, cell_id: str) -> Path:
        """Where the state lies that a cell's training ended with, if it was to be kept; as checkpoints have it."""
        return self.path / "weights" / f"{cell_id}.ckpt"

    def kept_paths(self, cell_id: str) -> tuple[Path, Path]:
        """Both files that are kept of a trained network."""
        return self.weights_path(cell_id), self.state_path(cell_id)

    @property
    def checkpoints_path(self) -> Path:
        """The folder of what cells under way need to go on."""
        return self.path / "checkpoints"

    def costs_path(self, variant_id: str) -> Path:
        """Where a variant's costs lie."""
        return self.path / "costs" / f"{variant_id}.json"

    @property
    def search_path(self) -> Path:
        """What was searched."""
        return self.path / "search.json"

    def study_path(self, variant_id: str) -> Path:
        """Where the summary of a variant's study lies."""
        return self.path / "studies" / f"{variant_id}.json"

    @property
    def replay_path(self) -> Path:
        """What came of training recorded cells again."""
        return self.path / "replay.json"

    def find_replays(self) -> Replays | None:
        """What came of training recorded cells again, or None where none was; a damaged file counts as none.

        Raises:
            ResultsError: the system refused to read it.
        """
        with suppress(FileNotFoundError, DamagedFileError):
            return Replays.read(self.replay_path)
        return None

    def check_writable(self) -> None:
        """Write a file wherever a run will write, before it trains; ResultsError if a folder cannot be written."""
        for name in ("", "cells", "predictions", "costs", "checkpoints"):
            folder = self.path / name
            probe = folder / ".probe"
            write_atomically(probe, b"")
            remove_file(probe)

    def misplaced(self) -> list[Misplaced]:
        """Folders of ours that are none: what is in them must neither be sought elsewhere nor taken for lost."""
        found = []
        with suppress(OSError):  # of a name too long to be anything's
            for part in (*PARTS, *REPORT_PARTS):
                path = self.path / part
                if path.is_symlink():
                    wrong = "is a link, and none is followed in a results folder", "put the folder itself there"
                elif path.exists() and not path.is_dir():
                    wrong = "is no folder", "move it away, and put the folder back"
                elif part == "cells" and not path.exists() and any((self.path / "predictions").glob("*.npz")):
                    wrong = "is missing, and its cells' predictions are there", "put it back, or remove them too"
                else:
                    continue
                found.append(Misplaced(part, *wrong))
        return found

    def remove_leftovers(self) -> list[Path]:
        """Remove what was being written when its process was killed; only whoever holds the folder's lock may."""
        return [removed for folder in self._folders() for removed in remove_temporary_files(folder)]

    def leftovers(self) -> list[Path]:
        """What `remove_leftovers` would remove."""
        return [path for folder in self._folders() for path in temporary_files(folder)]

    def _folders(self) -> list[Path]:
        return [self.path, *(self.path / name for name in (*PARTS, *REPORT_PARTS))]

    def read_grid(self) -> ResolvedGrid:
        """The grid that the folder was last run with; ResultsError if there is none, or as `find_grid`."""
        grid = self.find_grid()
        if grid is None:
            raise ResultsError(
                f"{self.path}: not a results folder (no grid.json); give one <root>/<grid>/<profile>"
            )
        return grid

    def find_grid(self) -> ResolvedGrid | None:
        """The grid that the folder was last run with, or None where it was never run.

        Raises:
            ResultsError: grid.json is damaged, or a folder beside it is none (`misplaced`).
        """
        for wrong in self.misplaced():
            raise ResultsError(f"{self.path / wrong.part}: {wrong.found}; {wrong.remedy}")
        try:
            return ResolvedGrid.read(self.grid_path)
        except FileNotFoundError:
            return None
        except DamagedFileError as error:
            raise ResultsError(
                f"{self.grid_path} {error}; move it away and run its grid again: its records stay"
            ) from error

    def read_record(self, cell_id: str) -> Record | None:
        """A cell's record, or None where there is none; DamagedFileError if it is torn, or of another cell."""
        try:
            record = Record.read(self.record_path(cell_id))
        except FileNotFoundError:
            return None
        record.check_id(cell_id)
        return record

    def read_record_or_quarantine(self, cell_id: str) -> tuple[Record | None, str | None]:
        """A cell's record; a damaged one is renamed, counts as absent, and is told in a sentence."""
        return _or_quarantine(self.record_path(cell_id), lambda: self.read_record(cell_id), "its cell runs again")

    def write_grid(self, grid: ResolvedGrid) -> None:
        """Store the grid as resolved."""
        grid.write(self.grid_path)

    def write_record(self, record: Record) -> None:
        """Store a record under its cell's id; one of other code that was there stays, as `outdated_path`."""
        with suppress(DamagedFileError):
            earlier = self.read_record(record.cell_id)
            code = earlier and earlier.code_digest
            if earlier and code and record.code_digest not in (None, code):
                earlier.write(self.outdated_path(record.cell_id, code))
        record.write(self.record_path(record.cell_id))

    def remove_predictions(self, cell_id: str) -> None:
        """Drop what an earlier attempt said of the test images, if it got so far."""
        remove_file(self.predictions_path(cell_id))

    def remove_weights(self, cell_id: str) -> None:
        """Drop the weights and the state of an earlier attempt, if they were kept."""
        for path in self.kept_paths(cell_id):
            remove_file(path)

    def read_predictions(self, cell_id: str) -> "Predictions | None":
        """What was said of every test image, or None where nothing is stored.

        Raises:
            DamagedFileError: the file is torn, of another schema or of another cell.
            ResultsError: the system refused to read it, or had no memory left for it.
        """
        path = self.predictions_path(cell_id)
        try:
            return unpack_predictions(read_regular(path, MAX_PREDICTIONS_BYTES), cell_id)
        except FileNotFoundError:
            return None
        except (MemoryError, OSError) as error:  # which may pass: the file is not to blame
            reason = str(error) or "no memory left"
            raise ResultsError(f"{path}: cannot be read: {reason}; try again with more memory") from error

    def read_probes(self, record: Record) -> ProbeFile | None:
        """What a record's network answered to probes, or None where nothing is stored.

        Raises:
            DamagedFileError: the file is torn, of another schema, or of another network than the record's.
        """
        try:
            found = ProbeFile.read(self.probes_path(record.cell_id))
        except FileNotFoundError:
            return None
        found.check_is_of(record)
        return found

    def probe_state(self, record: Record, asked: Probes) -> ProbeState | None:
        """Whether a record's network has answered what is asked, or still can; None if there is none to ask."""
        if record.outcome != "trained":
            return None
        with suppress(DamagedFileError):
            found = self.read_probes(record)
            if found is not None and found.asked.covers(asked):
                return "made"
        return "to make" if self.state_path(record.cell_id).exists() else "no weights"

    def remove_probes(self, cell_id: str) -> None:
        """Drop what the network of an earlier training answered."""
        remove_file(self.probes_path(cell_id))

    def read_costs(self, variant_id: str) -> CostFile | None:
        """A variant's costs, an entry for each machine that measured it; None if there are none.

        Raises:
            DamagedFileError: the file is torn, of another schema or of another variant.
        """
        try:
            return CostFile.read(self.costs_path(variant_id)).of_variant(variant_id)
        except FileNotFoundError:
            return None

    def read_cost_entry(self, variant_id: str, fingerprint: str) -> CostEntry | None:
        """What one machine measured of a variant; None if it did not. DamagedFileError as `read_costs`."""
        costs = self.read_costs(variant_id)
        return costs.entry_of(fingerprint) if costs else None

    def read_costs_or_quarantine(self, variant_id: str) -> tuple[CostFile | None, str | None]:
        """A variant's costs; a damaged file is renamed, counts as absent, and is told in a sentence."""
        path = self.costs_path(variant_id)
        return _or_quarantine(path, lambda: self.read_costs(variant_id), "its variant is measured again")

    def write_cost(self, variant_id: str, label: str, entry: CostEntry, *, is_whole: bool) -> None:
        """Store what this machine measured of a variant, as `CostFile.with_entry` puts it beside the rest."""
        costs, _ = self.read_costs_or_quarantine(variant_id)
        entries = () if costs is None else costs.entries
        file = CostFile(variant_id=variant_id, label=label, entries=entries)
        file.with_entry(entry, is_whole=is_whole).write(self.costs_path(variant_id))

    def final_cells(self, grid: ResolvedGrid) -> set[str]:
        """Ids of the planned cells that have a final record; damaged ones count as absent."""
        found = set()
        for cell in grid.cells:
            with suppress(DamagedFileError):
                record = self.read_record(cell.cell_id)
                if record is not None and record.outcome in FINAL_OUTCOMES:
                    found.add(cell.cell_id)
        return found

    def record_ids(self) -> list[str]:
        """Ids of the cells that have a record, sorted; records are not read, and those set aside do not count."""
        paths = (self.path / "cells").glob("*.json")
        return sorted(path.stem for path in paths if not path.name.endswith(OUTDATED))


def _or_quarantine(path: Path, read: Callable[[], _Read | None], then: str) -> tuple[_Read | None, str | None]:
    """What is read from a file; a damaged one is quarantined, and told with what comes of it."""
    try:
        return read(), None
    except DamagedFileError as error:
        kept = quarantine(path, str(error))
        return None, f"{path.parent.name}/{path.name} {error}; quarantined as {kept.name}, {then}"
