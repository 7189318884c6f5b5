"""Batches as a network takes them, made on the device where the images rest."""

from collections.abc import Callable
from copy import copy
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional

from nin_bench.cell import Augmentation


class ImageBatches:
    """Labelled images that rest on a device as uint8 and leave it in batches, as a network takes them.

    Args:
        images: (N, C, H, H) uint8.
        labels: (N,) int64.
        resolution: height and width of the batches, in pixels.
        standardise_by: mean and deviation of each channel, (C,) float32; None leaves pixels in [0, 1].
        device: where images rest and batches are made.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        resolution: int,
        *,
        standardise_by: tuple[Tensor, Tensor] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        assert images.dtype == torch.uint8
        assert images.shape[-2] == images.shape[-1]
        self.device = torch.device(device)
        self._images = images.to(self.device)
        self._labels = labels.to(self.device)
        self._resize_to(resolution)
        self._shift = 0
        self._mean, self._std = None, None
        if standardise_by is not None:
            mean, std = standardise_by
            self._mean = mean.view(-1, 1, 1).to(self.device)
            # A channel that never varies, as in masks, has nothing to divide by.
            self._std = torch.where(std > 0, std, 1).view(-1, 1, 1).to(self.device)

    def __len__(self) -> int:
        return len(self._labels)

    def _resize_to(self, resolution: int) -> None:
        side = self._images.shape[-1]
        self._weights = None if resolution == side else _resize_weights(side, resolution).to(self.device)

    def resized(self, resolution: int) -> "ImageBatches":
        """The same images in batches of another height and width, in pixels."""
        other = copy(self)
        other._resize_to(resolution)
        return other

    def shifted(self, pixels: int) -> "ImageBatches":
        """The same images, moved by so many pixels of the batches' size, black where nothing is left.

        Images move right, down, left and up in turn, by their index.
        """
        other = copy(self)
        other._shift = pixels
        return other

    def raw(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images as they rest on the device, (n, C, H, H) uint8, and labels (n,) int64."""
        indices = indices.to(self.device)
        return self._images[indices], self._labels[indices]

    def take(
        self, indices: Tensor, augmentation: Augmentation = "none", generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Make one batch: augmented at the images' own size, resized, scaled to [0, 1], moved, standardised.

        Args:
            indices: (n,) int64, on any device.
            augmentation: `flip` mirrors half of the images left to right; `crop_flip` also shifts them by
                up to an eighth of their side each way, black where nothing is left.
            generator: on the CPU, so that draws do not depend on the device; each image takes the next three,
                however a batch is cut into parts. An augmentation needs one.

        Returns:
            Images (n, C, resolution, resolution) float32 in channels_last order, and labels (n,) int64.
        """
        draws = None
        if augmentation != "none":
            assert generator is not None, "an augmentation needs a generator"
            draws = torch.rand(len(indices), 3, generator=generator)
        return self.make(indices, augmentation, draws)

    def make(self, indices: Tensor, augmentation: Augmentation, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same, of draws that were made before: (n, 3), on any device; None without an augmentation."""
        images, labels = self.raw(indices)
        if (augment := AUGMENTATIONS[augmentation]) is not None:
            assert draws is not None
            # The copy is staged at once, so that the host need not wait until the device is there.
            images = augment(images, draws.to(self.device, non_blocking=True))
        return self.pixels(images, indices), labels

    def pixels(self, images: Tensor, indices: Tensor) -> Tensor:
        """What a network takes of these images: resized, scaled to [0, 1], moved, standardised.

        Args:
            images: (n, C, H, H) uint8, on the device.
            indices: which they are, (n,) int64.
        """
        pixels = images.float().div_(255)
        if self._weights is not None:
            pixels = self._weights @ pixels @ self._weights.T
        if self._shift:
            steps = torch.tensor(_WAYS, device=self.device)[indices.to(self.device) % len(_WAYS)]
            pixels = _moved(pixels, self._shift, *(self._shift * steps).unbind(1))
        if self._mean is not None and self._std is not None:
            pixels = (pixels - self._mean) / self._std
        return pixels.contiguous(memory_format=torch.channels_last)


def _resize_weights(side: int, resolution: int) -> Tensor:
    """What each old row or column adds to each new one: (resolution, side) float32, every row summing to 1.

    Bilinear resizing with antialias is linear and takes one axis after the other, so the resized identity
    matrix holds its weights, and two matrix products resize a batch on any device.
    """
    identity = torch.eye(side, dtype=torch.float64)[None, None]
    resized = functional.interpolate(identity, size=(resolution, side), mode="bilinear", antialias=True)
    return resized[0, 0].float()


def _flip(images: Tensor, draws: Tensor) -> Tensor:
    """Mirror the images whose last draw is below 0.5, left to right."""
    mirrored = draws[:, 2] < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def _crop_flip(images: Tensor, draws: Tensor) -> Tensor:
    """Shift each image by its first two draws, then mirror by the last; black where nothing is left."""
    margin = images.shape[-1] // 8
    down, right = (margin - (draws[:, :2] * (2 * margin + 1)).long()).unbind(1)
    return _flip(_moved(images, margin, down, right), draws)


_WAYS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""How far down and to the right each way leads: right, down, left, up."""


def _moved(images: Tensor, most: int, down: Tensor, right: Tensor) -> Tensor:
    """Move each image by its own pixels; black where nothing is left.

    Args:
        images: (n, C, H, W).
        most: the most that any moves.
        down: (n,) int64, negative for up.
        right: (n,) int64, negative for left.
    """
    num_images, channels, height, width = images.shape
    padded = functional.pad(images, [most] * 4)
    rows = (most - down)[:, None] + torch.arange(height, device=images.device)
    columns = (most - right)[:, None] + torch.arange(width, device=images.device)
    return padded[
        torch.arange(num_images, device=images.device)[:, None, None, None],
        torch.arange(channels, device=images.device)[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


AUGMENTATIONS: dict[Augmentation, Callable[[Tensor, Tensor], Tensor] | None] = {
    "none": None,
    "flip": _flip,
    "crop_flip": _crop_flip,
}
"""Each takes images (n, C, H, H) uint8 and three draws from [0, 1) for each, (n, 3); sizes stay."""

assert set(AUGMENTATIONS) == set(get_args(Augmentation))
