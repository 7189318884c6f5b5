"""Models of other people that are wrong in common ways: each is named, and the others are trained."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.places import Place
from tests.faults.warm import Warm, warm

PLUGIN = '''
import torch
from torch import nn
from nin_bench.models.registry import register_model


class Values(nn.Module):
    """It looks at its images, which a pass in shape only does not have."""

    def __init__(self, size, classes):
        super().__init__()
        self.dense = nn.Linear(size, classes)

    def forward(self, images):
        images = images.flatten(1)
        if images.mean() > 1e6:
            images = images / images.mean()
        return self.dense(images)


class Raises(Values):
    def forward(self, images):
        if self.training and images.device.type == "cpu" and type(images) is torch.Tensor:
            raise ValueError(f"my bug {id(images)}")
        return self.dense(images.flatten(1))


class Pair(Values):
    def forward(self, images):
        return self.dense(images.flatten(1)), None


def size(image):
    return image.channels * image.resolution**2


@register_model
def misfit(image) -> nn.Module:
    """A dense layer of another size than what goes into it."""
    return nn.Sequential(nn.Flatten(), nn.Linear(7, image.num_classes))


@register_model
def values(image) -> nn.Module:
    return Values(size(image), image.num_classes)


@register_model
def raises(image) -> nn.Module:
    return Raises(size(image), image.num_classes)


@register_model
def pair(image) -> nn.Module:
    return Pair(size(image), image.num_classes)


@register_model
def norm(image) -> nn.Module:
    dense, scores = nn.Linear(size(image), 4), nn.Linear(4, image.num_classes)
    return nn.Sequential(nn.Flatten(), dense, nn.BatchNorm1d(4), scores)
'''
GRID = """
schema: 1
name: theirs
data: {name: digits, train_size: 41, validation_size: 20}
recipe: {epochs: 1, batch_size: 20, lr: 0.05}
seeds: 4
models:
  - {name: misfit}
  - {name: values}
  - {name: raises}
  - {name: pair}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """A process that finds a package with these models installed."""
    theirs = tmp_path_factory.mktemp("theirs")
    about = theirs / "theirs-1.2.dist-info"
    about.mkdir()
    (theirs / "their_models.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text("[nin_bench.models]\nx = their_models\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(theirs)
        with warm() as started:
            yield started


@pytest.fixture
def call(server: Warm, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """The command line on a grid of these models: its status, and all that it prints."""
    place = Place(tmp_path, GRID)

    def call(command: str, *arguments: str) -> tuple[int, str]:
        words = [command, "--grid", "grid.yaml", "--device", "cpu", *arguments]
        return server.run("scenarios:run_command", str(tmp_path), words, log=place.log), place.printed()

    return call


def document(printed: str) -> Any:
    """The JSON among what a command printed."""
    return json.JSONDecoder().raw_decode(printed, re.search("^{", printed, re.MULTILINE).start())[0]


def test_a_plan_names_networks_that_cannot_run(call, faults):
    status, printed = call("plan", "--json", "--set", "recipe.batch_size=41")
    assert status == 0, printed
    misfit, pair = document(printed)["warnings"]
    assert misfit.startswith("warning: misfit cannot be trained")
    assert misfit.endswith("1 (Linear): RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x64 and 7x10)")
    assert pair.endswith(
        "returned a tuple for 1 image(s), expected a tensor of shape (1, 10), a score for each class"
    )
    faults("a model that cannot run, in a plan", 2)


def test_a_run_records_what_cannot_run_and_trains_the_rest(call, tmp_path, faults):
    _, measured = call("measure", "--rounds", "1", "--workers", "1", "--only", "values")
    assert "values: measured no further: forward: its memory cannot be told from shapes alone" in measured
    status, printed = call("run", "--no-measure", "--workers", "2")
    assert status == 1
    table = [(row[1], label_of(row[0], tmp_path)) for row in Place(tmp_path, GRID).table()]
    assert sorted(table) == [
        *[("crashed", "raises")] * 3,
        *[("invalid", "misfit")] * 4,
        *[("invalid", "pair")] * 4,
        *[("trained", "values")] * 4,
    ]
    assert "raises: stopped after failures alike; 1 of its cells is not tried: ValueError: my bug" in printed
    for text in (measured, printed):
        assert "Traceback" not in text
        for word in ("E1", "fake_tensor.py"):
            assert not any(line.startswith(word) for line in text.splitlines())
    planned = document(call("plan", "--json")[1])
    assert sum(cell["state"] == "missing" for cell in planned["cells"]) == 1
    (warning,) = [one for one in planned["warnings"] if "alike" in one]
    assert warning.startswith("warning: raises: 3 cells failed alike (crashed: ValueError: my bug")
    faults("a model that cannot run", 3)


def test_a_last_batch_of_one_image_is_too_few_to_normalise(call, tmp_path, faults):
    grid = tmp_path / "grid.yaml"
    grid.write_text(GRID.partition("models:")[0] + "models:\n  - {name: norm}\n")
    refused, told = call("plan")
    assert refused == 2
    assert "recipe.batch_size: " in told
    assert "images for an epoch's last batch, too few for batch normalisation (Expected more" in told
    assert document(call("plan", "--json", "--set", "data.train_size=42")[1])["warnings"] == []
    faults("a last batch of one image", 1)


def label_of(cell_id: str, place: Path) -> str:
    record = Place(place, GRID).results().read_record(cell_id)
    assert record is not None
    return record.cell.model.name
