"""Parameters, MACs, FLOPs and shapes of a model, layer by layer, exactly, on the meta device.

A MAC is one multiplication and the addition that goes with it, two FLOPs. MACs are those of convolutions and
dense layers, for one image, forward: adding a bias, normalising, pooling and activations are not counted. A
layer's parameters include its bias.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import nn

from nin_bench.models import ImageSpec, build_model
from nin_bench.results.cost_entry import Kind


@dataclass(frozen=True)
class Call:
    """One passage of one image through a module."""

    num_inputs: int
    """Values read."""
    output_shape: tuple[int, ...]
    """With a batch of one."""
    needs_input_gradient: bool
    """Whether weights lie before it, so that backward passes on through it; false where it reads the image."""


Calls = Mapping[nn.Module, Sequence[Call]]
"""Every module of a network, with its calls in one forward pass."""


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
    model, calls = run_on_meta(name, image, arguments)
    num_params, num_macs = Counter[Kind](), Counter[Kind]()
    for module in model.modules():
        num_params[kind_of(module)] += sum(weight.numel() for weight in module.parameters(recurse=False))
        num_macs[kind_of(module)] += sum(macs_of(module, call) for call in calls[module])
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
    model, calls = run_on_meta(name, image, arguments)
    rows = leaves_of(model) if deep else list(model.named_children())
    return [layer_cost(row_name, row, calls) for row_name, row in rows]


def count_training_flops(name: str, image: ImageSpec, **arguments: object) -> int:
    """Count the FLOPs that training takes for one image, forward and backward, optimizer left out.

    Two for each MAC forward, as many for the gradient of the weights, and as many for that of the layer's input,
    except where the input is the image. This is the work a utilisation is a share of: the network's own, none
    added by rewriting a layer or by computing it twice (Chowdhery et al., 2022, appendix B).

    Args:
        name: a registered model.
        image: what goes in and how many classes come out.
        **arguments: of the model; those left out take their default.

    Raises:
        SpecError: what `build_model` refuses.
    """
    _, calls = run_on_meta(name, image, arguments)
    return sum(
        2 * macs_of(module, call) * (3 if call.needs_input_gradient else 2)
        for module, module_calls in calls.items()
        for call in module_calls
    )


def run_on_meta(name: str, image: ImageSpec, arguments: Mapping[str, object]) -> tuple[nn.Module, Calls]:
    """Build a model and pass one image through it, in shape only: nothing is stored, nothing computed."""
    calls: dict[nn.Module, list[Call]] = defaultdict(list)

    def note_call(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        calls[module].append(
            Call(
                num_inputs=sum(values.numel() for values in inputs),
                output_shape=tuple(output.shape),
                needs_input_gradient=any(values.requires_grad for values in inputs),
            )
        )

    with torch.device("meta"), torch.enable_grad():
        model = build_model(name, image, **arguments).eval()  # training, one image is too few to normalise
        for module in model.modules():
            module.register_forward_hook(note_call)
        model(torch.empty(1, image.channels, image.resolution, image.resolution))
    assert calls[model][-1].output_shape == (1, image.num_classes)
    return model, calls


def leaves_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Its layers by name, in the order in which data meets them."""
    return [(name, module) for name, module in model.named_modules() if not list(module.children())]


def layer_cost(name: str, row: nn.Module, calls: Calls) -> LayerCost:
    """One row of the layer table, of a layer or of a block."""
    return LayerCost(
        name=name,
        type=type(row).__name__,
        output_shape=calls[row][-1].output_shape,
        num_params=sum(weight.numel() for weight in row.parameters()),
        num_macs=sum(macs_of(module, call) for module in row.modules() for call in calls[module]),
    )


def kind_of(module: nn.Module) -> Kind:
    """What a layer multiplies by, and how."""
    if isinstance(module, nn.Linear):
        return "dense"
    if isinstance(module, nn.Conv2d):
        return "pointwise" if module.kernel_size == (1, 1) else "convolution"
    return "other"


def macs_of(module: nn.Module, call: Call) -> int:
    """One for each output value and each weight of its channel, in convolutions and dense layers."""
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return 0
    return prod(call.output_shape) * module.weight[0].numel()


def _break_down(by_kind: Counter[Kind]) -> Breakdown:
    return Breakdown(
        total=by_kind.total(),
        convolution=by_kind["convolution"],
        pointwise=by_kind["pointwise"],
        dense=by_kind["dense"],
    )
