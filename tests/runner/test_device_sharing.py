"""Cells that share accelerators, on devices that are not there: who runs beside whom, and who lacks memory."""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Cell
from nin_bench.executors import Ended, Event, Slot, Started, Task
from nin_bench.executors.occupancy import _offered
from nin_bench.failures import VariantStopped
from nin_bench.grid import Grid
from nin_bench.planning import plan_cells
from nin_bench.results import ResultsFolder, load_results
from nin_bench.results.cost_entry import CostEntry
from nin_bench.results.predictions import pack_predictions
from nin_bench.runner import events
from nin_bench.runner.cell_queue import CellQueue, CellTask
from nin_bench.runner.device_sharing import PROCESS_BYTES, DeviceMemory, needed_bytes, num_at_once, process_bytes
from nin_bench.runner.messages import Assignment, CellResult
from nin_bench.runner.record import make_record
from nin_bench.runner.run import run_grid
from nin_bench.runner.scheduler import Scheduler
from nin_bench.runner.session import RunOptions
from tests.costs_fixture import around, cost_entry
from tests.faults.stubs import Stub, result_of

GIB = 2**30


@dataclass
class FakeAccelerators:
    """An executor of devices with memory: what finds none left runs out of it, and leaves the others as they are.

    Args:
        slots: several of a device share it.
        device_bytes: that each device has.
        takes: what a cell really takes.
    """

    slots: Sequence[Slot]
    device_bytes: int
    takes: Callable[[Cell], int]
    stopping: bool = False
    most: Counter[str] = field(default_factory=Counter)
    """The most cells that ran on each device at once."""

    def run(self, next_task: Callable[[Slot], Task | None]) -> Generator[Event, None, None]:
        running: dict[str, tuple[Slot, Assignment, bool]] = {}
        while True:
            while free := [
                slot for slot in self.slots if not any(slot is used for used, _, _ in running.values())
            ]:
                task, (slot, *_) = _offered(next_task, free)
                if task is None:
                    break
                (assignment,) = task.arguments
                here = [one.cell for used, one, fits in running.values() if used.device == slot.device and fits]
                fits = sum(map(self.takes, [*here, assignment.cell])) <= self.device_bytes
                running[task.key] = (slot, assignment, fits)
                at_once = sum(used.device == slot.device for used, _, _ in running.values())
                self.most[slot.device] = max(self.most[slot.device], at_once)
                yield Started(task.key, slot)
            if not running:
                return
            key = next(iter(running))  # the one that began first
            slot, assignment, fits = running.pop(key)
            yield Ended(key, "returned", trained(assignment) if fits else out_of_memory(assignment))

    def answer(self, key: str, content: object) -> None:
        raise AssertionError("no cell asks")

    def stop(self) -> None:
        self.stopping = True


def trained(assignment: Assignment) -> CellResult:
    record, predictions = result_of(assignment.cell)
    attempts = (*assignment.earlier_attempts, *record.attempts)
    return CellResult(
        record.model_copy(update={"attempts": attempts}), pack_predictions(predictions, record.cell_id)
    )


def out_of_memory(assignment: Assignment) -> CellResult:
    error, attempts = "OutOfMemoryError: tried to allocate 20 MiB", assignment.earlier_attempts
    return CellResult(
        make_record(assignment.cell, "out_of_memory", started_at="", error=error, earlier_attempts=attempts)
    )


@dataclass
class Ran:
    folder: Path
    stub: Stub
    executor: FakeAccelerators
    told: list[events.Event]

    def outcomes(self) -> list[list[str]]:
        """Of every cell's attempts."""
        records = [self.stub.folder.read_record(cell_id) for cell_id in self.stub.ids]
        return [[attempt.outcome for attempt in record.attempts] if record else [] for record in records]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Ran]:
    def run(
        needed: Callable[[Cell], int | None],
        takes: Callable[[Cell], int],
        *,
        devices: Sequence[str] = ("fake:0",),
        **options: object,
    ) -> Ran:
        stub, told = Stub(tmp_path), []
        slots = [Slot(device) for _ in range(4) for device in devices]
        executor = FakeAccelerators(slots, 100, takes)
        memory = DeviceMemory({device: 100 for device in devices if device != "cpu"}, needed)
        planned = plan_cells(stub.grid, stub.folder)
        task = CellTask(lambda *_: CellResult(None))
        queue = CellQueue(stub.folder, RunOptions(**options), told.append, len(slots), task, planned, memory)
        Scheduler(executor).run(queue.next_job)
        return Ran(tmp_path, stub, executor, told)

    return run


def test_as_many_cells_share_a_device_as_its_memory_holds(run):
    done = run(lambda cell: 30, lambda cell: 30, devices=["fake:0", "fake:1"])
    assert done.executor.most == {"fake:0": 3, "fake:1": 3}
    assert done.outcomes() == [["trained"]] * 8


