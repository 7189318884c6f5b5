"""Folders in which grids are run until a fault hits, and what has to hold in them after."""

import re
from pathlib import Path
from typing import Any

from nin_bench.files import DamagedFileError
from nin_bench.results import ResultsFolder, load_results
from tests.cells import repeated

STUBS = """
schema: 1
name: stubs
data: {name: digits}
recipe: {epochs: 3}
seeds: 2
models:
  - {name: mlp, hidden: [8, 16, 32]}
"""
NETWORKS = """
schema: 1
name: networks
data: {name: digits, resolution: 12, train_size: 600}
recipe: {epochs: 3, batch_size: 16, lr: 0.05, momentum: 0.9}
seeds: 1
models:
  - {name: nin_mnist, width: 0.25, pointwise: [0, 1]}
  - {name: lenet, batch_norm: true}
"""
ONE_NETWORK = """
schema: 1
name: one
data: {name: digits, train_size: 60, validation_size: 20}
recipe: {epochs: 2, batch_size: 20, lr: 0.05, momentum: 0.9}
seeds: 1
models:
  - {name: mlp, hidden: 256}
"""


class Place:
    """A folder with a grid, and all that its runs leave."""

    def __init__(self, path: Path, grid: str) -> None:
        path.mkdir(parents=True, exist_ok=True)
        (path / "grid.yaml").write_text(grid)
        self.path = path
        self.log = path / "log"

    def __str__(self) -> str:
        return str(self.path)

    def results(self) -> ResultsFolder:
        """Where `scenarios` let results go, or else the command line."""
        (found,) = (path.parent for path in self.path.rglob("grid.json"))
        return ResultsFolder(found)

    def printed(self) -> str:
        """What processes printed since this was last asked for."""
        text = self.log.read_text() if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        return text

    def table(self) -> list[Any]:
        """What the records say, but for times and how many attempts it took."""
        records = load_results(self.results().path).records
        return [
            (
                record.cell_id,
                record.outcome,
                repeated(record.metrics),
                [repeated(row) for row in record.history],
                {name: array.tolist() for name, array in self._predictions(record.cell_id).items()},
            )
            for record in records
        ]

    def _predictions(self, cell_id: str) -> dict[str, Any]:
        return self.results().read_predictions(cell_id) or {}

    def acknowledged(self) -> set[str]:
        """The cells that a run told to be trained."""
        path = self.path / "acknowledged"
        lines = path.read_text().splitlines() if path.exists() else []
        told = [line.split()[0] for line in lines if line.endswith(" trained")]
        assert len(told) == len(set(told)), "a cell was trained twice"
        return set(told)

    def check(self) -> None:
        """Every file has all its content; what was acknowledged is there."""
        for path in self.path.rglob("cells/*.json"):
            try:
                record = self.results().read_record(path.stem)
            except DamagedFileError as damage:
                raise AssertionError(f"{path.name} {damage}") from damage
            assert record is not None
            if record.outcome == "trained":
                assert self._predictions(path.stem)
        for cell_id in self.acknowledged():
            record = self.results().read_record(cell_id)
            assert record is not None
            assert record.outcome == "trained"

    def temporary_files(self) -> set[str]:
        """What processes were writing when they were killed."""
        return {path.name for path in self.path.rglob(".*") if re.search(r"\.tmp$", path.name)}
