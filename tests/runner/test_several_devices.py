"""Cells that several devices train together: real processes, real kills, and one process as the reference."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from nin_bench.catalog import RegistryCatalog
from nin_bench.data import describe_data
from nin_bench.environment import describe_machine
from nin_bench.errors import InputError
from nin_bench.executors import Slot
from nin_bench.grid import Grid
from nin_bench.results import Record, ResultsFolder, load_results
from nin_bench.runner.events import CellResumed, EpochEnded, Event
from nin_bench.runner.messages import Assignment, CheckpointPolicy
from nin_bench.runner.run import RunSummary, run_grid
from nin_bench.runner.session import RunOptions, check_slots
from nin_bench.runner.worker import run_cell
from nin_bench.training.trainer import make_network
from tests.cells import repeated
from tests.costs_fixture import cost_entry, write_costs
from tests.processes import linux, still_running_after

# Thirteen batches, which two devices cannot halve: twelve of 99 images, and one of one.
GRID = """
schema: 1
name: shared
data: {name: digits, train_size: 1189}
recipe:
  epochs: 2
  batch_size: 99
  lr: 0.02
  init: kaiming_normal
  momentum: 0.9
  augmentation: crop_flip
  mixup: 0.2
  label_smoothing: 0.1
  clip_norm: 2.0
  ema: 0.8
seeds: 1
models: [{name: nin_mnist, width: 0.25, dropout: 0.2, final_relu: false}]
"""


class Shared:
    """A run of the grid, in a folder of its own."""

    def __init__(self, folder: Path, text: str = GRID) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "grid.yaml").write_text(text)
        self.grid = Grid.load(folder / "grid.yaml", RegistryCatalog())
        self.folder = ResultsFolder(folder / "results" / "shared" / "full")
        self.events: list[Event] = []

    def run(self, on_epoch: Callable[[], None] = lambda: None, **options: object) -> RunSummary:
        def listen(event: Event) -> None:
            self.events.append(event)
            if isinstance(event, EpochEnded) and event.row["epoch"] == 1:
                on_epoch()

        given = {"device": "cpu", "workers": 2, "measure": False, "devices_per_cell": 2, **options}
        return run_grid(self.grid, self.folder, RunOptions(**given), listen)

    @property
    def record(self) -> Record:
        (record,) = load_results(self.folder.path).records
        return record

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return torch.load(self.folder.weights_path(self.record.cell_id), weights_only=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The grid, run by two devices together from its start to its end; its costs were measured before."""
    shared = Shared(tmp_path_factory.mktemp("whole"))
    shared.folder.path.mkdir(parents=True)
    entry = cost_entry(machine=describe_machine("cpu"))
    write_costs(shared.folder.path, shared.grid.cells[0].variant_id, entry)
    shared.run(keep_weights=True)
    return shared


def test_two_devices_train_to_the_weights_of_one(whole: Shared, tmp_path: Path):
    policy = CheckpointPolicy(weights=tmp_path / "weights")
    alone = run_cell(Assignment(whole.grid.cells[0], policy=policy)).record
    record, theirs = whole.record, torch.load(tmp_path / "weights", weights_only=True)
    assert (record.outcome, record.cell_id) == ("trained", alone.cell_id)
    assert whole.weights.keys() == theirs.keys()
    cell = whole.grid.cells[0]
    first = make_network(cell, describe_data(cell.data, None), torch.device("cpu")).state_dict()
    for name, weights in whole.weights.items():
        torch.testing.assert_close(weights, theirs[name], rtol=1e-4, atol=1e-5)
        assert (weights - first[name]).abs().max() > 1e-3
    assert record.lasting().keys() == alone.lasting().keys()
    for ours, one in zip(record.history, alone.history, strict=True):
        assert ours.train_loss == pytest.approx(one.train_loss, rel=1e-5)
        assert ours.validation_loss == pytest.approx(one.validation_loss, rel=1e-5)
    assert record.metrics.test_loss == pytest.approx(alone.metrics.test_loss, rel=1e-5)


