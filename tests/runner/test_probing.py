"""What networks answer to probes, on the digits; weights are drawn, not trained, unless training matters."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from nin_bench.cell import DataSpec
from nin_bench.data import resolve_data
from nin_bench.data.batches import ImageBatches
from nin_bench.data.dataset import Dataset, load_dataset
from nin_bench.models import ImageSpec, build_model
from nin_bench.results.probes import THUMBNAIL, ProbeFile, Probes
from nin_bench.runner.messages import Assignment, CheckpointPolicy
from nin_bench.runner.probing import probe_network
from nin_bench.runner.worker import run_cell
from nin_bench.training.evaluation import Evaluation, Images, evaluate
from tests.cells import make_cell

IMAGE = ImageSpec(channels=1, resolution=8, num_classes=10)
ASKED = Probes(shift=(0, 1, 3), resolution=(4, 8, 12), class_maps=10)
NUM_TEST = 359


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset(resolve_data(DataSpec(name="digits"), None), None)


def ask(digits: Dataset, model: nn.Module, asked: Probes = ASKED) -> ProbeFile:
    def in_fp32(images: Images) -> Evaluation:
        return evaluate(model, images, torch.autocast("cpu", enabled=False))

    test = Images(digits.test_batches("cpu"), torch.arange(NUM_TEST))
    return ProbeFile(cell_id="c", test_accuracy=0.5, **probe_network(model, IMAGE, test, asked, in_fp32))


def network(name: str, **arguments: object) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, IMAGE, **arguments)


def test_a_pooled_network_takes_all_sizes_and_shows_its_class_maps(digits):
    model = network("nin_mnist", width=0.25, final_relu=False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = ask(digits, model)
    assert [one.at for one in found.resolution] == [4, 8, 12]
    assert all(one.not_possible is None for one in (*found.shift, *found.resolution))
    assert found.shift[0].accuracy == found.resolution[1].accuracy
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [image.label for image in found.class_maps] == list(range(10))
    images, labels = digits.load_test()
    for image in found.class_maps:
        assert image.index == int((labels == image.label).nonzero()[0])
        with torch.inference_mode():
            scores = model(images[image.index][None].float() / 255)[0]
        assert np.mean(image.maps, axis=(1, 2)) == pytest.approx(scores.numpy(), abs=1e-4)


def test_a_dense_network_says_which_layer_cannot_take_another_size(digits):
    found = ask(digits, network("nin_mnist", width=0.25, head="fc_linear"))
    small, own, large = found.resolution
    assert own.accuracy == found.shift[0].accuracy
    for one in (small, large):
        assert one.accuracy is None
        assert one.not_possible.startswith("output (Linear): RuntimeError: ")
    assert found.class_maps == ()


@pytest.mark.parametrize("head", ["gap_linear", "fc_maps"])
def test_scores_that_are_no_means_of_class_maps_have_none(digits, head):
    assert ask(digits, network("nin_mnist", width=0.25, head=head), Probes(class_maps=2)).class_maps == ()


def test_a_picture_is_kept_in_grey_beside_its_maps():
    image = ImageSpec(channels=3, resolution=28, num_classes=2)
    pictures = torch.randint(0, 256, (5, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batches = ImageBatches(pictures, torch.tensor([1, 1, 0, 1, 0]), 28)
    test = Images(batches, torch.arange(5))
    rows = {"class_block": nn.Conv2d(3, 2, 9), "average": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    model = nn.Sequential(OrderedDict(rows))
    first, second = probe_network(model, image, test, Probes(class_maps=5), evaluate)["class_maps"]
    assert [(one.index, one.label) for one in (first, second)] == [(2, 0), (0, 1)]
    assert np.shape(first.maps) == (2, 20, 20)
    drawn = np.frombuffer(bytes.fromhex(second.thumbnail), np.uint8).reshape(THUMBNAIL, THUMBNAIL)
    assert np.abs(drawn - pictures[0].numpy().mean(0).reshape(14, 2, 14, 2).mean((1, 3))).max() <= 0.5


def test_images_too_small_for_a_window_are_not_possible(digits):
    model = nn.Sequential(nn.Conv2d(1, 10, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    small, large = ask(digits, model, Probes(resolution=(4, 12))).resolution
    assert small.not_possible.startswith("0 (Conv2d): ")
    assert large.accuracy is not None


def test_a_trained_network_is_better_where_it_was_trained(digits):
    clean = {"pointwise": 0, "dropout": 0.0, "final_relu": False}
    cell = make_cell("nin_mnist", width=0.25, recipe={"epochs": 6}, **clean)
    result = run_cell(Assignment(cell, probes=ASKED))
    assert result.probe_error is None
    found, accuracy = result.probes, result.record.metrics.test_accuracy
    assert (found.cell_id, found.test_accuracy) == (cell.cell_id, accuracy)
    assert found.shift[0].accuracy == found.resolution[1].accuracy == accuracy
    assert accuracy > 0.8
    assert found.shift[2].accuracy < found.shift[1].accuracy < accuracy
    assert found.resolution[0].accuracy < accuracy


def test_a_cell_that_did_not_train_answers_nothing():
    assert run_cell(Assignment(make_cell(recipe={"lr": 1e9}), probes=ASKED)).probes is None


def test_an_error_costs_the_probes_and_not_the_record(monkeypatch):
    def fail(*arguments: object) -> None:
        raise RuntimeError("out of ideas")

    monkeypatch.setattr("nin_bench.runner.cell_training.probe_network", fail)
    result = run_cell(Assignment(make_cell(), probes=ASKED))
    assert (result.record.outcome, result.probes) == ("trained", None)
    assert result.predictions is not None
    assert result.probe_error.startswith("RuntimeError: out of ideas")


def test_stopped_while_it_answers_a_cell_goes_on_and_answers(tmp_path, monkeypatch):
    cell, asked = make_cell(), []
    policy = CheckpointPolicy(checkpoints=tmp_path)

    def probe(*arguments: object) -> dict[str, object]:
        asked.append(True)
        return probe_network(*arguments)

    monkeypatch.setattr("nin_bench.runner.cell_training.probe_network", probe)
    whole = run_cell(Assignment(cell, probes=ASKED))
    stopped = run_cell(Assignment(cell, policy=policy, probes=ASKED), should_stop=lambda: len(asked) == 2)
    assert (stopped.record.outcome, stopped.predictions, stopped.probes) == ("interrupted", None, None)
    again = run_cell(Assignment(cell, policy=policy, earlier_attempts=stopped.record.attempts, probes=ASKED))
    assert [attempt.outcome for attempt in again.record.attempts] == ["interrupted", "trained"]
    assert again.probes == whole.probes
    assert again.record.metrics.test_accuracy == whole.record.metrics.test_accuracy
