from pathlib import Path

import pytest
import torch

from nin_bench.cost import count_memory
from nin_bench.data import describe_data
from nin_bench.errors import SpecError
from nin_bench.runner import micro_batch
from nin_bench.runner.cell_training import CellTraining
from nin_bench.runner.messages import Assignment, CheckpointPolicy
from nin_bench.runner.worker import run_cell
from tests.cells import make_cell

CPU = torch.device("cpu")
RECIPE = {"epochs": 1, "batch_size": 50, "lr": 0.05}
DATA = {"train_size": 200, "validation_size": 20}


def cell(passes: object = "auto", **recipe: object):
    return make_cell("nin_mnist", width=0.1, data=DATA, recipe={**RECIPE, "micro_batch": passes, **recipe})


def free_for(images: int, num_workers: int = 1, **recipe: object) -> int:
    """As much free memory as leaves a worker room for so many images at once, and not for one more."""
    one = cell(50, **recipe)
    formula = count_memory("nin_mnist", describe_data(one.data, None), one.recipe, **one.model.arguments)
    assert formula.largest_batch(formula.train_peak(images)) in (images, None)
    return round(formula.train_peak(images) / micro_batch.SHARE * num_workers)


@pytest.mark.parametrize(
    ("fits", "expected"),
    [(50, 50), (49, 25), (25, 25), (24, 17), (17, 17), (16, 13), (1, 1)],
)
def test_it_is_the_largest_equal_part_that_fits(monkeypatch: pytest.MonkeyPatch, fits: int, expected: int):
    image = describe_data(cell().data, None)
    for num_workers in (1, 4):
        monkeypatch.setattr(micro_batch, "free_bytes", lambda device, n=num_workers: free_for(fits, n))
        assert micro_batch.choose_micro_batch(cell(), image, CPU, num_workers) == expected
    monkeypatch.setattr(micro_batch, "free_bytes", lambda device: 0)
    assert micro_batch.choose_micro_batch(cell(), image, CPU) == 1


def test_what_is_free_is_within_what_the_machine_has():
    assert 2**20 < micro_batch.free_bytes(CPU) < 2**50


def trained(one, folder: Path, **options: object):
    policy = CheckpointPolicy(folder / "checkpoints", weights=folder / "weights.pt")
    result = run_cell(Assignment(one, policy=policy, **options))
    assert result.record.outcome == "trained", result.record.attempts
    return result.record, torch.load(folder / "weights.pt", weights_only=True)


def test_a_cell_comes_to_the_same_as_with_the_whole_batch_and_keeps_its_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    changes = {"mixup": 0.4, "augmentation": "crop_flip"}
    monkeypatch.setattr(micro_batch, "free_bytes", lambda device: free_for(17, **changes))
    record, weights = trained(cell(**changes), tmp_path / "auto")
    _, whole = trained(cell(None, **changes), tmp_path / "whole")
    given, of_given = trained(cell(17, **changes), tmp_path / "given")
    assert (record.metrics.micro_batch, record.cell.recipe.micro_batch) == (17, "auto")
    assert given.metrics.micro_batch is None
    for name, expected in whole.items():
        torch.testing.assert_close(weights[name], expected, rtol=1e-3, atol=1e-5)
        assert torch.equal(weights[name], of_given[name])
    # Where there is less memory, or more, a training that goes on passes as many as before; so does a replay.
    asked = iter([False, False, True])
    policy = CheckpointPolicy(tmp_path / "again" / "checkpoints")
    run_cell(Assignment(cell(**changes), policy=policy), should_stop=lambda: next(asked))
    monkeypatch.setattr(micro_batch, "free_bytes", lambda device: free_for(50, **changes))
    resumed, of_resumed = trained(cell(**changes), tmp_path / "again")
    replayed, of_replayed = trained(cell(**changes), tmp_path / "replay", micro_batch=17)
    assert resumed.metrics.micro_batch == replayed.metrics.micro_batch == 17
    for name, expected in weights.items():
        assert torch.equal(of_resumed[name], expected)
        assert torch.equal(of_replayed[name], expected)


def test_it_is_refused_with_batch_normalisation():
    recipe = {**RECIPE, "micro_batch": "auto"}
    training = CellTraining(make_cell("lenet", batch_norm=True, data={**DATA, "resolution": 12}, recipe=recipe))
    with pytest.raises(SpecError, match="micro_batch: auto does not go with batch normalisation"):
        training.prepare()