def test_a_record_says_how_many_devices_and_how_well_they_scale(whole: Shared):
    record, devices = whole.record, whole.record.devices
    (entry,) = whole.folder.read_costs(record.variant_id).entries
    assert (devices.count, devices.one_device_images_per_second) == (2, entry.train.images_per_second.median)
    assert devices.images_per_second == record.metrics.observed_images_per_second
    efficiency = devices.images_per_second / (2 * devices.one_device_images_per_second)
    assert devices.scaling_efficiency == efficiency > 0
    assert record.attempts[0].estimated_seconds is None


def test_two_devices_that_were_stopped_go_on_to_the_same_bits(whole: Shared, tmp_path: Path):
    stopped = Shared(tmp_path)
    summary = stopped.run(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert (summary.signal_number, stopped.record.outcome) == (signal.SIGTERM, "interrupted")
    assert 13 <= stopped.record.metrics.num_steps < 26
    assert stopped.run().outcomes == {"trained": 1}
    assert [event.is_resumed for event in stopped.events if isinstance(event, CellResumed)] == [True]
    ours, theirs = stopped.record, whole.record
    assert repeated(ours.metrics) == repeated(theirs.metrics)
    assert [repeated(row) for row in ours.history] == [repeated(row) for row in theirs.history]
    assert ours.devices.images_per_second > 0


def processes_of_cells() -> list[psutil.Process]:
    """Those that train together: children of a launcher, which is a child of this process's forkserver."""
    everybody = psutil.Process().children(recursive=True)
    return sorted(
        (one for one in everybody if len(one.parents()) == len(psutil.Process().parents()) + 3),
        key=lambda one: one.pid,
    )


@linux
@pytest.mark.parametrize("number", [0, 1, None])
def test_a_process_that_is_killed_ends_its_cell_and_the_others(tmp_path: Path, number: int | None):
    shared, pids = Shared(tmp_path, GRID.replace("epochs: 2", "epochs: 100")), []

    def kill_one() -> None:
        processes = processes_of_cells()
        pids.extend(one.pid for one in processes)
        victim = processes[0].parent() if number is None else processes[number]
        victim.kill()

    assert shared.run(kill_one).outcomes == {"crashed": 1}
    error = shared.record.attempts[0].error
    if number is None:
        assert error.startswith("its process was killed by SIGKILL")
    else:
        assert error == (
            f"its process ended with status 1: process {number + 1} of 2 that train the cell was killed by SIGKILL"
        )
    assert len(pids) == 2
    assert not still_running_after(5, pids)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_seeds": 2}, "--batch-seeds"),
        ({"ray_address": "auto"}, "--executor ray"),
        ({"workers": 1}, "there is only 1 worker here; raise --workers"),
    ],
)
def test_what_does_not_go_together_is_refused_before_a_folder_is_made(tmp_path: Path, options, words: str):
    shared = Shared(tmp_path)
    with pytest.raises(InputError, match=words):
        shared.run(**options)
    assert not shared.folder.path.exists()


def test_a_network_that_cannot_be_shared_is_refused_by_name(tmp_path: Path):
    text = GRID.replace(
        "{name: nin_mnist, width: 0.25, dropout: 0.2, final_relu: false}", "{name: lenet, batch_norm: true}"
    )
    with pytest.raises(InputError, match=r"--devices-per-cell: lenet.*batch normalisation"):
        Shared(tmp_path, text.replace("train_size", "resolution: 12, train_size")).run()


def test_each_accelerator_has_one_worker():
    options = RunOptions(devices_per_cell=2)
    check_slots([Slot("cuda:0"), Slot("cuda:1")], options)
    with pytest.raises(InputError, match="leave --workers out"):
        check_slots([Slot("cuda:0"), Slot("cuda:1"), Slot("cuda:0"), Slot("cuda:1")], options)
    with pytest.raises(InputError, match="there is only 1 device here; lower it"):
        check_slots([Slot("cuda:0")], options)
