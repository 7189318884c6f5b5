import pytest

from nin_bench.cell import Recipe
from nin_bench.runner.messages import Assignment
from nin_bench.runner.worker import run_cell
from nin_bench.training.early_stop import has_stopped
from tests.cells import make_cell


def stops_after(recipe: Recipe, values: list[float | None]) -> int | None:
    """The epoch after which a training with these values ends early; None if it does not."""
    history = [{} if value is None else {recipe.early_stop or "validation_loss": value} for value in values]
    return next((epoch for epoch in range(len(history) + 1) if has_stopped(recipe, history[:epoch])), None)


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        ("validation_loss", [3.0, 2.0, 1.0, 0.5, 0.4], None),
        ("validation_loss", [3.0, 2.0, 2.5, 2.1, 1.0], 4),
        ("validation_loss", [3.0, 2.0, 2.5, 1.9, 2.0, 2.0], 6),
        ("validation_loss", [2.0, 2.0, 2.0, 1.0], 3),  # as good as the best is not better
        ("validation_loss", [None, None, 1.0], None),
        ("validation_loss", [None, None, None, 1.0], 3),
        ("validation_loss", [1.0, None, None], 3),
        ("validation_accuracy", [0.1, 0.2, 0.3, 0.4], None),
        ("validation_accuracy", [0.5, 0.4, 0.5, 0.9], 3),
        (None, [1.0, 2.0, 3.0, 4.0, 5.0], None),
    ],
)
def test_it_ends_after_two_epochs_without_a_new_best(metric, values, expected):
    assert stops_after(Recipe(early_stop=metric, patience=2), values) == expected


def test_a_cell_ends_early_with_the_network_of_its_last_epoch():
    recipe = {"epochs": 9, "lr": 1e-12, "early_stop": "validation_loss", "patience": 3, "momentum": 0.0}
    one = make_cell("mlp", hidden=8, data={"train_size": 64, "validation_size": 20}, recipe=recipe)
    record = run_cell(Assignment(one)).record
    losses = [row.validation_loss for row in record.history]
    best = losses.index(min(losses)) + 1
    assert (record.outcome, record.metrics.stopped_epoch, len(losses)) == ("trained", best + 3, best + 3)
    assert best + 3 < 9
    assert record.metrics.validation_loss == losses[-1]
    assert record.metrics.num_steps == best + 3
    assert record.metrics.test_accuracy is not None
