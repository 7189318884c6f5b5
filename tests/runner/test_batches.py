"""Seeds that are trained as one batched model: by a worker, by the queue, and by a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Cell
from nin_bench.executors import Ended, Slot
from nin_bench.grid import Grid
from nin_bench.planning import plan_cells
from nin_bench.results import Record, ResultsFolder, load_results
from nin_bench.results.probes import Probes
from nin_bench.results.replays import compare_replay
from nin_bench.runner import cell_training
from nin_bench.runner.batch_worker import run_batch
from nin_bench.runner.cell_batch import MAX_AUTO, CellBatch, batch_limit
from nin_bench.runner.cell_queue import TRAIN, CellQueue
from nin_bench.runner.device_sharing import DeviceMemory
from nin_bench.runner.events import CellEnded
from nin_bench.runner.messages import KEEP_NOTHING, Assignment, CellReady, CellResult, CheckpointPolicy, EpochDone
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions
from nin_bench.runner.worker import run_cell
from nin_bench.training.trainer import make_network
from tests.cells import make_cell, repeated
from tests.faults.stubs import Stub, result_of

SEEDS = (0, 1, 2)
NO_MEMORY = DeviceMemory({}, lambda cell: None)


def batch_of(
    cells: list[Cell],
    policy: CheckpointPolicy = KEEP_NOTHING,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[list[CellResult], list[tuple[str, object]]]:
    told: list[tuple[str, object]] = []
    assignments = [Assignment(cell, policy=policy) for cell in cells]
    return run_batch(assignments, "cpu", told.append, should_stop), told


def make_cells(**options: object) -> list[Cell]:
    return [make_cell("nin_mnist", seed=seed, width=0.25, dropout=0.2, **options) for seed in SEEDS]


def test_each_cell_of_a_batch_has_a_record_as_if_it_had_trained_alone():
    cells = make_cells(recipe={"lr": 0.02})
    results, told = batch_of(cells)
    assert len(told) == len(cells) * (1 + 2)
    for cell, result in zip(cells, results, strict=True):
        record, alone = result.record, run_cell(Assignment(cell)).record
        assert (record.cell_id, record.outcome, record.batched_seeds) == (cell.cell_id, "trained", 3)
        assert record.lasting().keys() == alone.lasting().keys()
        assert record.metrics.num_steps == alone.metrics.num_steps == 40
        assert record.history[0].train_loss == pytest.approx(alone.history[0].train_loss, rel=1e-3)
        assert result.predictions is not None
        kinds = [type(content) for cell_id, content in told if cell_id == cell.cell_id]
        assert kinds == [CellReady, EpochDone, EpochDone]
        replayed = compare_replay(record, alone, None, None, "now")
        assert (replayed.expected, replayed.repeated, replayed.differs_in) == (
            "tolerance",
            True,
            ("batched_seeds",),
        )


def test_each_network_of_a_batch_answers_probes():
    cells = make_cells(recipe={"epochs": 1})
    assignments = [Assignment(cell, probes=Probes(shift=(0, 1))) for cell in cells]
    for cell, result in zip(cells, run_batch(assignments, "cpu", lambda told: None, lambda: False), strict=True):
        assert (result.probes.cell_id, result.record.batched_seeds) == (cell.cell_id, 3)
        assert (
            result.probes.shift[0].accuracy == result.probes.test_accuracy == result.record.metrics.test_accuracy
        )


def test_a_network_that_diverges_leaves_the_others_in_their_batch(monkeypatch: pytest.MonkeyPatch):
    def make(cell: Cell, *arguments: object) -> torch.nn.Module:
        model = make_network(cell, *arguments)
        if cell.seed == 1:
            next(model.parameters()).data.fill_(torch.inf)
        return model

    cells = make_cells(recipe={"lr": 0.02})
    whole, _ = batch_of(cells)
    monkeypatch.setattr(cell_training, "make_network", make)
    results, _ = batch_of(cells)
    assert [result.record.outcome for result in results] == ["trained", "diverged", "trained"]
    assert results[1].record.metrics.failed_step == 1
    assert results[1].record.history == ()
    for number in (0, 2):
        ours, theirs = results[number].record, whole[number].record
        assert ours.batched_seeds == 3
        assert ours.history[0].train_loss == theirs.history[0].train_loss
        # From the second epoch on they are two, and sums may round otherwise.
        assert ours.metrics.test_loss == pytest.approx(theirs.metrics.test_loss, rel=0.02)


def test_what_cannot_be_batched_trains_alone_to_the_same_bits():
    cells = [
        make_cell("lenet", seed=seed, batch_norm=True, data={"resolution": 12}, recipe={"epochs": 1})
        for seed in (0, 1)
    ]
    results, _ = batch_of(cells)
    for cell, result in zip(cells, results, strict=True):
        assert result.record.batched_seeds is None
        assert repeated(result.record.metrics) == repeated(run_cell(Assignment(cell)).record.metrics)


def test_memory_that_runs_out_is_every_cells_outcome(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    monkeypatch.setattr("nin_bench.training.batched.BatchedTrainers.step", fail)
    results, _ = batch_of(make_cells())
    assert [result.record.outcome for result in results] == ["out_of_memory"] * 3


def test_a_batch_that_was_stopped_goes_on_from_its_checkpoints(tmp_path: Path):
    cells, policy = make_cells(recipe={"lr": 0.02}), CheckpointPolicy(checkpoints=tmp_path, seconds=0)
    answers = iter([False] * 27 + [True] * 100)
    stopped, _ = batch_of(cells, policy, lambda: next(answers))
    assert {(one.record.outcome, one.record.batched_seeds) for one in stopped} == {("interrupted", 3)}
    resumed, told = batch_of(cells, policy)
    assert all(content.is_resumed for _, content in told if isinstance(content, CellReady))
    whole, _ = batch_of(cells)
    for ours, theirs in zip(resumed, whole, strict=True):
        assert repeated(ours.record.metrics) == repeated(theirs.record.metrics)
        assert ours.record.batched_seeds == 3


# The queue


def queue_of(stub: Stub, told: list[object], **options: object) -> CellQueue:
    planned = plan_cells(stub.grid, stub.folder)
    return CellQueue(stub.folder, RunOptions(**options), told.append, 1, TRAIN, planned, NO_MEMORY)


def jobs_of(queue: CellQueue) -> list[Any]:
    jobs: list[Any] = []
    while (job := queue.next_job(Slot("cpu"))) is not None:
        jobs.append(job)
    return jobs


def test_seeds_of_a_variant_are_batched_up_to_the_number_asked_for(tmp_path: Path):
    stub = Stub(tmp_path, seeds=5)
    batches = jobs_of(queue_of(stub, [], batch_seeds=3))
    assert [len(job.cells) if isinstance(job, CellBatch) else 1 for job in batches] == [3, 3, 2, 2]
    assert all(len({cell.cell.variant_id for cell in job.cells}) == 1 for job in batches)
    assert len({job.key for job in batches}) == 4
    assert all(not isinstance(job, CellBatch) for job in jobs_of(queue_of(stub, [])))


def test_a_batch_that_dies_is_tried_again_cell_by_cell(tmp_path: Path):
    told: list[object] = []
    stub = Stub(tmp_path, seeds=2)
    queue = queue_of(stub, told, batch_seeds=8, max_failures=1)
    first, second = jobs_of(queue)
    results = [CellResult(result_of(cell.cell)[0]) for cell in first.cells]
    for batch in (first, second):
        batch.on_started(Slot("cpu"))
    first.on_ended(Ended(first.key, "returned", results), may_retry=False)
    second.on_ended(Ended(second.key, "died", exit_code=-9), may_retry=False)
    assert [event.will_retry for event in told if isinstance(event, CellEnded)] == [False, False, True, True]
    assert not any(isinstance(job, CellBatch) for job in jobs_of(queue))
    assert sorted(queue.outcomes.values()) == ["crashed", "crashed", "trained", "trained"]


def test_auto_batches_small_networks_on_accelerators_as_far_as_memory_goes():
    small = make_cell("mlp", hidden=32)
    large = make_cell("nin", data={"resolution": 224}, recipe={"batch_size": 128})
    on_gpu, on_cpu = Slot("fake:0"), Slot("cpu")
    auto = batch_limit(RunOptions(batch_seeds="auto"), NO_MEMORY)
    assert [auto(small, on_cpu), auto(small, on_gpu), auto(large, on_gpu)] == [1, MAX_AUTO, 1]
    tight = DeviceMemory({"fake:0": 100}, lambda cell: 30)
    assert batch_limit(RunOptions(batch_seeds="auto"), tight)(small, on_gpu) == 3
    assert batch_limit(RunOptions(batch_seeds=5), NO_MEMORY)(large, on_cpu) == 5
    assert batch_limit(RunOptions(), NO_MEMORY)(small, on_gpu) == 1


GRID = """
schema: 1
name: tiny
data: {name: digits}
recipe: {epochs: 2, batch_size: 64, lr: 0.1, momentum: 0.9}
seeds: 3
models: [{name: mlp, hidden: 16}]
"""


def test_a_run_trains_a_batch_in_one_worker_and_records_each(tmp_path: Path):
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    folder = ResultsFolder(tmp_path / "results" / "tiny" / "full")
    options = RunOptions(device="cpu", workers=1, measure=False, batch_seeds=8)
    summary = run_grid(Grid.load(path, RegistryCatalog()), folder, options, lambda event: None)
    assert summary.outcomes == {"trained": 3}
    records: list[Record] = load_results(folder.path).records
    assert [record.batched_seeds for record in records] == [3, 3, 3]
    assert len({record.metrics.test_loss for record in records}) == 3
    assert all(record.metrics.test_accuracy > 0.8 for record in records)
