"""What a model takes. Counted here, exactly, on the meta device: parameters, MACs and shapes, layer by layer.

A MAC is one multiplication and the addition that goes with it, two FLOPs. MACs are those of convolutions and
dense layers, for one image, forward: adding a bias, normalising, pooling and activations are not counted. A
layer's parameters include its bias.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import nn

from nin_bench.models import ImageSpec, build_model

Kind = Literal["convolution", "pointwise", "dense", "other"]
Shapes = dict[nn.Module, tuple[int, ...]]
"""Output shapes with a batch of one, of every module of a network."""


@dataclass(frozen=True)
class Breakdown:
    """A count, and the parts of it that belong to the three kinds of layer with weights to multiply by."""

    total: int
    """Of the whole network, batch normalisation included."""
    convolution: int
    """Of convolutions with a window of more than one pixel, also those that stand for 1×1 ones."""
    pointwise: int
    """Of 1×1 convolutions."""
    dense: int


@dataclass(frozen=True)
class Count:
    """What one model takes for one image, in exact integers."""

    num_params: Breakdown
    num_macs: Breakdown
    """Per image, forward."""
    first_dense_weights: int | None
    """Weights of the first dense layer, its bias left out; None without a dense layer."""


@dataclass(frozen=True)
class LayerCost:
    """One row of a model's layer table."""

    name: str
    """Where it stands in the network: ``block1``, or ``block1.pointwise2``."""
    type: str
    """Its class: ``NiNBlock``, ``Conv2d``, ``MaxPool2d``."""
    output_shape: tuple[int, ...]
    """With a batch of one."""
    num_params: int
    num_macs: int
    """Per image, forward."""


def count_cost(name: str, image: ImageSpec, **arguments: object) -> Count:
    """Count a model's parameters and MACs, as a whole and by kind of layer.

    Args:
        name: a registered model.
        image: what goes in and how many classes come out.
        **arguments: of the model; those left out take their default.

    Raises:
        SpecError: what `build_model` refuses.
    """
    model, shapes = _run_on_meta(name, image, arguments)
    num_params, num_macs = Counter[Kind](), Counter[Kind]()
    for module in model.modules():
        num_params[_kind(module)] += sum(weight.numel() for weight in module.parameters(recurse=False))
        num_macs[_kind(module)] += _macs(module, shapes)
    dense = (module for module in model.modules() if isinstance(module, nn.Linear))
    return Count(
        num_params=_break_down(num_params),
        num_macs=_break_down(num_macs),
        first_dense_weights=next((layer.weight.numel() for layer in dense), None),
    )


def count_layers(name: str, image: ImageSpec, *, deep: bool = False, **arguments: object) -> list[LayerCost]:
    """Count a model's parameters, MACs and shapes row by row, in the order in which data meets the rows.

    Args:
        name: a registered model.
        image: what goes in and how many classes come out.
        deep: a row for every layer; else a block is one row, as the notebooks print it.
        **arguments: of the model; those left out take their default.

    Raises:
        SpecError: what `build_model` refuses.
    """
    model, shapes = _run_on_meta(name, image, arguments)
    rows = model.named_modules() if deep else model.named_children()
    return [
        LayerCost(
            name=row_name,
            type=type(row).__name__,
            output_shape=shapes[row],
            num_params=sum(weight.numel() for weight in row.parameters()),
            num_macs=sum(_macs(module, shapes) for module in row.modules()),
        )
        for row_name, row in rows
        if not deep or not list(row.children())
    ]


def _run_on_meta(name: str, image: ImageSpec, arguments: Mapping[str, object]) -> tuple[nn.Module, Shapes]:
    """Build a model and pass one image through it, in shape only: nothing is stored, nothing computed."""
    shapes: Shapes = {}

    def note_shape(module: nn.Module, _: object, output: torch.Tensor) -> None:
        shapes[module] = tuple(output.shape)

    with torch.device("meta"), torch.inference_mode():
        model = build_model(name, image, **arguments).eval()  # training, one image is too few to normalise
        for module in model.modules():
            module.register_forward_hook(note_shape)
        model(torch.empty(1, image.channels, image.resolution, image.resolution))
    assert shapes[model] == (1, image.num_classes)
    return model, shapes


def _kind(module: nn.Module) -> Kind:
    if isinstance(module, nn.Linear):
        return "dense"
    if isinstance(module, nn.Conv2d):
        return "pointwise" if module.kernel_size == (1, 1) else "convolution"
    return "other"


def _macs(module: nn.Module, shapes: Shapes) -> int:
    """One for each output value and each weight of its channel, in convolutions and dense layers."""
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return 0
    return prod(shapes[module]) * module.weight[0].numel()


def _break_down(by_kind: Counter[Kind]) -> Breakdown:
    return Breakdown(
        total=by_kind.total(),
        convolution=by_kind["convolution"],
        pointwise=by_kind["pointwise"],
        dense=by_kind["dense"],
    )
