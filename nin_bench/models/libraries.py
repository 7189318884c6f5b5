"""Networks of torchvision and of timm by name: `torchvision/resnet18`, `timm/resnet18`.

They begin with the library's initial weights, none of them trained. What a library's constructor takes besides is
an argument that may be left at null, the library's own value.
"""

import inspect
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from typing import Any, get_type_hints

from torch import nn

from nin_bench.errors import SpecError, unknown_name
from nin_bench.models.registry import About, Argument, ImageSpec

_OF_IMAGES = frozenset({"num_classes", "in_chans", "image_size", "img_size", "pretrained", "weights", "progress"})
"""Parameters that the images decide, or that choose trained weights."""

_KINDS = (bool, int, float, str)


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
    def build(image: ImageSpec, **arguments: Any) -> nn.Module:
        size = {"image_size": image.resolution} if "image_size" in parameters else {}
        model = _called(builder, weights=None, num_classes=image.num_classes, **size, **_given(arguments))
        return _with_channels(model, image.channels)

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
    def build(image: ImageSpec, **arguments: Any) -> nn.Module:
        size = {"img_size": image.resolution} if "img_size" in parameters else {}
        shape = {"in_chans": image.channels, "num_classes": image.num_classes, **size}
        return _called(timm.create_model, network, pretrained=False, **shape, **_given(arguments))

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
    return {
        name: Argument(name, kind, None, None, About(f"{name}, null for the library's own"))
        for name, kind in kinds.items()
    }


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _with_channels(model: nn.Module, channels: int) -> nn.Module:
    """The network with a first convolution for images of that many channels; torchvision's take three."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            if layer.in_channels != channels:
                model.set_submodule(name, _convolution_like(layer, channels))
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
