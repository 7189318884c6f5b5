"""VGG: blocks of 3×3 convolutions, with the heaviest dense head of all."""

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
from nin_bench.models.registry import ImageSpec, register_model


class VGGBlock(nn.Sequential):
    """Convolutions of 3×3 that keep the size, each with its ReLU, then a max-pool that halves it."""

    def __init__(self, in_channels: int, out_channels: int, convolutions: int, *, batch_norm: bool) -> None:
        super().__init__()
        rows: Rows = {}
        for index in range(1, convolutions + 1):
            convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1)
            rows |= conv_rows(f"conv{index}", convolution, batch_norm=batch_norm)
            in_channels = out_channels
        for name, layer in rows.items():
            self.add_module(name, layer)
        self.add_module("pool", nn.MaxPool2d(2, stride=2))


@register_model
def vgg11(
    image: ImageSpec,
    *,
    width: Width = 1.0,
    batch_norm: BatchNorm = False,
    hidden: Hidden = 4096,
    dropout: Dropout = 0.5,
) -> nn.Module:
    """VGG with 11 layers that have weights: 8 convolutions in five blocks, 3 dense layers.

    Dense layers are sized from the images instead of pooling to 7×7 as torchvision does, which is the same
    at 224.

    Input: (N, image.channels, H, W) float, H and W at least 32. Output: (N, image.num_classes) logits.
    Source: Simonyan and Zisserman, 2014, configuration A.
    """
    return _vgg((1, 1, 2, 2, 2), image, width, batch_norm, hidden, dropout)


@register_model
def vgg13(
    image: ImageSpec,
    *,
    width: Width = 1.0,
    batch_norm: BatchNorm = False,
    hidden: Hidden = 4096,
    dropout: Dropout = 0.5,
) -> nn.Module:
    """VGG with 13 layers that have weights: 10 convolutions in five blocks, 3 dense layers.

    Input and output: those of `vgg11`. Source: Simonyan and Zisserman, 2014, configuration B.
    """
    return _vgg((2, 2, 2, 2, 2), image, width, batch_norm, hidden, dropout)


@register_model
def vgg16(
    image: ImageSpec,
    *,
    width: Width = 1.0,
    batch_norm: BatchNorm = False,
    hidden: Hidden = 4096,
    dropout: Dropout = 0.5,
) -> nn.Module:
    """VGG with 16 layers that have weights: 13 convolutions in five blocks, 3 dense layers.

    Input and output: those of `vgg11`. Source: Simonyan and Zisserman, 2014, configuration D.
    """
    return _vgg((2, 2, 3, 3, 3), image, width, batch_norm, hidden, dropout)


@register_model
def vgg19(
    image: ImageSpec,
    *,
    width: Width = 1.0,
    batch_norm: BatchNorm = False,
    hidden: Hidden = 4096,
    dropout: Dropout = 0.5,
) -> nn.Module:
    """VGG with 19 layers that have weights: 16 convolutions in five blocks, 3 dense layers.

    Input and output: those of `vgg11`. Source: Simonyan and Zisserman, 2014, configuration E.
    """
    return _vgg((2, 2, 4, 4, 4), image, width, batch_norm, hidden, dropout)


def _vgg(
    convolutions: tuple[int, ...],
    image: ImageSpec,
    width: float,
    batch_norm: bool,
    hidden: int,
    dropout: float,
) -> nn.Module:
    channels = [image.channels, *scale_channels((64, 128, 256, 512, 512), width)]
    rows: Rows = {
        f"block{index + 1}": VGGBlock(channels[index], channels[index + 1], number, batch_norm=batch_norm)
        for index, number in enumerate(convolutions)
    }
    size = map_size(rows.values(), image.resolution)
    rows |= dense_rows(channels[-1] * size * size, (hidden, hidden), image.num_classes, dropout=dropout)
    return sequential(rows)
