"""Networks of torchvision and timm by name, held against what the libraries publish of them."""

import importlib.util
import sys

import pytest
import torch
from torchvision.models import get_model_weights

from nin_bench.cost import count_model
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, build_model, list_models, model_arguments, model_summary, resolve_arguments
from nin_bench.models.code import definition_digests
from nin_bench.models.libraries import library_model

IMAGENET = ImageSpec(3, 224, 1000)
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs the package timm")


@pytest.mark.parametrize("network", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "vit_b_16", "densenet121"])
def test_torchvisions_networks_have_the_counts_that_it_publishes(network):
    published = get_model_weights(network).DEFAULT.meta
    count = count_model(f"torchvision/{network}", IMAGENET)
    assert count.num_params.total == published["num_params"]
    assert count.num_macs.total / 1e9 == pytest.approx(published["_ops"], abs=0.0011)


@needs_timm
@pytest.mark.parametrize(
    ("timm", "torchvision"), [("resnet18", "resnet18"), ("mobilenetv3_small_100", "mobilenet_v3_small")]
)
def test_networks_that_both_libraries_have_are_counted_alike(timm, torchvision):
    ours = count_model(f"timm/{timm}", IMAGENET).num_params.total
    assert ours == get_model_weights(torchvision).DEFAULT.meta["num_params"]


@pytest.mark.parametrize("name", ["torchvision/resnet18", pytest.param("timm/resnet18", marks=needs_timm)])
def test_it_takes_grey_images_of_any_size_and_as_many_classes_as_there_are(name):
    torch.manual_seed(0)
    network = build_model(name, ImageSpec(1, 40, 7))
    assert network(torch.rand(2, 1, 40, 40)).shape == (2, 7)
    with torch.device("meta"):
        colour, grey = (build_model(name, ImageSpec(channels, 40, 7)) for channels in (3, 1))
    first = [next(weights for weights in one.parameters()) for one in (colour, grey)]
    assert [tuple(weights.shape) for weights in first] == [(64, 3, 7, 7), (64, 1, 7, 7)]


def test_a_transformers_positions_are_those_of_the_images():
    with torch.device("meta"):
        network = build_model("torchvision/vit_b_16", ImageSpec(3, 64, 10))
    assert network.encoder.pos_embedding.shape == (1, 4 * 4 + 1, 768)


def test_an_argument_is_the_librarys_own_unless_it_is_given():
    arguments = model_arguments("torchvision/densenet121")
    assert (arguments["growth_rate"].type, arguments["drop_rate"].type) == (int, float)
    assert set(resolve_arguments("torchvision/densenet121", {}).values()) == {None}
    with torch.device("meta"):
        dropped = build_model("torchvision/densenet121", ImageSpec(3, 64, 10), drop_rate=0.5)
        assert dropped.features.denseblock1.denselayer1.drop_rate == 0.5
        with pytest.raises(SpecError) as refusal:  # its function sets that one itself
            build_model("torchvision/densenet121", ImageSpec(3, 64, 10), growth_rate=48)
    assert "growth_rate" in str(refusal.value)
    with pytest.raises(SpecError) as refusal:
        resolve_arguments("torchvision/resnet18", {"group": 2})
    assert refusal.value.field == "group"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision/resnet19", "name: unknown network of torchvision 'resnet19'; did you mean 'resnet18'? "),
        ("elsewhere/resnet18", "name: unknown library 'elsewhere'; Known: timm, torchvision"),
        pytest.param(
            "timm/resnet19",
            "name: unknown network of timm 'resnet19'; did you mean 'resnet18'? ",
            marks=needs_timm,
        ),
    ],
)
def test_an_unknown_network_is_answered_with_what_is_near(name, message):
    with pytest.raises(SpecError) as refusal:
        model_arguments(name)
    assert str(refusal.value).startswith(message)
    assert name not in list_models()


def test_without_timm_a_line_says_what_to_install(monkeypatch):
    library_model.cache_clear()
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SpecError) as refusal:
        model_arguments("timm/resnet18")
    assert str(refusal.value) == "name: timm/resnet18 needs the package timm; install it: pip install timm"


def test_the_code_that_counts_is_the_librarys():
    digests = definition_digests("torchvision/resnet18")
    assert {"models.resnet.resnet18", "models.resnet.ResNet", "models.resnet.BasicBlock"} <= digests.keys()
    assert model_summary("torchvision/resnet18").startswith("ResNet-18 from ")
