import pytest
import torch
from torch import Tensor, nn

from nin_bench.catalog import RegistryCatalog
from nin_bench.checks import check_variants, doubt_notes, largest_memory, untestable_claims
from nin_bench.cost import count_memory
from nin_bench.grid import Grid
from nin_bench.models import ImageSpec, list_models, register_model
from nin_bench.plugins import registered

GRID = """
schema: 1
name: tiny
data: {{name: digits{data}}}
recipe: {{epochs: 2, batch_size: 64, lr: 0.1}}
seeds: 6
models: [{{name: mlp, hidden: [16, 32]}}]
hypotheses:
  - {{id: a, claim: b, metric: {metric}, compare: [{{hidden: 16}}, {{hidden: 32}}], expect: greater, margin: 0}}
"""


@pytest.fixture
def load(tmp_path):
    def load(metric: str = "test_accuracy", data: str = "", model: str | None = None) -> Grid:
        text = GRID.format(metric=metric, data=data)
        if model:
            text = text.partition("models:")[0] + f"models: [{{name: {model}}}]"
        (tmp_path / "grid.yaml").write_text(text)
        return Grid.load(tmp_path / "grid.yaml", RegistryCatalog())

    return load


@pytest.mark.parametrize(
    ("metric", "data", "why"),
    [
        ("test_accuracy", "", None),
        ("validation_accuracy", "", None),
        ("validation_accuracy", ", validation_size: 0", "has no validation images"),
        ("validation_loss", ", validation_size: 0", "has no validation images"),
        ("escape_epoch", "", None),
        ("escape_epoch", ", train_size: 20", "trains 2 steps, and an escape is told by the mean of 20"),
        ("escaped", ", train_size: 600", None),
        ("target_epoch", "", "the grid has no target"),
        ("test_top5_accuracy", "", None),
        ("train_joules_per_image", "", "no energy is measured on cpu"),
    ],
)
def test_a_claim_that_no_cell_can_answer_is_told(load, metric, data, why):
    found = untestable_claims(load(metric, data), "cpu", None)
    assert list(found) == ([] if why is None else ["a"])
    if why:
        assert why in found["a"]


def test_networks_that_run_are_not_named(load):
    found = check_variants(load().variants, None)
    assert [network.failure for network in found.values()] == [None, None]


class Theirs(nn.Module):
    def __init__(self, image: ImageSpec, kind: str) -> None:
        super().__init__()
        if kind == "same":
            torch.manual_seed(0)
        self.kind, self.dense = kind, nn.Linear(image.resolution**2, image.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        match self.kind:
            case "drops":
                images = nn.functional.dropout(images)
            case "centred":
                images = images - images.mean(0)
            case "probable":
                return self.dense(images.flatten(1)).softmax(1)
        return self.dense(images.flatten(1))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("drops", "its answers in evaluation are random; a dropout function needs training=self.training"),
        ("centred", "its answer to an image depends on the other images of a batch, also in evaluation"),
        ("probable", "it returns probabilities, and is trained as if they were logits; leave out its softmax"),
        ("same", "its first weights are the same with every seed, so that the spread over seeds leaves them out"),
        ("fine", None),
    ],
)
def test_a_network_of_ones_own_whose_numbers_mislead_is_doubted(load, monkeypatch, kind, why):
    list_models()
    monkeypatch.setitem(registered, "model", dict(registered["model"]))

    @register_model
    def theirs(image: ImageSpec, kind: str = kind) -> nn.Module:
        return Theirs(image, kind)

    state = torch.get_rng_state()
    assert [*doubt_notes(load(model="theirs").variants, None)] == ([f"warning: theirs: {why}"] if why else [])
    assert torch.equal(torch.get_rng_state(), state)


def test_the_largest_memory_is_that_of_the_widest_network(load):
    grid = load()
    networks = check_variants(grid.variants, None)
    label, num_bytes = largest_memory(grid.variants, networks, "cpu", None)
    variant = next(variant for variant in grid.variants if variant.label == label)
    assert variant.model.arguments["hidden"] == 32
    formula = count_memory("mlp", ImageSpec(1, 8, 10), variant.recipe, hidden=32)
    assert num_bytes == formula.train_peak(64)
    assert largest_memory([], {}, "cpu", None) is None
