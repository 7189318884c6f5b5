"""Runs on a real MLflow tracking server, which keeps them in SQLite."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

pytest.importorskip("mlflow.server", reason="needs the group extras")

from mlflow import MlflowClient

from tests.listeners.conftest import ask_to_stop, curve, once

pytestmark = pytest.mark.extra


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = f"sqlite:///{folder / 'runs.db'}"
    command = ["mlflow", "server", "--backend-store-uri", store, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(f"{address}/health", process, folder / "log")
            yield address
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    while process.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_runs_stopped_and_resumed_hold_each_point_once(followed, server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    run = followed("mlflow")
    run.run(once(ask_to_stop, 2))
    client = MlflowClient(server)
    [experiment] = [one for one in client.search_experiments() if one.name == "tiny/full"]
    [stopped] = client.search_runs([experiment.experiment_id])
    assert stopped.info.status == "KILLED"
    run.run()
    runs = {one.data.tags["nin_bench.cell_id"]: one for one in client.search_runs([experiment.experiment_id])}
    trained, diverged = run.records()
    assert runs.keys() == {trained.cell_id, diverged.cell_id}
    assert runs[trained.cell_id].info.run_id == stopped.info.run_id
    for record in (trained, diverged):
        found = runs[record.cell_id]
        for name in ("train_loss", "validation_accuracy"):
            points = client.get_metric_history(found.info.run_id, name)
            assert [(one.step, one.value) for one in points] == curve(record, name)
        assert (found.info.status, found.data.tags["nin_bench.outcome"]) == ("FINISHED", record.outcome)
    assert runs[trained.cell_id].data.metrics["final/test_accuracy"] == trained.metrics.test_accuracy
    params = runs[trained.cell_id].data.params
    assert (params["model.name"], params["model.hidden"], params["recipe.epochs"], params["seed"]) == (
        "mlp", "8", "4", "0",
    )  # fmt: skip
    # What starts over is another run; that of the first attempt stays as it was.
    run.run(fresh=True)
    again = client.search_runs([experiment.experiment_id], f"tags.`nin_bench.cell_id` = '{trained.cell_id}'")
    assert len(again) == 2
    for one in again:
        assert [point.step for point in client.get_metric_history(one.info.run_id, "train_loss")] == [1, 2, 3, 4]


def test_a_server_that_is_not_there_costs_no_cell(followed, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = followed("mlflow")
    run.run()
    assert [record.outcome for record in run.records()] == ["trained", "diverged"]
    [note] = [one.getMessage() for one in caplog.records if one.name == "nin_bench.listeners"]
    assert note.startswith("listener mlflow: failed and is off (")
