"""The same grid on this machine and on two nodes of a Ray cluster, which share nothing with its driver."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from nin_bench.catalog import RegistryCatalog
from nin_bench.data.carried import FOLDER
from nin_bench.grid import Grid
from nin_bench.models import list_models, use_own_file
from nin_bench.plugins import registered
from nin_bench.results import Record, ResultsFolder
from nin_bench.runner.events import CellEnded, CellResumed, CellStarted, EpochEnded, Event
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions
from tests.processes import linux

ray_nodes = pytest.importorskip("tests.ray_nodes")
pytestmark = [linux, pytest.mark.extra]

GRID = """
schema: 1
name: pictures
data: {name: image_folder, folder: digits, resolution: 28, validation_size: 10}
recipe: {epochs: 2, batch_size: 20, lr: 0.05, momentum: 0.9}
seeds: 3
models:
  - {name: lenet, batch_norm: true}
  - {name: mine, hidden: 16}
"""
EPOCHS = 100
LONG = GRID.partition("seeds:")[0].replace("epochs: 2", f"epochs: {EPOCHS}") + "seeds: 1\nmodels: [{name: slow}]\n"
MINE = """
import os
import time
from pathlib import Path

from torch import nn

from nin_bench import register_model
from parts import dense


class Crawl(nn.Module):
    \"\"\"From the fourth epoch of six steps on it crawls while a folder is there, and leaves a file in it.\"\"\"

    calls = 0

    def forward(self, images):
        self.calls += self.training
        if self.training and self.calls > 20 and Path({slow!r}).exists():
            Path({slow!r}, str(os.getpid())).touch()
            time.sleep(0.2)
        return images


@register_model
def slow(image):
    layers = dense(image.channels * image.resolution**2, 16, image.num_classes)
    return nn.Sequential(Crawl(), nn.Flatten(), *layers)


@register_model
def mine(image, *, hidden: int = 8):
    return nn.Sequential(nn.Flatten(), *dense(image.channels * image.resolution**2, hidden, image.num_classes))
"""
PARTS = """
from torch import nn


