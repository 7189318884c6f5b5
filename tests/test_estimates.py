import doctest
from typing import Any

import pytest

from nin_bench import estimates
from nin_bench.cell import Recipe
from nin_bench.estimates import (
    Estimate,
    ImageCounts,
    LargestBatch,
    RunEstimate,
    estimate_cell,
    estimate_run,
    largest_batches,
    makespan,
)
from nin_bench.results.cost_entry import CostEntry
from tests.costs_fixture import CPU, around, cost_entry

IMAGES = ImageCounts(train=6000, validation=2000, test=10_000)
RECIPE = Recipe(epochs=12)


def entry(**changes) -> CostEntry:
    return CostEntry.model_validate(cost_entry(**changes))


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(estimates).failed == 0


def test_a_cell_takes_its_start_its_epochs_and_its_evaluation():
    # busy: 800 images/s training, 3,200 predicting, 2 s until the first step
    # 2 + 12 · (6000 / 800 + 2000 / 3200) + (6000 + 10000) / 3200 = 2 + 12 · 8.125 + 5
    estimate = estimate_cell(entry(), RECIPE, IMAGES, num_workers=2)
    assert estimate == Estimate(seconds=pytest.approx(104.5), memory_bytes=500_000_000)


def test_alone_a_cell_has_the_exclusive_speed():
    # 2 + 12 · (6000 / 1000 + 2000 / 4000) + 16000 / 4000
    assert estimate_cell(entry(), RECIPE, IMAGES, num_workers=1).seconds == pytest.approx(84.0)


def test_the_test_images_count_every_epoch_where_the_recipe_reads_them_so():
    # 12 · 10000 / 4000 on top
    recipe = Recipe(epochs=12, test_every_epoch=True)
    assert estimate_cell(entry(), recipe, IMAGES, num_workers=1).seconds == pytest.approx(84.0 + 30.0)


def test_probes_pass_over_the_test_images_again():
    # 3 more times 10000 / 4000
    estimate = estimate_cell(entry(), RECIPE, IMAGES, num_workers=1, test_passes=4)
    assert estimate.seconds == pytest.approx(84.0 + 7.5)


@pytest.mark.parametrize(
    ("changes", "num_workers"),
    [
        ({}, 3),  # it was measured with two busy ones
        ({"train": {**cost_entry()["train"], "busy_images_per_second": None}}, 2),
        ({"predict": {**cost_entry()["predict"], "busy_images_per_second": None}}, 2),
        ({"startup_seconds": None}, 1),
        ({"train": None}, 1),
        ({"predict": None}, 1),
    ],
    ids=["more workers", "no busy training", "no busy prediction", "no start", "no training", "no prediction"],
)
def test_a_figure_that_was_not_measured_is_not_guessed(changes, num_workers):
    assert estimate_cell(entry(**changes), RECIPE, IMAGES, num_workers=num_workers).seconds is None


@pytest.mark.parametrize("missing", ["train_peak", "process"])
def test_memory_needs_both_of_its_parts(missing):
    memory = {**cost_entry()["memory_bytes"], missing: None}
    assert estimate_cell(entry(memory_bytes=memory), RECIPE, IMAGES, num_workers=1).memory_bytes is None


def test_an_accelerator_holds_no_process():
    on_gpu = entry(machine={**CPU, "device": "NVIDIA H100"}, startup_seconds=around(2.0))
    assert estimate_cell(on_gpu, RECIPE, IMAGES, num_workers=1).memory_bytes == 200_000_000


@pytest.mark.parametrize(
    ("num_workers", "ends_at"),
    # two workers: 10 | 1, 9 | then 2 goes to whoever is free first, at 10
    [(1, 22.0), (2, 12.0), (3, 10.0), (5, 10.0)],
)
def test_cells_start_in_their_order_as_workers_become_free(num_workers, ends_at):
    assert makespan([10.0, 1.0, 9.0, 2.0], num_workers) == ends_at


def test_of_nothing_there_is_nothing_to_wait_for():
    assert makespan([], 2) == 0.0


