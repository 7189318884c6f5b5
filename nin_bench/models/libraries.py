"""Networks of torchvision and of timm by name: `torchvision/resnet18`, `timm/resnet18`.

They begin with the library's initial weights or, where the file is in the library's cache, with the trained
weights that it recommends. What a library's constructor takes besides is an argument that may be left at null, the
library's own value.
"""

import inspect
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import torch
from torch import nn

from nin_bench.errors import SpecError, unknown_name
from nin_bench.models.registry import About, Argument, ImageSpec

_OF_IMAGES = frozenset({"num_classes", "in_chans", "image_size", "img_size", "pretrained", "weights", "progress"})
"""Parameters that the images decide, or that choose trained weights."""

_KINDS = (bool, int, float, str)

_WEIGHTS = Argument(
    "weights",
    str,
    "none",
    ("none", "default"),
    About("choice of initial weights, trained ones of the library for default"),
)


@cache
def library_model(name: str) -> tuple[Callable[..., nn.Module], dict[str, Argument]]:
    """The function that builds a library's network, as a registered model's does, and its arguments.

    Args:
        name: `torchvision/…` or `timm/…`.

    Raises:
        SpecError: the library is not installed, or has no such network.
    """
    library, _, network = name.partition("/")
    if library == "torchvision":
        return _torchvision(network)
    if library == "timm":
        return _timm(network)
    raise SpecError("name", unknown_name("library", library, ["torchvision", "timm"]))


def _torchvision(network: str) -> tuple[Callable[..., nn.Module], dict[str, Argument]]:
    models = import_module("torchvision.models")
    known = models.list_models(module=models)
    if network not in known:
        raise SpecError("name", unknown_name("network of torchvision", network, known))
    builder = models.get_model_builder(network)
    parameters = _parameters(builder)

    @wraps(builder)
    def build(image: ImageSpec, weights: str, **arguments: Any) -> nn.Module:
        size = {"image_size": image.resolution} if "image_size" in parameters else {}
        model = _called(builder, weights=None, num_classes=image.num_classes, **size, **_given(arguments))
        if weights == "default":
            trained = models.get_model_weights(network).DEFAULT
            _load_trained(model, _in_torchs_cache(trained.url, f"torchvision/{network}"), image)
        return _with_channels(model, image.channels, keep_weights=weights == "default")

    return build, _arguments(parameters)


def _timm(network: str) -> tuple[Callable[..., nn.Module], dict[str, Argument]]:
    try:
        timm = import_module("timm")
    except ImportError as error:
        raise SpecError("name", f"timm/{network} needs the package timm; install it: pip install timm") from error
    known = timm.list_models()
    if network not in known:
        raise SpecError("name", unknown_name("network of timm", network, known))
    builder = timm.model_entrypoint(network)
    parameters = _parameters(builder)

    @wraps(builder)
    def build(image: ImageSpec, weights: str, **arguments: Any) -> nn.Module:
        size = {"img_size": image.resolution} if "img_size" in parameters else {}
        shape = {"in_chans": image.channels, "num_classes": image.num_classes, **size, **_given(arguments)}
        if weights == "none":
            return _called(timm.create_model, network, pretrained=False, **shape)
        file = {"file": str(_in_timms_cache(network))}
        # On the meta device there is nothing to load into: the shapes alone are wanted.
        return _called(timm.create_model, network, pretrained=not _is_meta(), pretrained_cfg_overlay=file, **shape)

    return build, _arguments(parameters)


def _called(function: Callable[..., nn.Module], *values: Any, **keywords: Any) -> nn.Module:
    """What a library's function builds; it may refuse what its constructor would take."""
    try:
        return function(*values, **keywords)
    except TypeError as error:
        raise SpecError("name", f"cannot be built with these arguments: {error}") from error


def _parameters(builder: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a builder and of the class of network that it returns."""
    own = dict(inspect.signature(builder).parameters)
    network = get_type_hints(builder).get("return")
    return (dict(inspect.signature(network).parameters) if inspect.isclass(network) else {}) | own


def _arguments(parameters: dict[str, inspect.Parameter]) -> dict[str, Argument]:
    """The parameters whose default is a value that a grid can hold."""
    kinds = {
        name: parameter.annotation if parameter.annotation in _KINDS else type(parameter.default)
        for name, parameter in parameters.items()
        if name not in _OF_IMAGES and type(parameter.default) in _KINDS
    }
    arguments = {
        name: Argument(name, kind, None, None, About(f"{name}, null for the library's own"))
        for name, kind in kinds.items()
    }
    return {"weights": _WEIGHTS, **arguments}


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _with_channels(model: nn.Module, channels: int, *, keep_weights: bool) -> nn.Module:
    """The network with a first convolution for images of that many channels; torchvision's take three.

    Where weights are kept, that of a grey channel is the sum of three, so that a grey image gives what its three
    equal channels would.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            if layer.in_channels != channels:
                first = _convolution_like(layer, channels)
                if keep_weights:
                    first.load_state_dict(
                        {**layer.state_dict(), "weight": layer.weight.detach().sum(1, keepdim=True)}
                    )
                model.set_submodule(name, first)
            return model
    raise SpecError("name", "has no convolution that takes the image; use images of three channels")


def _convolution_like(layer: nn.Conv2d, channels: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        bias=layer.bias is not None,
    )


# Trained weights


def _load_trained(model: nn.Module, file: Path, image: ImageSpec) -> None:
    """Load a network's trained weights, but for the layer that gives the scores, if the classes are others."""
    if image.channels not in (1, 3):
        raise SpecError(
            "weights", f"default is of 3 channels, or 1 as their sum; the images have {image.channels}"
        )
    if _is_meta():
        return
    trained, own = torch.load(file, map_location="cpu", weights_only=True), model.state_dict()
    others = [name for name in own if name not in trained or trained[name].shape != own[name].shape]
    misfits = [name for name in others if own[name].shape[:1] != (image.num_classes,)]
    if misfits:
        raise SpecError(
            "weights",
            f"default has no {misfits[0]} of the shape {tuple(own[misfits[0]].shape)}; use the resolution and the "
            "arguments that it was trained with, or none",
        )
    model.load_state_dict({**trained, **{name: own[name] for name in others}})


def _is_meta() -> bool:
    return torch.empty(0).is_meta


def _in_torchs_cache(url: str, name: str) -> Path:
    """Where torch keeps what it downloaded from this address; SpecError if it is not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        raise _not_cached(name, f"download {url} to {path}")
    return path


def _in_timms_cache(network: str) -> Path:
    """Where the weights lie that timm recommends, as the Hugging Face hub or torch keeps them."""
    about = import_module("timm").get_pretrained_cfg(network)
    name = f"timm/{network}"
    if about is None or not (about.hf_hub_id or about.url):
        raise SpecError("weights", f"timm has no trained weights of {network}; use none")
    if about.hf_hub_id:
        find = import_module("huggingface_hub").try_to_load_from_cache
        for file in (about.hf_hub_filename, "model.safetensors", "pytorch_model.bin"):
            if file and isinstance(path := find(about.hf_hub_id, file), str):
                return Path(path)
        raise _not_cached(name, f"python -c \"import timm; timm.create_model('{network}', pretrained=True)\"")
    return _in_torchs_cache(about.url, name)


def _not_cached(name: str, remedy: str) -> SpecError:
    return SpecError(
        "weights", f"default of {name} is not in the library's cache, and a run downloads none; {remedy}"
    )
