"""More epochs of trained cells: they go on from kept states, to the same bits as from the start."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Recipe, Schedule
from nin_bench.checkpoint import check_checkpoint
from nin_bench.grid import Grid
from nin_bench.more_epochs import OPEN_ENDED
from nin_bench.results import ResultsFolder, load_results
from nin_bench.runner.events import CellResumed, Event, Planned
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions
from nin_bench.training.optimization import learning_rate
from tests.cells import repeated

GRID = """
schema: 1
name: longer
data: {{name: digits, resolution: 12, train_size: 300}}
recipe: {{epochs: {epochs}, batch_size: 32, {recipe}}}
seeds: 2
models:
  - {{name: {model}}}
"""
RECIPES = {
    "momentum": "lr: 0.05, momentum: 0.9, augmentation: crop_flip",
    "adam": "lr: 3e-3, optimizer: adam, augmentation: flip, label_smoothing: 0.1",
    "steps": "lr: 0.05, momentum: 0.9, nesterov: true, schedule: step, step_epochs: 2, warmup_epochs: 0.5",
}
DROPOUT = "nin_mnist, width: 0.25, dropout: 0.5"


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_the_rates_of_an_open_ended_schedule_do_not_depend_on_the_number_of_epochs(schedule):
    shorter, longer = (
        Recipe(schedule=schedule, epochs=epochs, step_epochs=2, warmup_epochs=1.5) for epochs in (4, 7)
    )
    points = np.arange(0, 4, 0.125)
    alike = all(learning_rate(shorter, point) == learning_rate(longer, point) for point in points)
    assert alike == (schedule in OPEN_ENDED)


class Bench:
    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.folder = ResultsFolder(path / "results" / "longer" / "full")

    def run(self, epochs: int, recipe: str, model: str = DROPOUT, **options: Any) -> list[Event]:
        (self.path / "grid.yaml").write_text(GRID.format(epochs=epochs, recipe=recipe, model=model))
        grid = Grid.load(self.path / "grid.yaml", RegistryCatalog(self.path))
        options = {"device": "cpu", "workers": 2, "data_dir": self.path, "measure": False, **options}
        events: list[Event] = []
        summary = run_grid(grid, self.folder, RunOptions(**options), events.append)
        assert summary.outcomes == {"trained": 2}
        return events

    def bits(self) -> list[Any]:
        """Everything that repeats: metrics, histories, predictions, weights."""
        found = []
        for record in load_results(self.folder.path).records:
            weights = torch.load(self.folder.weights_path(record.cell_id), weights_only=True)
            found.append((
                record.cell_id,
                repeated(record.metrics),
                [repeated(row) for row in record.history],
                {name: array.tolist() for name, array in self.folder.read_predictions(record.cell_id).items()},
                {name: tensor.numpy().tobytes() for name, tensor in weights.items()},
            ))  # fmt: skip
        return found


def planned(events: list[Event]) -> Planned:
    (found,) = [event for event in events if isinstance(event, Planned)]
    return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bench")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_going_on_comes_to_the_same_bits_as_from_the_start(bench, tmp_path, recipe):
    bench.run(2, recipe, keep_weights=True)
    events = bench.run(3, recipe, keep_weights=True)
    assert [(one.state, one.num_epochs_saved) for one in planned(events).cells] == [("continue", 2)] * 2
    resumed = [event for event in events if isinstance(event, CellResumed)]
    assert [(event.is_resumed, len(event.history)) for event in resumed] == [(True, 2)] * 2
    bench.run(5, recipe, keep_weights=True)
    anew = Bench(tmp_path / "anew")
    anew.run(5, recipe, keep_weights=True)
    assert bench.bits() == anew.bits()
    for path in (bench.folder.path / "weights").glob("*.ckpt"):
        check_checkpoint(path)
    assert len(load_results(bench.folder.path).former) == 4


@pytest.mark.parametrize(
    ("recipe", "keep", "reason"),
    [
        ("lr: 0.05", False, "no state of the trained ones was kept, as --keep-weights does"),
        (
            "lr: 0.05, schedule: cosine",
            True,
            "the rates of the schedule cosine depend on the number of epochs",
        ),
    ],
)
def test_what_cannot_go_on_starts_over_and_says_why(bench, recipe, keep, reason):
    bench.run(1, recipe, "mlp, hidden: 16", keep_weights=keep)
    events = bench.run(2, recipe, "mlp, hidden: 16")
    assert [one.state for one in planned(events).cells] == ["missing"] * 2
    assert f"2 cells start over with more epochs: {reason}" in planned(events).notes
    assert not any(isinstance(event, CellResumed) for event in events)


def test_a_damaged_state_is_quarantined_and_the_cell_starts_over(bench, tmp_path):
    bench.run(1, "lr: 0.05", "mlp, hidden: 16", keep_weights=True)
    for path in (bench.folder.path / "weights").glob("*.ckpt"):
        whole = bytearray(path.read_bytes())
        whole[-1] ^= 1
        path.write_bytes(whole)
    events = bench.run(2, "lr: 0.05", "mlp, hidden: 16", keep_weights=True)
    resumed = [event for event in events if isinstance(event, CellResumed)]
    assert [(event.is_resumed, len(event.notes)) for event in resumed] == [(False, 1)] * 2
    assert len(list((bench.folder.path / "weights").glob("*.ckpt.corrupt"))) == 2
    anew = Bench(tmp_path / "anew")
    anew.run(2, "lr: 0.05", "mlp, hidden: 16", keep_weights=True)
    assert bench.bits() == anew.bits()


def test_other_code_and_fewer_epochs_do_not_go_on(bench):
    recipe, model = "lr: 0.05", "mlp, hidden: 16"
    bench.run(2, recipe, model, keep_weights=True)
    assert [one.state for one in planned(bench.run(1, recipe, model)).cells] == ["missing"] * 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nin_bench.catalog.code_digest", lambda name: "0123456789abcdef")
        events = bench.run(3, recipe, model)
    assert "2 cells start over with more epochs: the code of mlp has changed since" in planned(events).notes
