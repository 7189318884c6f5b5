"""Results folders without training: what a run would have written of every cell, in a moment."""

from pathlib import Path
from typing import Any

import numpy as np

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Cell
from nin_bench.grid import Grid
from nin_bench.results import Record, ResultsFolder
from nin_bench.results.cost_entry import CostEntry
from nin_bench.runner.record import make_record
from tests.costs_fixture import CPU, cost_entry
from tests.predictions_fixture import write_predictions

GRID = """\
# Question: does a folder survive what is done to it?
schema: 1
name: tiny
data: {{name: digits}}
recipe: {{epochs: 1, batch_size: 64, lr: 0.1, momentum: 0.9}}
seeds: {seeds}
models:
  - {{name: mlp, hidden: [8, 16]}}
"""


class Stub:
    """A grid in a folder of its own, and the results of its cells."""

    def __init__(self, root: Path, seeds: int = 4) -> None:
        self.path = root / "grid.yaml"
        self.path.write_text(GRID.format(seeds=seeds))
        self.folder = ResultsFolder(root / "results" / "tiny" / "full")
        self.load()

    def load(self) -> None:
        """Read the grid's file, which may have been changed."""
        self.grid = Grid.load(self.path, RegistryCatalog(self.path.parent))

    @property
    def ids(self) -> list[str]:
        return [cell.cell_id for cell in self.grid.cells]

    def write_all(self) -> None:
        """As a finished run leaves it."""
        self.folder.write_grid(self.grid.resolved("cpu", CPU))
        for variant in self.grid.variants:
            self.folder.write_cost(
                variant.variant_id, variant.label, CostEntry.model_validate(cost_entry()), is_whole=True
            )
        for cell in self.grid.cells:
            record, predictions = result_of(cell)
            write_predictions(self.folder, cell.cell_id, predictions)
            self.folder.write_record(record)

    def files(self) -> dict[str, bytes]:
        """Every file but the lock's, by its path."""
        found = (path for path in self.folder.path.rglob("*") if not path.name.startswith(".lock"))
        return {
            path.relative_to(self.folder.path).as_posix(): path.read_bytes() for path in found if path.is_file()
        }


def result_of(cell: Cell) -> tuple[Record, dict[str, Any]]:
    """A record and predictions, the same for the same cell but for the record's times."""
    draw = np.random.default_rng(int(cell.cell_id, 16))
    label = draw.integers(0, 10, 359).astype(np.int16)
    predicted = np.where(draw.random(359) < 0.9, label, (label + 1) % 10).astype(np.int16)
    predictions = {
        "predicted": predicted, "credit": np.ones(359, np.float32), "probability": draw.random(359, np.float32),
        "label": label,
    }  # fmt: skip
    losses = {"train_loss": 0.4 + draw.random() / 10, "test_loss": 0.5 + draw.random() / 10}
    metrics = {
        **losses, "test_accuracy": float((predicted == label).mean()), "train_accuracy": 0.95,
        "validation_accuracy": 0.9, "validation_loss": 0.5, "num_params": 4810, "num_macs": 4736,
        "chance_loss": 2.3, "chance_accuracy": 0.1, "escaped": True, "escape_epoch": 0.2, "failed": False,
        "num_dead_maps": 0, "num_steps": 20, "train_seconds": 1.5, "observed_images_per_second": 800.0,
    }  # fmt: skip
    history = [{"epoch": 1, "train_loss": losses["train_loss"], "validation_accuracy": 0.9, "seconds": 1.5}]
    now = "2026-01-01T00:00:00+00:00"
    record = make_record(
        cell, "trained", started_at=now, metrics=metrics, history=history, environment={"device": "cpu"}
    )
    return record, predictions
