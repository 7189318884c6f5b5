"""Network in Network on VGG's plan: each of VGG's convolutions becomes a NiN block, and no dense layer is left."""

from torch import nn

from nin_bench.models.layers import Dropout, GlobalAveragePool, Rows, Width, map_size, scale_channels, sequential
from nin_bench.models.nin import ClassPointwise, FinalRelu, NiNBlock, Pointwise
from nin_bench.models.registry import ImageSpec, register_model


@register_model
def nin11(
    image: ImageSpec,
    *,
    pointwise: Pointwise = 2,
    class_pointwise: ClassPointwise = None,
    final_relu: FinalRelu = True,
    dropout: Dropout = 0.5,
    width: Width = 1.0,
) -> nn.Module:
    """Network in Network on the plan of `vgg11`: 8 NiN blocks, in five stages that each end in a pool.

    A block is VGG's 3×3 convolution and 1×1 convolutions of the same width. A class block and global average
    pooling take the place of the dense layers, as in `nin`.

    Input: (N, image.channels, H, W) float, H and W at least 32. Output: (N, image.num_classes) logits.
    Source: the blocks of Lin, Chen, Yan, 2013, on configuration A of Simonyan and Zisserman, 2014.
    """
    return _network((1, 1, 2, 2, 2), image, pointwise, class_pointwise, final_relu, dropout, width)


@register_model
def nin16(
    image: ImageSpec,
    *,
    pointwise: Pointwise = 2,
    class_pointwise: ClassPointwise = None,
    final_relu: FinalRelu = True,
    dropout: Dropout = 0.5,
    width: Width = 1.0,
) -> nn.Module:
    """Network in Network on the plan of `vgg16`: 13 NiN blocks, in five stages that each end in a pool.

    Input and output: those of `nin11`. Source: that of `nin11`, on configuration D.
    """
    return _network((2, 2, 3, 3, 3), image, pointwise, class_pointwise, final_relu, dropout, width)


@register_model
def nin19(
    image: ImageSpec,
    *,
    pointwise: Pointwise = 2,
    class_pointwise: ClassPointwise = None,
    final_relu: FinalRelu = True,
    dropout: Dropout = 0.5,
    width: Width = 1.0,
) -> nn.Module:
    """Network in Network on the plan of `vgg19`: 16 NiN blocks, in five stages that each end in a pool.

    Input and output: those of `nin11`. Source: that of `nin11`, on configuration E.
    """
    return _network((2, 2, 4, 4, 4), image, pointwise, class_pointwise, final_relu, dropout, width)


def _network(
    blocks: tuple[int, ...],
    image: ImageSpec,
    pointwise: int,
    class_pointwise: int | None,
    final_relu: bool,
    dropout: float,
    width: float,
) -> nn.Module:
    rows: Rows = {}
    channels = image.channels
    for stage, (number, maps) in enumerate(
        zip(blocks, scale_channels((64, 128, 256, 512, 512), width), strict=True), start=1
    ):
        for block in range(1, number + 1):
            rows[f"block{stage}_{block}"] = NiNBlock(channels, [maps] * (1 + pointwise), 3, padding=1)
            channels = maps
        rows[f"pool{stage}"] = nn.MaxPool2d(2, stride=2)
    map_size(rows.values(), image.resolution)  # refuses images that are too small for the pools
    class_convolutions = 1 + (pointwise if class_pointwise is None else class_pointwise)
    rows |= {
        "dropout": nn.Dropout(dropout),
        "class_block": NiNBlock(
            channels, [image.num_classes] * class_convolutions, 3, padding=1, final_relu=final_relu
        ),
        "average": GlobalAveragePool(),
        "flatten": nn.Flatten(),
    }
    return sequential(rows)
