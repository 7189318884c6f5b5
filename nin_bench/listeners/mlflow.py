"""MLflow: an experiment for each results folder, a run for each cell. The server is MLFLOW_TRACKING_URI's."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing is told to anybody but the user's own server

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus

from nin_bench.cell import Cell
from nin_bench.listeners import Listener
from nin_bench.listeners.cells import CellListener, Row, final_points, points
from nin_bench.results import Record

CELL_ID = "nin_bench.cell_id"
"""The tag by which a cell's run is found again."""
_LONGEST = 500
"""Letters of a parameter's value, which servers limit."""
_STATUS = {"trained": "FINISHED", "diverged": "FINISHED", "interrupted": "KILLED"}
"""The status of a run, by its cell's outcome; any other is FAILED."""


@contextmanager
def listen(folder: Path) -> Iterator[Listener]:
    """Log the cells that a run trains."""
    client = MlflowClient()
    name = "/".join(folder.resolve().parts[-2:])
    experiment = client.get_experiment_by_name(name)
    yield CellListener(_Runs(client, experiment.experiment_id if experiment else client.create_experiment(name)))


@dataclass
class _Run:
    """A run that takes points."""

    run_id: str
    epochs: set[int] = field(default_factory=set)
    """The epochs that it has."""


@dataclass(frozen=True)
class _Runs:
    """The runs of an experiment."""

    client: MlflowClient
    experiment_id: str

    def open_curve(self, cell: Cell, rows: Sequence[Row]) -> _Run:
        """Go on with the cell's last run if the cell goes on; else begin one."""
        found = self.client.search_runs(
            [self.experiment_id], f"tags.`{CELL_ID}` = '{cell.cell_id}'", order_by=["attributes.start_time DESC"]
        )
        if found and rows:
            run_id = found[0].info.run_id
            self.client.update_run(run_id, RunStatus.to_string(RunStatus.RUNNING))
            known = self.client.get_metric_history(run_id, "train_loss")
            run = _Run(run_id, {point.step for point in known})
        else:
            for earlier in found:
                if earlier.info.status == RunStatus.to_string(RunStatus.RUNNING):  # its process was killed
                    self.client.set_terminated(earlier.info.run_id, RunStatus.to_string(RunStatus.KILLED))
            run = self._begin(cell)
        for row in rows:
            self.add(run, row)
        return run

    def add(self, run: _Run, row: Row) -> None:
        if row["epoch"] not in run.epochs:
            run.epochs.add(row["epoch"])
            self._log(run, points(row), row["epoch"])

    def close_curve(self, run: _Run, record: Record) -> None:
        self._log(run, final_points(record), len(record.history))
        self.client.set_tag(run.run_id, "nin_bench.outcome", record.outcome)
        self.client.set_terminated(run.run_id, _STATUS.get(record.outcome, "FAILED"))

    def _begin(self, cell: Cell) -> _Run:
        tags = {CELL_ID: cell.cell_id, "nin_bench.label": cell.label}
        name = f"{cell.label} seed {cell.seed}"
        run_id = self.client.create_run(self.experiment_id, tags=tags, run_name=name).info.run_id
        sections: Mapping[str, Mapping[str, Any]] = {
            "model": cell.model.as_dict(), "data": cell.data.model_dump(), "recipe": cell.recipe.model_dump()
        }  # fmt: skip
        params = [Param("seed", str(cell.seed))]
        params += [
            Param(f"{section}.{key}", str(value)[:_LONGEST])
            for section, values in sections.items()
            for key, value in values.items()
            if value is not None
        ]
        self.client.log_batch(run_id, params=params)
        return _Run(run_id)

    def _log(self, run: _Run, values: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        self.client.log_batch(run.run_id, [Metric(name, value, now, step) for name, value in values.items()])
