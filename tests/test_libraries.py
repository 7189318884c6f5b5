"""Networks of torchvision and timm by name, held against what the libraries publish of them."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import get_model_weights

from nin_bench.cost import count_model
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, build_model, list_models, model_arguments, model_summary, resolve_arguments
from nin_bench.models.code import definition_digests
from nin_bench.models.libraries import library_model

IMAGENET = ImageSpec(3, 224, 1000)
extra = pytest.mark.extra  # what needs timm


@pytest.mark.parametrize("network", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "vit_b_16", "densenet121"])
def test_torchvisions_networks_have_the_counts_that_it_publishes(network):
    published = get_model_weights(network).DEFAULT.meta
    count = count_model(f"torchvision/{network}", IMAGENET)
    assert count.num_params.total == published["num_params"]
    assert count.num_macs.total / 1e9 == pytest.approx(published["_ops"], abs=0.0011)


@extra
@pytest.mark.parametrize(
    ("timm", "torchvision"), [("resnet18", "resnet18"), ("mobilenetv3_small_100", "mobilenet_v3_small")]
)
def test_networks_that_both_libraries_have_are_counted_alike(timm, torchvision):
    ours = count_model(f"timm/{timm}", IMAGENET).num_params.total
    assert ours == get_model_weights(torchvision).DEFAULT.meta["num_params"]


@pytest.mark.parametrize("name", ["torchvision/resnet18", pytest.param("timm/resnet18", marks=extra)])
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
    assert resolve_arguments("torchvision/densenet121", {}) == dict.fromkeys(arguments) | {"weights": "none"}
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
            marks=extra,
        ),
    ],
)
def test_an_unknown_network_is_answered_with_what_is_near(name, message):
    with pytest.raises(SpecError) as refusal:
        model_arguments(name)
    assert str(refusal.value).startswith(message)
    assert name not in list_models()


# Trained weights, from the libraries' caches


@pytest.fixture
def torch_home(tmp_path, monkeypatch) -> Path:
    """An empty cache of torch and of the Hugging Face hub."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path


def published(network: nn.Module, seed: int = 1) -> dict[str, torch.Tensor]:
    """Weights that are nobody's initial ones, in the form that the library publishes."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: 0.01 + 0.1 * torch.rand(value.shape, generator=generator) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }


def test_torchvisions_trained_weights_are_taken_from_its_cache(torch_home):
    whole = build_model("torchvision/resnet18", IMAGENET)
    weights = published(whole)
    torch.save(weights, torch_home / "hub/checkpoints/resnet18-f37072fd.pth")  # as torchvision.models names it
    same = build_model("torchvision/resnet18", IMAGENET, weights="default")
    assert all(torch.equal(value, weights[name]) for name, value in same.state_dict().items())
    other = build_model("torchvision/resnet18", ImageSpec(3, 40, 7), weights="default")
    assert other.fc.weight.shape == (7, 512)
    assert all(torch.equal(value, weights[name]) for name, value in other.state_dict().items() if "fc" not in name)
    coloured, grey = (
        build_model("torchvision/resnet18", ImageSpec(c, 224, 1000), weights="default") for c in (3, 1)
    )
    image = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        logits = [network.eval()(image.expand(2, c, 32, 32)) for network, c in ((coloured, 3), (grey, 1))]
    assert torch.allclose(*logits, rtol=1e-3)
    with torch.device("meta"):  # as a plan counts it
        assert build_model("torchvision/resnet18", IMAGENET, weights="default").fc.weight.is_meta
    with pytest.raises(SpecError, match="weights: default is of 3 channels, or 1 as their sum; the images have 2"):
        build_model("torchvision/resnet18", ImageSpec(2, 32, 10), weights="default")


def test_weights_of_images_of_another_size_are_refused(torch_home):
    weights = published(build_model("torchvision/vit_b_32", IMAGENET))
    torch.save(weights, torch_home / "hub/checkpoints/vit_b_32-d86f8d99.pth")
    with pytest.raises(
        SpecError, match=r"weights: default has no encoder\.pos_embedding of the shape \(1, 5, 768\)"
    ):
        build_model("torchvision/vit_b_32", ImageSpec(3, 64, 1000), weights="default")


@extra
def test_timms_trained_weights_are_taken_from_the_hubs_cache(torch_home):
    save_file = pytest.importorskip("safetensors.torch").save_file
    network = build_model("timm/test_resnet", IMAGENET)
    weights = published(network)
    folder = torch_home / "hub/models--timm--test_resnet.r160_in1k"
    (folder / "snapshots/abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("abc")
    save_file(weights, folder / "snapshots/abc/model.safetensors")
    other = build_model("timm/test_resnet", ImageSpec(1, 32, 7), weights="default")
    taken = other.state_dict()
    assert taken["fc.weight"].shape[0] == 7
    assert torch.equal(taken["layer1.0.conv1.weight"], weights["layer1.0.conv1.weight"])
    assert torch.allclose(taken["conv1.0.weight"], weights["conv1.0.weight"].sum(1, keepdim=True))
    with torch.device("meta"):
        assert build_model("timm/test_resnet", IMAGENET, weights="default").fc.weight.is_meta


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "torchvision/resnet18",
            "and a run downloads none; download https://download.pytorch.org/models/resnet18-",
        ),
        pytest.param(
            "timm/resnet18",
            "none; python -c \"import timm; timm.create_model('resnet18', pre",
            marks=extra,
        ),
        pytest.param("timm/resnet200", "timm has no trained weights of resnet200; use none", marks=extra),
    ],
)
def test_weights_that_are_not_there_are_refused_and_not_downloaded(torch_home, name, message):
    with torch.device("meta"), pytest.raises(SpecError) as refusal:
        build_model(name, IMAGENET, weights="default")
    assert refusal.value.field == "weights"
    assert message in str(refusal.value)


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