def test_a_run_is_estimated_from_the_cells_that_are_known():
    cells = [Estimate(10.0, 300), Estimate(), Estimate(4.0, None), Estimate(7.0, 500), Estimate(None, 200)]
    estimate = estimate_run([cells], num_workers=2)
    # 10 | 4, 7; the two largest may meet
    assert estimate == RunEstimate(
        num_workers=2, num_cells=5, num_known=3, seconds=11.0, memory_bytes=800, longest_seconds=10.0
    )
    assert estimate.num_unknown == 2


def test_the_workers_of_several_nodes_share_the_cells_and_each_node_its_memory():
    cells = [Estimate(10.0, 300), Estimate(4.0, 500), Estimate(4.0, 400), Estimate(4.0, 200)]
    estimate = estimate_run([cells], num_workers=1, num_nodes=2)
    # 10 | 4, 4, 4
    assert estimate == RunEstimate(
        2, num_cells=4, num_known=4, seconds=12.0, memory_bytes=500, num_nodes=2, longest_seconds=10.0
    )


def test_a_wave_waits_for_all_of_the_one_before():
    waves = [[Estimate(10.0), Estimate(1.0)], [Estimate(3.0), Estimate()], []]
    assert estimate_run(waves, num_workers=2).seconds == 13.0
    assert estimate_run([[*waves[0], *waves[1]]], num_workers=2).seconds == 10.0


def test_a_run_of_which_nothing_is_known():
    assert estimate_run([[Estimate()]], 2) == RunEstimate(
        2, num_cells=1, num_known=0, seconds=0.0, memory_bytes=None
    )


MB = 1_000_000


def batch(batch_size: int, peak: int | None, micro_batch: int | None = None) -> dict[str, Any]:
    return {"batch_size": batch_size, "micro_batch": micro_batch, "peak_estimate": 0, "peak": peak}


def entry_with(*batches: dict[str, Any], device: str = "cpu", process: int | None = 300 * MB) -> CostEntry:
    made = cost_entry()
    made["machine"]["device"] = device
    made["memory_bytes"] |= {"process": process, "batches": list(batches)}
    return CostEntry.model_validate(made)


WHOLE = (batch(8, 30 * MB), batch(16, 50 * MB), batch(32, 90 * MB))
PARTS = (batch(16, 30 * MB, 8), batch(32, 31 * MB, 8))


def test_the_two_largest_batches_give_the_line():
    # 40 MB for 16 images, so 2.5 MB each, 10 MB for none, and the process: (1,000 - 310) / 2.5
    assert largest_batches(entry_with(*WHOLE), 1000 * MB) == [LargestBatch(None, 276, 2.5 * MB)]
    assert largest_batches(entry_with(*WHOLE), 311 * MB) == [LargestBatch(None, 0, 2.5 * MB)]
    assert largest_batches(entry_with(*WHOLE), 200 * MB) == [LargestBatch(None, 0, 2.5 * MB)]


def test_micro_batches_fit_with_any_batch_or_with_none():
    assert largest_batches(entry_with(*WHOLE, *PARTS), 331 * MB)[1] == LargestBatch(8, None, 0.0)
    assert largest_batches(entry_with(*WHOLE, *PARTS), 330 * MB)[1] == LargestBatch(8, 0, 0.0)


def test_an_accelerators_memory_holds_no_process():
    assert largest_batches(entry_with(*WHOLE, device="Example GPU"), 1000 * MB) == [
        LargestBatch(None, 396, 2.5 * MB)
    ]


@pytest.mark.parametrize(
    "unknown",
    [
        entry_with(),
        entry_with(*WHOLE, process=None),
        entry_with(batch(32, 90 * MB)),
        entry_with(batch(8, None), batch(16, None), batch(32, 90 * MB)),
        entry_with(batch(16, 90 * MB), batch(32, 90 * MB)),
    ],
    ids=["an older entry", "no process", "one batch", "one known", "no slope"],
)
def test_what_two_batches_do_not_tell_is_not_told(unknown):
    assert largest_batches(unknown, 1000 * MB) == []
