"""AlexNet, the network whose sizes NiN takes over and whose dense head it drops."""

from functools import partial
from typing import Annotated, Literal

from torch import nn

from nin_bench.models.layers import (
    BatchNorm,
    Dropout,
    Hidden,
    Rows,
    Width,
    conv_rows,
    dense_rows,
    map_size,
    scale_channels,
    sequential,
)
from nin_bench.models.registry import About, ImageSpec, register_model

Layout = Annotated[Literal["notebooks", "torchvision"], About("drawing followed")]

_CHANNELS = {"notebooks": (96, 256, 384, 384, 256), "torchvision": (64, 192, 384, 256, 256)}
_FIRST_PADDING = {"notebooks": 1, "torchvision": 2}


@register_model
def alexnet(
    image: ImageSpec,
    *,
    layout: Layout = "notebooks",
    width: Width = 1.0,
    batch_norm: BatchNorm = False,
    hidden: Hidden = 4096,
    dropout: Dropout = 0.5,
) -> nn.Module:
    """AlexNet as the notebooks draw it: one stream, five convolutions, two hidden dense layers.

    The layout ``torchvision`` is that library's: other channels, a wider first padding, and dropout of each
    hidden dense layer's inputs rather than its outputs. Dense layers are sized from the images instead of
    pooling to 6×6, which is the same at 224.

    Input: (N, image.channels, H, W) float, H and W at least 65 (torchvision's layout: 63).
    Output: (N, image.num_classes) logits.
    Source: Krizhevsky et al., 2012; the layout ``torchvision``: Krizhevsky, 2014.
    """
    c1, c2, c3, c4, c5 = scale_channels(_CHANNELS[layout], width)
    conv = partial(conv_rows, batch_norm=batch_norm)
    rows: Rows = {
        **conv("conv1", nn.Conv2d(image.channels, c1, 11, stride=4, padding=_FIRST_PADDING[layout])),
        "pool1": nn.MaxPool2d(3, stride=2),
        **conv("conv2", nn.Conv2d(c1, c2, 5, padding=2)),
        "pool2": nn.MaxPool2d(3, stride=2),
        **conv("conv3", nn.Conv2d(c2, c3, 3, padding=1)),
        **conv("conv4", nn.Conv2d(c3, c4, 3, padding=1)),
        **conv("conv5", nn.Conv2d(c4, c5, 3, padding=1)),
        "pool3": nn.MaxPool2d(3, stride=2),
    }
    size = map_size(rows.values(), image.resolution)
    rows |= dense_rows(
        c5 * size * size,
        (hidden, hidden),
        image.num_classes,
        dropout=dropout,
        drop_inputs=layout == "torchvision",
    )
    return sequential(rows)
