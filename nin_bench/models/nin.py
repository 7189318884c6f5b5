"""Network in Network at AlexNet's scale, with the block and the heads that the paper's own networks share."""

from functools import partial
from itertools import pairwise
from typing import Annotated, Literal

from torch import nn

from nin_bench.models.layers import (
    Dropout,
    GlobalAveragePool,
    Hidden,
    Rows,
    Width,
    dense_rows,
    map_size,
    scale_channels,
    sequential,
)
from nin_bench.models.registry import About, ImageSpec, register_model

HeadName = Literal["gap", "gap_linear", "fc", "fc_linear", "fc_maps"]
Head = Annotated[HeadName, About("way from feature maps to class scores")]
Pointwise = Annotated[
    int, About("number of 1×1 layers, after each block's first convolution", minimum=0, below=100)
]
ClassPointwise = Annotated[
    int | None,
    About("number of 1×1 layers, in the class block; null is as many as pointwise", minimum=0, below=100),
]
ClassStaged = Annotated[
    bool, About("the class block narrows to the classes layer by layer, in equal ratios, instead of at once")
]
PointwiseRelu = Annotated[bool, About("ReLU after each 1×1 layer; without, they are linear")]
PointwiseKernel = Annotated[Literal[1, 3], About("window of the 1×1 layers, 3 being the book's exercise")]
FinalRelu = Annotated[bool, About("ReLU after the class maps; it alone decides about that one")]


class NiNBlock(nn.Sequential):
    """A convolution, then 1×1 convolutions, which see one pixel at a time; a ReLU after each.

    Args:
        in_channels: of its input.
        widths: output channels of every convolution, the 1×1 ones' after the first's.
        kernel_size: window of the first convolution, in pixels.
        stride: of the first convolution.
        padding: of the first convolution.
        pointwise_kernel: window of the others, padded so that sizes stay.
        pointwise_relu: whether the others have their ReLU.
        final_relu: whether the last convolution has one, whatever the others have; None makes no exception.
    """

    def __init__(
        self,
        in_channels: int,
        widths: list[int],
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        pointwise_kernel: int = 1,
        pointwise_relu: bool = True,
        final_relu: bool | None = None,
    ) -> None:
        super().__init__()
        convolutions = {"conv": nn.Conv2d(in_channels, widths[0], kernel_size, stride, padding)}
        for index, (before, after) in enumerate(pairwise(widths), start=1):
            convolutions[f"pointwise{index}"] = nn.Conv2d(
                before, after, pointwise_kernel, padding=pointwise_kernel // 2
            )
        relus = [True] + [pointwise_relu] * (len(widths) - 1)
        if final_relu is not None:
            relus[-1] = final_relu
        for (name, convolution), relu in zip(convolutions.items(), relus, strict=True):
            self.add_module(name, convolution)
            if relu:
                # In place: a convolution does not keep its output for the backward pass.
                self.add_module(f"{name}_relu", nn.ReLU(inplace=True))


def has_class_block(head: HeadName) -> bool:
    """Whether the head reads a last block whose maps are the classes, rather than feature maps."""
    return head in ("gap", "fc_maps")


def class_widths(num_maps: int, num_classes: int, convolutions: int, *, staged: bool) -> list[int]:
    """Output channels of each convolution of a class block.

    >>> class_widths(384, 10, 3, staged=False)
    [10, 10, 10]
    >>> class_widths(384, 10, 3, staged=True)
    [114, 34, 10]
    """
    if not staged:
        return [num_classes] * convolutions
    ratio = num_classes / num_maps
    return [round(num_maps * ratio ** (step / convolutions)) for step in range(1, convolutions + 1)]


def head_rows(head: HeadName, num_maps: int, size: int, *, num_classes: int, hidden: int, dropout: float) -> Rows:
    """What follows the last maps: class maps for `gap` and `fc_maps`, feature maps for the others.

    Args:
        head: its name.
        num_maps: maps that it reads.
        size: their height and width, in pixels.
        num_classes: class scores per image.
        hidden: units of each of the two hidden layers of `fc`.
        dropout: share dropped of their outputs.
    """
    match head:
        case "gap":
            return {"average": GlobalAveragePool(), "flatten": nn.Flatten()}
        case "gap_linear":
            return {"average": GlobalAveragePool(), **dense_rows(num_maps, (), num_classes)}
        case "fc_linear" | "fc_maps":
            return dense_rows(num_maps * size * size, (), num_classes)
        case "fc":
            return dense_rows(num_maps * size * size, (hidden, hidden), num_classes, dropout=dropout)


@register_model
def nin(
    image: ImageSpec,
    *,
    pointwise: Pointwise = 2,
    class_pointwise: ClassPointwise = None,
    class_staged: ClassStaged = False,
    pointwise_relu: PointwiseRelu = True,
    pointwise_kernel: PointwiseKernel = 1,
    head: Head = "gap",
    final_relu: FinalRelu = True,
    dropout: Dropout = 0.5,
    width: Width = 1.0,
    hidden: Hidden = 4096,
) -> nn.Module:
    """Network in Network as the notebooks draw it: AlexNet's windows and channels, no dense layer.

    Three blocks of 96, 256 and 384 maps, each followed by a 3×3 max-pool of stride 2, then the head:

    - ``gap``: a class block, whose maps are the classes, and global average pooling;
    - ``fc_maps``: the class block, flattened, and one dense layer;
    - ``gap_linear``: the 384 maps averaged, and one dense layer;
    - ``fc_linear``: the 384 maps flattened, and one dense layer;
    - ``fc``: the 384 maps flattened, and AlexNet's two hidden dense layers.

    Dropout acts once, on the last pool's 384 maps, as in the notebooks' NiN; with ``fc`` not there, but after
    each hidden dense layer, as in the notebooks' AlexNet. `class_pointwise`, `class_staged` and `final_relu`
    concern the class block, `hidden` the head ``fc``; other heads take no notice of them.

    Input: (N, image.channels, H, W) float, H and W at least 67. Output: (N, image.num_classes) logits.
    Source: Lin, Chen, Yan, 2013, in the sizes of Krizhevsky et al., 2012.
    """
    first, second, third = scale_channels((96, 256, 384), width)
    block = partial(NiNBlock, pointwise_kernel=pointwise_kernel, pointwise_relu=pointwise_relu)
    convolutions = 1 + pointwise
    class_convolutions = convolutions if class_pointwise is None else 1 + class_pointwise
    rows: Rows = {
        "block1": block(image.channels, [first] * convolutions, 11, stride=4),
        "pool1": nn.MaxPool2d(3, stride=2),
        "block2": block(first, [second] * convolutions, 5, padding=2),
        "pool2": nn.MaxPool2d(3, stride=2),
        "block3": block(second, [third] * convolutions, 3, padding=1),
        "pool3": nn.MaxPool2d(3, stride=2),
    }
    num_maps, size = third, map_size(rows.values(), image.resolution)
    if head != "fc":
        rows["dropout"] = nn.Dropout(dropout)
    if has_class_block(head):
        widths = class_widths(third, image.num_classes, class_convolutions, staged=class_staged)
        rows["class_block"] = block(third, widths, 3, padding=1, final_relu=final_relu)
        num_maps = image.num_classes
    rows |= head_rows(head, num_maps, size, num_classes=image.num_classes, hidden=hidden, dropout=dropout)
    return sequential(rows)