def dense(num_inputs, hidden, num_outputs):
    return nn.Linear(num_inputs, hidden), nn.ReLU(), nn.Linear(hidden, num_outputs)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver's folder: pictures of two digits, and a network in a file of one's own."""
    place = tmp_path_factory.mktemp("driver")
    digits = load_digits()
    for label in (3, 8):
        for split, chosen in (("train", slice(0, 60)), ("test", slice(60, 80))):
            folder = place / "data" / "digits" / split / str(label)
            folder.mkdir(parents=True)
            for number, pixels in enumerate(digits.images[digits.target == label][chosen]):
                Image.fromarray((pixels * 15).astype(np.uint8)).save(folder / f"{number}.png")
    (place / "mine.py").write_text(MINE.format(slow=str(place / "slow")))
    (place / "parts.py").write_text(PARTS)
    (place / "grid.yaml").write_text(GRID)
    (place / "long.yaml").write_text(LONG)
    (place / "two.yaml").write_text(LONG.replace("seeds: 1", "seeds: 2"))
    return place


@pytest.fixture(scope="module", autouse=True)
def _own_models(place: Path) -> Iterator[None]:
    """The file's network is known, and forgotten afterwards."""
    list_models()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registered, "model", dict(registered["model"]))
        patch.setenv("NIN_BENCH_MODELS", "")
        use_own_file(place / "mine.py")
        yield
    for name in ("own_models.mine", "parts"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ray_nodes.ray_nodes(tmp_path_factory.mktemp("nodes"), [1, 1]) as started:
        yield started


def load(place: Path, name: str) -> Grid:
    return Grid.load(place / name, RegistryCatalog(place / "data"))


def run(
    place: Path, name: str, folder: ResultsFolder, on_event: Any = lambda event: None, **options: Any
) -> list[Record]:
    """Run a grid; the records of its cells."""
    grid = load(place, name)
    options = {"device": "cpu", "data_dir": place / "data", "measure": False, **options}
    run_grid(grid, folder, RunOptions(**options), on_event)
    records = [folder.read_record(cell.cell_id) for cell in grid.cells]
    assert all(record is not None for record in records)
    return [record for record in records if record]


def predictions(folder: ResultsFolder, record: Record) -> dict[str, Any]:
    return {name: array.tolist() for name, array in (folder.read_predictions(record.cell_id) or {}).items()}


@pytest.fixture(scope="module")
def long_alone(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The record of the long cell, trained on this machine without a break."""
    (record,) = run(place, "long.yaml", ResultsFolder(tmp_path_factory.mktemp("alone")), workers=1)
    return record


def test_two_nodes_give_the_same_records_bit_for_bit(place, nodes, tmp_path):
    here, there = ResultsFolder(tmp_path / "here"), ResultsFolder(tmp_path / "there")
    # Of three seeds two are trained as one batched model, and one alone.
    kept = {"keep_weights": True, "checkpoint_seconds": 0.0, "batch_seeds": 2}
    expected = run(place, "grid.yaml", here, workers=1, **kept)
    found = run(place, "grid.yaml", there, ray_address=nodes.address, measure=True, num_rounds=1, **kept)
    assert [record.lasting() for record in found] == [record.lasting() for record in expected]
    for ours, theirs in zip(expected, found, strict=True):
        assert predictions(there, theirs) == predictions(here, ours) != {}
        assert there.weights_path(ours.cell_id).read_bytes() == here.weights_path(ours.cell_id).read_bytes()
        assert there.state_path(ours.cell_id).exists()
        assert theirs.code_digest == ours.code_digest
        assert theirs.environment["commit"] == ours.environment["commit"]
        differing = {key for key in theirs.environment if theirs.environment[key] != ours.environment.get(key)}
        assert differing <= {"node", "workers"}
    assert len({record.environment["node"] for record in found}) == 2
    assert {record.batched_seeds for record in found if record.cell.model.name == "mine"} == {None, 2}
    for variant_id in {record.variant_id for record in found}:
        costs = there.read_costs(variant_id)
        assert costs is not None
        (cost,) = costs.entries  # of one of the nodes, which are of a kind
        assert (cost.error, cost.num_rounds, cost.setting.num_workers) == (None, 1, 1)
    assert list(there.checkpoints_path.glob("*")) == []
    # Each node was sent the pictures once, and kept them.
    kept_by = sorted(nodes.folder.glob(f"*/{FOLDER}/*/about.json"))
    assert [path.parents[2].name for path in kept_by] == ["data of node 0", "data of node 1"]


class Slow:
    """While it lasts, long cells crawl from their fourth epoch on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def wait_for(self, num_cells: int, driver: "subprocess.Popen[str]") -> None:
        """Wait until so many cells crawl."""
        while len(list(self._folder.iterdir())) < num_cells:
            assert driver.poll() is None
            time.sleep(0.05)

    def end(self) -> None:
        """Have them go on as fast as they can."""
        with suppress(FileNotFoundError):
            self._folder.rename(self._folder.with_name(f"slow {time.monotonic_ns()}"))


@pytest.fixture
def slow(place: Path) -> Iterator[Slow]:
    slow = Slow(place / "slow")
    yield slow
    slow.end()


def test_a_cell_whose_node_is_killed_goes_on_on_another(place, nodes, tmp_path, long_alone, slow):
    started: list[str] = []
    resumed: list[int] = []
    ended: list[str] = []

    def listen(event: Event) -> None:
        match event:
            case CellStarted():
                started.append(event.slot.node)
            case EpochEnded() if event.row["epoch"] == 3 and not resumed:
                nodes.kill(started[0])
                slow.end()
            case CellResumed():
                resumed.append(len(event.history))
            case CellEnded():
                ended.append(event.record.outcome)

    options = {"checkpoint_seconds": 0.0, "ray_address": nodes.address}
    (record,) = run(place, "long.yaml", ResultsFolder(tmp_path), listen, **options)
    assert len(set(started)) == len(started) == 2
    assert 1 <= resumed[0] < EPOCHS
    assert ended == ["trained"]
    assert [attempt.outcome for attempt in record.attempts] == ["trained"]
    assert record.environment["node"] == started[1]
    assert record.lasting() == long_alone.lasting()


DRIVER = """
import sys
from pathlib import Path

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from nin_bench.models import use_own_file
from nin_bench.results import ResultsFolder
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions

address, results = sys.argv[1:]
use_own_file(Path("mine.py"))
grid = Grid.load(Path("long.yaml"), RegistryCatalog(Path("data")))
options = RunOptions(
    device="cpu", data_dir=Path("data"), measure=False, checkpoint_seconds=0.0, ray_address=address
)
run_grid(grid, ResultsFolder(Path(results)), options, lambda event: print(type(event).__name__, flush=True))
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ray_nodes.ROOT)}


def command(grid: str, address: str, results: Path) -> list[str]:
    """The command that runs a grid on a cluster."""
    return [
        sys.executable, "-m", "nin_bench", "run", grid, "--models", "mine.py", "--data-dir", "data",
        "--device", "cpu", "--no-measure", "--results", str(results),
        "--executor", "ray", "--ray-address", address,
    ]  # fmt: skip


def recorded(place: Path, grid: str, results: Path) -> list[Record]:
    folder = ResultsFolder(results / "pictures" / "full")
    records = [folder.read_record(cell.cell_id) for cell in load(place, grid).cells]
    return [record for record in records if record]


def test_a_driver_that_is_killed_is_resumed_by_the_same_command(place, nodes, tmp_path, long_alone, slow):
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, nodes.address, str(tmp_path / "pictures" / "full")],
        cwd=place,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout is not None
    told = [line for line, _ in zip(iter(driver.stdout.readline, "EpochEnded\n"), range(1000), strict=False)]
    assert "CellStarted\n" in told
    driver.kill()
    driver.communicate()
    slow.end()
    again = command("long.yaml", nodes.address, tmp_path)
    done = subprocess.run(again, cwd=place, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "goes on after epoch" in done.stderr
    assert "started on cpu of node " in done.stderr
    (record,) = recorded(place, "long.yaml", tmp_path)
    assert record.lasting() == long_alone.lasting()
    assert [attempt.outcome for attempt in record.attempts] == ["interrupted", "trained"]


def test_a_head_that_is_killed_ends_the_run_in_order_and_with_a_new_one_the_same_command_goes_on(
    place, tmp_path, long_alone, slow
):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ray_nodes.ray_nodes(tmp_path / "first", [1], port) as nodes:
        run = command("long.yaml", nodes.address, tmp_path)
        driver = subprocess.Popen(run, cwd=place, env=environment(), stderr=subprocess.PIPE, text=True)
        slow.wait_for(1, driver)
        nodes.kill_head()
        _, told = driver.communicate()
    assert driver.returncode == 2
    assert told.splitlines()[-1].endswith(
        f"the head of the Ray cluster is gone ({run[-1]}: Connection refused); start it again, then run "
        "the same command again"
    )
    assert "Traceback" not in told
    slow.end()
    (record,) = recorded(place, "long.yaml", tmp_path)
    assert [attempt.outcome for attempt in record.attempts] == ["interrupted"]
    with ray_nodes.ray_nodes(tmp_path / "second", [1], port):
        done = subprocess.run(run, cwd=place, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"goes on after epoch {len(record.history)}" in done.stderr
    (record,) = recorded(place, "long.yaml", tmp_path)
    assert record.lasting() == long_alone.lasting()
    assert [attempt.outcome for attempt in record.attempts] == ["interrupted", "trained"]


# Ray's connections end after 30 s in which nothing arrives; the short form has them end after 2 s.
IMPATIENT = {"RAY_grpc_keepalive_time_ms": "1000", "RAY_grpc_keepalive_timeout_ms": "1000"}


@pytest.mark.parametrize(
    ("seconds", "variables"), [(5, IMPATIENT), pytest.param(30, {}, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_a_network_that_is_cut_for_a_while_loses_nothing(place, tmp_path, slow, seconds, variables):
    with ray_nodes.ray_hosts(**variables, NIN_BENCH_DATA=str(tmp_path / "data")) as hosts:
        run_there = command("two.yaml", hosts.address, tmp_path)
        driver = hosts.popen(0, run_there, cwd=place, stderr=subprocess.PIPE)
        slow.wait_for(2, driver)
        hosts.cut()
        time.sleep(seconds)
        hosts.mend()
        slow.end()
        _, told = driver.communicate()
    assert driver.returncode == 0, told
    assert told.count("started on cpu of node") == 2  # neither was lost and began again
    found = recorded(place, "two.yaml", tmp_path)
    assert len({record.environment["node"] for record in found}) == 2
    expected = run(place, "two.yaml", ResultsFolder(tmp_path / "here"), workers=1)
    assert [record.lasting() for record in found] == [record.lasting() for record in expected]
