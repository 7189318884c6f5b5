"""Models of other people that are wrong in common ways: each is named, and the others are trained."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.places import Place

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


@pytest.fixture
def call(tmp_path):
    """The command line, in a place where a package with these models is installed."""
    place, theirs = Place(tmp_path, GRID), tmp_path / "theirs"
    (theirs / "theirs-1.2.dist-info").mkdir(parents=True)
    (theirs / "their_models.py").write_text(PLUGIN)
    (theirs / "theirs-1.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n"
    )
    (theirs / "theirs-1.2.dist-info" / "entry_points.txt").write_text("[nin_bench.models]\nx = their_models\n")
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(theirs)])

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nin_bench", *arguments, "--grid", "grid.yaml", "--device", "cpu"]
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(
            command, cwd=place.path, env=environment, capture_output=True, text=True, check=False
        )

    return call


def test_a_plan_names_networks_that_cannot_run(call):
    done = call("plan", "--json", "--set", "recipe.batch_size=41")
    assert done.returncode == 0, done.stderr
    misfit, pair = json.loads(done.stdout)["warnings"]
    assert misfit.startswith("warning: misfit cannot be trained")
    assert misfit.endswith("1 (Linear): RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x64 and 7x10)")
    assert pair.endswith(
        "returned a tuple for 1 image(s), expected a tensor of shape (1, 10), a score for each class"
    )


def test_a_run_records_what_cannot_run_and_trains_the_rest(call, tmp_path, faults):
    done = call("run", "--workers", "2")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    table = [(row[1], label_of(row[0], tmp_path)) for row in Place(tmp_path, GRID).table()]
    assert sorted(table) == [
        *[("crashed", "raises")] * 3,
        *[("invalid", "misfit")] * 4,
        *[("invalid", "pair")] * 4,
        *[("trained", "values")] * 4,
    ]
    assert "raises: stopped after failures alike; 1 of its cells is not tried: ValueError: my bug" in done.stderr
    assert "values: measured no further: forward: its memory cannot be told from shapes alone" in done.stderr
    for word in ("E1", "fake_tensor.py"):
        assert not any(line.startswith(word) for line in done.stderr.splitlines())
    planned = json.loads(call("plan", "--json").stdout)
    assert sum(cell["state"] == "missing" for cell in planned["cells"]) == 1
    (warning,) = [one for one in planned["warnings"] if "alike" in one]
    assert warning.startswith("warning: raises: 3 cells failed alike (crashed: ValueError: my bug")
    faults("a model that cannot run", 3)


def test_a_last_batch_of_one_image_is_too_few_to_normalise(call, tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text(GRID.partition("models:")[0] + "models:\n  - {name: norm}\n")
    refused = call("plan")
    assert refused.returncode == 2
    assert "recipe.batch_size: " in refused.stderr
    assert "images for an epoch's last batch, too few for batch normalisation (Expected more" in refused.stderr
    assert json.loads(call("plan", "--json", "--set", "data.train_size=42").stdout)["warnings"] == []


def label_of(cell_id: str, place: Path) -> str:
    record = Place(place, GRID).results().read_record(cell_id)
    assert record is not None
    return record.cell.model.name