def test_a_cell_of_which_nothing_is_known_has_its_device_to_itself(run):
    small = 8  # hidden units of the variant that was measured
    done = run(lambda cell: 30 if cell.model.arguments["hidden"] == small else None, lambda cell: 50)
    assert done.executor.most == {"fake:0": 1}, "they come in turn, and none overtakes"
    assert done.outcomes() == [["trained"]] * 8


def test_memory_that_ran_out_beside_others_is_no_failure_of_the_cell(run):
    # Two fit; a third and fourth are started beside them, run out, and are tried again alone, without --retries.
    done = run(lambda cell: 25, lambda cell: 50, max_failures=1)
    outcomes = done.outcomes()
    assert {tuple(one) for one in outcomes} == {("trained",), ("out_of_memory", "trained")}
    assert done.executor.most == {"fake:0": 4}
    retried = [event for event in done.told if isinstance(event, events.CellEnded) and event.will_retry]
    assert len(retried) == sum(len(one) == 2 for one in outcomes) > 0
    assert not [event for event in done.told if isinstance(event, VariantStopped)]


def test_a_cell_that_does_not_fit_alone_either_is_tried_once_alone(run):
    takes = {8: 20, 16: 101}
    done = run(lambda cell: 25, lambda cell: takes[cell.model.arguments["hidden"]], max_failures=5)
    assert sorted(done.outcomes()) == [["out_of_memory", "out_of_memory"]] * 4 + [["trained"]] * 4


def test_devices_without_memory_of_their_own_are_not_watched(run):
    done = run(lambda cell: 1000, lambda cell: 1, devices=["cpu"])
    assert done.executor.most == {"cpu": 4}


def entry(**train: object) -> CostEntry:
    usual = cost_entry()
    memory = {**usual["memory_bytes"], "process": GIB, "train_peak": 2 * GIB, "predict_peak": 3 * GIB}
    return CostEntry.model_validate({**usual, "memory_bytes": memory, "train": {**usual["train"], **train}})


def test_what_a_cell_needs_is_its_process_and_the_larger_peak_with_some_to_spare():
    assert process_bytes(4 * GIB) == PROCESS_BYTES + 5 * GIB
    assert needed_bytes(entry(), 4, 80 * GIB) == process_bytes(4 * GIB)
    assert needed_bytes(None, 4, 80 * GIB) is None
    assert needed_bytes(entry(busy_images_per_second=None), 4, 80 * GIB) is None


def test_cells_that_only_slow_each_other_down_run_alone():
    # Alone 1,000 images per second; four at once 250 each are no more.
    assert needed_bytes(entry(busy_images_per_second=around(250.0)), 4, 80 * GIB) is None
    assert needed_bytes(entry(busy_images_per_second=around(251.0)), 4, 80 * GIB) is not None
    # Of eight places only two have room, and two at 400 are fewer.
    assert needed_bytes(entry(busy_images_per_second=around(400.0)), 8, 12 * GIB) is None


def test_as_many_are_measured_at_once_as_fit():
    slots = [Slot(device) for _ in range(4) for device in ("fake:0", "fake:1")]
    room = 3 * process_bytes(GIB)
    assert num_at_once(slots, {"fake:0": room, "fake:1": room + 1}, GIB) == 6
    assert num_at_once(slots, {"fake:0": room, "fake:1": 10}, GIB) == 4, "one on each at least"
    assert num_at_once(slots, {"fake:0": room, "fake:1": room}, None) == 2
    assert num_at_once([Slot("cpu")] * 3, {}, GIB) == 3


GRID = """
schema: 1
name: tiny
data: {name: digits}
recipe: {epochs: 1, batch_size: 64, lr: 0.1, momentum: 0.9}
seeds: 4
models: [{name: mlp, hidden: [16, 32]}]
"""


@pytest.mark.gpu
@pytest.mark.parametrize("batch_seeds", [None, "auto"])
def test_cells_share_a_real_accelerator_once_they_were_measured(tmp_path: Path, batch_seeds):
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    folder, told = ResultsFolder(tmp_path / "results" / "tiny" / "full"), []
    options = RunOptions(batch_seeds=batch_seeds, num_rounds=1)
    summary = run_grid(Grid.load(path, RegistryCatalog()), folder, options, told.append)
    assert summary.outcomes == {"trained": 8}
    records = load_results(folder.path).records
    assert {record.batched_seeds for record in records} == {4 if batch_seeds else None}
    entry = folder.read_costs(records[0].variant_id).entries[0]
    assert entry.error is None
    assert entry.train.busy_images_per_second is not None
    assert 0 < entry.mfu.median < 1
    if entry.machine.device not in ("cpu", "mps"):
        assert entry.memory_bytes.train_peak > 0
