"""The networks of the Network in Network paper, as its author defined them for CIFAR and for MNIST."""

from dataclasses import dataclass

from torch import nn

from nin_bench.models.layers import Dropout, Hidden, Rows, Width, map_size, scale_channels, sequential
from nin_bench.models.nin import FinalRelu, Head, HeadName, NiNBlock, Pointwise, has_class_block, head_rows
from nin_bench.models.registry import ImageSpec, register_model


@dataclass(frozen=True)
class _Plan:
    """Output channels of each block's convolutions as published, and the window of its first, in pixels."""

    first: tuple[int, int, int]
    second: tuple[int, int, int]
    class_block: tuple[int, int]
    """Maps of the first two convolutions of the last block; its third has as many as there are classes."""
    class_kernel: int


_CIFAR = _Plan(first=(192, 160, 96), second=(192, 192, 192), class_block=(192, 192), class_kernel=3)
_MNIST = _Plan(first=(96, 64, 48), second=(128, 96, 48), class_block=(128, 96), class_kernel=5)


@register_model
def nin_cifar(
    image: ImageSpec,
    *,
    pointwise: Pointwise = 2,
    head: Head = "gap",
    final_relu: FinalRelu = True,
    dropout: Dropout = 0.5,
    width: Width = 1.0,
    hidden: Hidden = 4096,
) -> nn.Module:
    """Network in Network as published for CIFAR: three blocks, windows of 5, 5 and 3.

    With fewer 1×1 layers than the published two the first ones stay, with more the last is repeated; a
    block's last convolution always has the block's published width. The heads are those of `nin`; those
    without a class block read the second block's maps. Dropout acts after each pool, as published, and with
    ``fc`` also after each hidden dense layer.

    Input: (N, image.channels, H, W) float, H and W at least 4. Output: (N, image.num_classes) logits.
    Source: Lin, Chen, Yan, 2013, with the author's own definition.
    """
    return _network(
        _CIFAR,
        image,
        pointwise=pointwise,
        head=head,
        final_relu=final_relu,
        dropout=dropout,
        width=width,
        hidden=hidden,
    )


@register_model
def nin_mnist(
    image: ImageSpec,
    *,
    pointwise: Pointwise = 2,
    head: Head = "gap",
    final_relu: FinalRelu = True,
    dropout: Dropout = 0.5,
    width: Width = 1.0,
    hidden: Hidden = 4096,
) -> nn.Module:
    """Network in Network as published for MNIST: three narrower blocks, windows of 5.

    The arguments mean what they mean for `nin_cifar`.

    Input: (N, image.channels, H, W) float, H and W at least 4. Output: (N, image.num_classes) logits.
    Source: Lin, Chen, Yan, 2013, with the author's own definition.
    """
    return _network(
        _MNIST,
        image,
        pointwise=pointwise,
        head=head,
        final_relu=final_relu,
        dropout=dropout,
        width=width,
        hidden=hidden,
    )


def _network(
    plan: _Plan,
    image: ImageSpec,
    *,
    pointwise: int,
    head: HeadName,
    final_relu: bool,
    dropout: float,
    width: float,
    hidden: int,
) -> nn.Module:
    first = _widths(scale_channels(plan.first, width), pointwise)
    second = _widths(scale_channels(plan.second, width), pointwise)
    classes = _widths([*scale_channels(plan.class_block, width), image.num_classes], pointwise)
    rows: Rows = {
        "block1": NiNBlock(image.channels, first, 5, padding=2),
        "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),
        "dropout1": nn.Dropout(dropout),
        "block2": NiNBlock(first[-1], second, 5, padding=2),
        "pool2": nn.MaxPool2d(3, stride=2, ceil_mode=True),
        "dropout2": nn.Dropout(dropout),
    }
    num_maps, size = second[-1], map_size(rows.values(), image.resolution)
    if has_class_block(head):
        rows["class_block"] = NiNBlock(
            num_maps, classes, plan.class_kernel, padding=plan.class_kernel // 2, final_relu=final_relu
        )
        num_maps = image.num_classes
    rows |= head_rows(head, num_maps, size, num_classes=image.num_classes, hidden=hidden, dropout=dropout)
    return sequential(rows)


def _widths(published: list[int], pointwise: int) -> list[int]:
    """Channels of a block with that many 1×1 layers, from those of the published one.

    >>> [_widths([192, 160, 96], pointwise) for pointwise in range(4)]
    [[96], [192, 96], [192, 160, 96], [192, 160, 96, 96]]
    """
    *inner, last = published
    return [*(inner + [last] * pointwise)[:pointwise], last]
