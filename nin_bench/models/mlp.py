"""A network without convolutions, for the claim that width alone does not help."""

from torch import nn

from nin_bench.models.layers import Hidden, dense_rows, sequential
from nin_bench.models.registry import ImageSpec, register_model


@register_model
def mlp(image: ImageSpec, *, hidden: Hidden = 256) -> nn.Module:
    """One hidden dense layer with ReLU, of any width.

    Input: (N, image.channels, H, W) float of any size. Output: (N, image.num_classes) logits.
    """
    pixels = image.channels * image.resolution * image.resolution
    return sequential(dense_rows(pixels, (hidden,), image.num_classes))
