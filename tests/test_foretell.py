import doctest

import pytest
from costs_fixture import CPU, around, cost_entry

from nin_bench import foretell
from nin_bench.cell import Recipe
from nin_bench.foretell import Forecast, ImageCounts, RunForecast, foretell_cell, foretell_run, makespan
from nin_bench.results.cost_entry import CostEntry

IMAGES = ImageCounts(train=6000, validation=2000, test=10_000)
RECIPE = Recipe(epochs=12)


def entry(**changes) -> CostEntry:
    return CostEntry.model_validate(cost_entry(**changes))


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(foretell).failed == 0


def test_a_cell_takes_its_start_its_epochs_and_its_evaluation():
    # busy: 800 images/s training, 3,200 predicting, 2 s until the first step
    # 2 + 12 · (6000 / 800 + 2000 / 3200) + (6000 + 10000) / 3200 = 2 + 12 · 8.125 + 5
    forecast = foretell_cell(entry(), RECIPE, IMAGES, num_workers=2)
    assert forecast == Forecast(seconds=pytest.approx(104.5), memory_bytes=500_000_000)


def test_alone_a_cell_has_the_exclusive_speed():
    # 2 + 12 · (6000 / 1000 + 2000 / 4000) + 16000 / 4000
    assert foretell_cell(entry(), RECIPE, IMAGES, num_workers=1).seconds == pytest.approx(84.0)


def test_the_test_images_count_every_epoch_where_the_recipe_reads_them_so():
    # 12 · 10000 / 4000 on top
    recipe = Recipe(epochs=12, test_every_epoch=True)
    assert foretell_cell(entry(), recipe, IMAGES, num_workers=1).seconds == pytest.approx(84.0 + 30.0)


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
    assert foretell_cell(entry(**changes), RECIPE, IMAGES, num_workers=num_workers).seconds is None


@pytest.mark.parametrize("missing", ["train_peak", "process"])
def test_memory_needs_both_of_its_parts(missing):
    memory = {**cost_entry()["memory_bytes"], missing: None}
    assert foretell_cell(entry(memory_bytes=memory), RECIPE, IMAGES, num_workers=1).memory_bytes is None


def test_an_accelerator_holds_no_process():
    on_gpu = entry(machine={**CPU, "device": "NVIDIA H100"}, startup_seconds=around(2.0))
    assert foretell_cell(on_gpu, RECIPE, IMAGES, num_workers=1).memory_bytes == 200_000_000


@pytest.mark.parametrize(
    ("num_workers", "ends_at"),
    # two workers: 10 | 1, 9 | then 2 goes to whoever is free first, at 10
    [(1, 22.0), (2, 12.0), (3, 10.0), (5, 10.0)],
)
def test_cells_start_in_their_order_as_workers_become_free(num_workers, ends_at):
    assert makespan([10.0, 1.0, 9.0, 2.0], num_workers) == ends_at


def test_of_nothing_there_is_nothing_to_wait_for():
    assert makespan([], 2) == 0.0


def test_a_run_is_foretold_from_the_cells_that_are_known():
    cells = [Forecast(10.0, 300), Forecast(), Forecast(4.0, None), Forecast(7.0, 500), Forecast(None, 200)]
    forecast = foretell_run(cells, num_workers=2)
    # 10 | 4, 7; the two largest may meet
    assert forecast == RunForecast(num_workers=2, num_cells=5, num_known=3, seconds=11.0, memory_bytes=800)
    assert forecast.num_unknown == 2


def test_a_run_of_which_nothing_is_known():
    assert foretell_run([Forecast()], 2) == RunForecast(
        2, num_cells=1, num_known=0, seconds=0.0, memory_bytes=None
    )
