"""Functions of other people that do not return a network, as a stranger writes them."""

import pytest
import torch
from torch import nn

from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, list_models, register_model
from nin_bench.models.in_shape import build_in_shape
from nin_bench.plugins import registered

DIGITS = ImageSpec(1, 8, 10)


@pytest.fixture(autouse=True)
def _theirs(monkeypatch):
    list_models()  # which registers the built-in ones
    monkeypatch.setitem(registered, "model", dict(registered["model"]))  # what is added here is forgotten

    @register_model
    def forgot(image) -> nn.Module:  # type: ignore[return]
        nn.Linear(64, image.num_classes)

    @register_model
    def typo(image) -> nn.Module:
        return nn.Linear(64, image.classes)

    @register_model
    def lazy(image) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(image.num_classes))

    @register_model
    def half(image) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, image.num_classes)).half()

    @register_model
    def too_large(image) -> nn.Module:
        raise RuntimeError("can't allocate memory: 10 bytes")

    @register_model
    def rates(image) -> nn.Module:
        """The rates of stochastic depth, read from a tensor."""
        rate = torch.linspace(0, 0.5, 3)[1].item()
        return nn.Sequential(nn.Flatten(), nn.Dropout(rate), nn.Linear(64, image.num_classes))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("forgot", "its function returned null, expected a torch.nn.Module"),
        ("lazy", "it has lazy layers; give them the sizes of their inputs"),
        (
            "half",
            "its weights are torch.float16, expected torch.float32; recipe.precision is what lowers it",
        ),
        (
            "typo",
            "cannot be built: AttributeError: 'ImageSpec' object has no attribute 'classes' (in typo, "
            "test_in_shape.py:26)",
        ),
    ],
)
def test_a_function_that_returns_no_network_is_refused_with_its_name(name, message):
    with pytest.raises(SpecError) as refused:
        build_in_shape(name, DIGITS)
    assert str(refused.value) == f"model: {message}"


def test_a_function_that_looks_at_values_is_built_with_weights_and_draws_nothing():
    before = torch.get_rng_state()
    assert next(build_in_shape("rates", DIGITS).parameters()).device.type == "cpu"
    assert torch.equal(torch.get_rng_state(), before)
    assert next(build_in_shape("mlp", DIGITS).parameters()).device.type == "meta"


def test_memory_that_ran_out_is_no_fault_of_the_function():
    with pytest.raises(RuntimeError, match="memory"):
        build_in_shape("too_large", DIGITS)
