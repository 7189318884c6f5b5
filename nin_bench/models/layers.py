"""What the families share: arguments that mean the same everywhere, rows of layers, and their arithmetic.

A network is a tree of `nn.Sequential`; its top-level children are the rows that the notebooks print.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Annotated, Literal

import torch
from torch import nn

from nin_bench.errors import SpecError
from nin_bench.models.registry import About

Width = Annotated[
    float, About("multiplier of every convolution's channels, the class maps' excepted", below=1_000)
]
BatchNorm = Annotated[bool, About("batch normalisation after every convolution, before its activation")]
Hidden = Annotated[int, About("number of units, in each hidden dense layer", minimum=1, below=1_000_000)]
Dropout = Annotated[float, About("share of values, dropped while training", minimum=0, below=1)]
Activation = Literal["relu", "sigmoid"]

Rows = dict[str, nn.Module]
"""Layers by name, in the order in which data meets them."""


class GlobalAveragePool(nn.Module):
    """Each map's mean: (N, C, H, W) to (N, C, 1, 1).

    A plain mean, because adaptive pooling's backward pass does not repeat bit for bit on CUDA.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Average over the last two dimensions, and keep them."""
        return maps.mean(dim=(-2, -1), keepdim=True)


def sequential(rows: Mapping[str, nn.Module]) -> nn.Sequential:
    """Rows as a network, under their names."""
    return nn.Sequential(OrderedDict(rows))


def conv_rows(name: str, convolution: nn.Conv2d, *, batch_norm: bool, activation: Activation = "relu") -> Rows:
    """A convolution, batch normalisation where asked for, and the activation."""
    norm: Rows = {f"{name}_norm": nn.BatchNorm2d(convolution.out_channels)} if batch_norm else {}
    return {name: convolution, **norm, f"{name}_{activation}": _activation(activation)}


def dense_rows(
    inputs: int,
    hidden: Sequence[int],
    num_classes: int,
    *,
    activation: Activation = "relu",
    dropout: float | None = None,
    drop_inputs: bool = False,
) -> Rows:
    """Flatten, hidden dense layers each with its activation, and the dense layer of the class scores.

    Args:
        inputs: values per image after flattening.
        hidden: units of each hidden layer; with none, the scores follow at once.
        num_classes: class scores per image.
        activation: of the hidden layers.
        dropout: share dropped of each hidden layer's outputs; None leaves the layer out altogether.
        drop_inputs: drop of each hidden layer's inputs instead.
    """
    rows: Rows = {"flatten": nn.Flatten()}
    for index, units in enumerate(hidden, start=1):
        drop: Rows = {} if dropout is None else {f"dropout{index}": nn.Dropout(dropout)}
        dense = {
            f"dense{index}": nn.Linear(inputs, units),
            f"dense{index}_{activation}": _activation(activation),
        }
        rows |= drop | dense if drop_inputs else dense | drop
        inputs = units
    return rows | {"output": nn.Linear(inputs, num_classes)}


def scale_channels(channels: Sequence[int], width: float) -> list[int]:
    """Channels times width, rounded to the nearest number, halves up.

    Raises:
        SpecError: one of them would have none; the message has the smallest width that leaves one in each.
    """
    scaled = [math.floor(number * width + 0.5) for number in channels]
    if min(scaled) < 1:
        narrowest = min(channels)
        smallest = math.ceil(0.5 / narrowest * 10_000) / 10_000
        raise SpecError("width", f"{width:g} leaves no channel of {narrowest}; use {smallest:g} or more")
    return scaled


def map_size(layers: Iterable[nn.Module], resolution: int) -> int:
    """Height and width of the maps that come out of convolutions and pools, in pixels.

    Args:
        layers: rows of a network, blocks included; layers without a window are passed over.
        resolution: height and width of the images.

    Raises:
        SpecError: some window does not fit its input; the message has the smallest resolution that would do.
    """
    windows = [leaf for layer in layers for leaf in layer.modules() if isinstance(leaf, _Windowed)]
    size = _size_after(windows, resolution)
    if size < 1:
        smallest = next(candidate for candidate in count(1) if _size_after(windows, candidate) >= 1)
        raise SpecError("resolution", f"{resolution} is too small for these layers; use {smallest} or more")
    return size


_Windowed = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d


def _size_after(windows: Iterable[_Windowed], size: int) -> int:
    """⌊(size + 2·padding − kernel) / stride⌋ + 1, for every window in turn; 0 where one does not fit."""
    for layer in windows:
        kernel, stride, padding = map(_side, (layer.kernel_size, layer.stride, layer.padding))
        rest = size + 2 * padding - kernel
        if not isinstance(layer, nn.Conv2d) and layer.ceil_mode:
            rest += stride - 1  # the last window may hang over the edge
        size = rest // stride + 1
        if size < 1:
            return 0
    return size


def _side(value: int | str | tuple[int, ...]) -> int:
    side = value[0] if isinstance(value, tuple) else value
    assert isinstance(side, int), "padding is written as a number"
    return side


def _activation(name: Activation) -> nn.Module:
    # In place: what precedes it (convolution, normalisation, dense layer) does not keep its own output.
    return nn.ReLU(inplace=True) if name == "relu" else nn.Sigmoid()
