"""LeNet, the small network that dense heads are measured by."""

from typing import Annotated

from torch import nn

from nin_bench.models.layers import (
    Activation,
    BatchNorm,
    Rows,
    Width,
    conv_rows,
    dense_rows,
    map_size,
    scale_channels,
    sequential,
)
from nin_bench.models.registry import About, ImageSpec, register_model

LeNetActivation = Annotated[Activation, About("non-linearity; sigmoid brings average pools, relu max-pools")]


@register_model
def lenet(
    image: ImageSpec,
    *,
    activation: LeNetActivation = "sigmoid",
    width: Width = 1.0,
    batch_norm: BatchNorm = False,
) -> nn.Module:
    """LeNet as the notebooks draw it: two convolutions of 5×5, two hidden dense layers of 120 and 84.

    Input: (N, image.channels, H, W) float, H and W at least 12. Output: (N, image.num_classes) logits.
    Source: LeCun et al., 1998.
    """
    first, second = scale_channels((6, 16), width)
    pool = nn.AvgPool2d if activation == "sigmoid" else nn.MaxPool2d
    conv1 = nn.Conv2d(image.channels, first, 5, padding=2)
    conv2 = nn.Conv2d(first, second, 5)
    rows: Rows = {
        **conv_rows("conv1", conv1, batch_norm=batch_norm, activation=activation),
        "pool1": pool(2, stride=2),
        **conv_rows("conv2", conv2, batch_norm=batch_norm, activation=activation),
        "pool2": pool(2, stride=2),
    }
    size = map_size(rows.values(), image.resolution)
    rows |= dense_rows(second * size * size, (120, 84), image.num_classes, activation=activation)
    return sequential(rows)
