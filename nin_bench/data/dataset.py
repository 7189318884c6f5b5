"""Read the images of a data spec, and draw those that a cell trains on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nin_bench.cell import DataSpec
from nin_bench.data.batches import ImageBatches
from nin_bench.data.describe import check_sizes, source_of, stratified
from nin_bench.data.sources import Labelled, data_root
from nin_bench.errors import InputError


def load_dataset(spec: DataSpec, data_dir: Path | None) -> "Dataset":
    """Read and verify the training images of a resolved spec; where no file is found, download the dataset.

    Files are looked for in the data directory, in torchvision's layout, then, for Fashion-MNIST, where Debian
    puts them. No file of the test set is opened, but for the content of `image_folder`.

    Raises:
        InputError: for a file that is damaged or cannot be had, by name, with both digests; or images that nobody
            published are no longer those of the spec.
    """
    assert spec.resolution is not None, "the spec is not resolved"
    source = source_of(spec, data_dir)
    is_kept = source.content is None or source.is_kept(spec.content or "")
    if not is_kept and source.content is not None and source.content(lambda *_: None) != spec.content:
        name = spec.folder or spec.name
        raise InputError(f"{name!r}: its images have changed since the plan; run again, or put them back")
    root = data_root(data_dir) if source.needs_folder else Path()
    images, labels = source.read("train", root)
    return Dataset(
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels),
        classes=source.classes,
        resolution=spec.resolution,
        normalize=spec.normalize,
        read_test=partial(source.read, "test", root),
    )


@dataclass(frozen=True, eq=False)
class Dataset:
    """The training images of a dataset, and the way to its test images."""

    images: Tensor
    """(N, C, H, W) uint8, on the CPU."""
    labels: Tensor
    """(N,) int64."""
    classes: tuple[str, ...]
    resolution: int
    """Height and width in pixels of the batches."""
    normalize: Literal["none", "dataset"]
    read_test: Callable[[], Labelled]

    @property
    def mean(self) -> Tensor:
        """(C,) float32: per channel, of the training images' pixels in [0, 1]."""
        return self._statistics[0]

    @property
    def std(self) -> Tensor:
        """(C,) float32: per channel, of the training images' pixels in [0, 1]."""
        return self._statistics[1]

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        # Counting the 256 values is exact and needs no floating-point copy of the images.
        values = torch.arange(256, dtype=torch.float64) / 255
        counts = torch.zeros(self.images.shape[1], 256, dtype=torch.int64)
        for part in torch.split(self.images, 1024):  # which a large dataset is never copied for
            counts += torch.stack([channel.flatten().bincount(minlength=256) for channel in part.unbind(1)])
        shares = counts.double() / counts.sum(1, keepdim=True)
        mean = shares @ values
        variance = (shares * (values - mean[:, None]) ** 2).sum(1)
        return mean.float(), variance.sqrt().float()

    def split(self, train_size: int | None, validation_size: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw the images to train on and those to choose by, every class in its share to within one image.

        The validation images depend on their number and the seed alone, so that cells that train on more or
        fewer images are compared on the same ones.

        Returns:
            Indices into `images`, (train_size,) and (validation_size,) int64, disjoint and ascending.

        Raises:
            SpecError: of `train_size` or `validation_size`, where they exceed what there is or are too few
                for one image of each class.
        """
        labels = self.labels.numpy()
        check_sizes(train_size, validation_size, len(labels), len(self.classes))
        validation = np.empty(0, np.int64)
        if validation_size:
            validation = self._draw("validation_size", np.arange(len(labels)), validation_size, [seed, 0])
        rest = np.setdiff1d(np.arange(len(labels)), validation)
        train = self._draw("train_size", rest, train_size or len(rest), [seed, 1])
        return torch.from_numpy(train), torch.from_numpy(validation)

    def _draw(self, field: str, indices: NDArray[np.int64], size: int, seed: list[int]) -> NDArray[np.int64]:
        """Draw some of the indices, stratified; what rounding leaves goes to the largest remainders."""
        labels = self.labels.numpy()[indices]
        drawn = stratified(field, size, np.bincount(labels, minlength=len(self.classes)), self.classes)
        order = np.random.default_rng(seed).permutation(len(labels))
        chosen = [indices[order[labels[order] == label][:count]] for label, count in enumerate(drawn)]
        return np.sort(np.concatenate(chosen))

    def load_test(self) -> tuple[Tensor, Tensor]:
        """Read and verify the test images, which nothing else does: (M, C, H, W) uint8 and (M,) int64.

        Raises:
            InputError: for a file that is damaged or cannot be had, by name, with both digests.
        """
        images, labels = self.read_test()
        return torch.from_numpy(images), torch.from_numpy(labels)

    def batches(self, device: torch.device | str) -> ImageBatches:
        """The training images, validation images among them, on a device."""
        return self._on_device(self.images, self.labels, device)

    def test_batches(self, device: torch.device | str) -> ImageBatches:
        """The test images on a device; reads them."""
        return self._on_device(*self.load_test(), device)

    def _on_device(self, images: Tensor, labels: Tensor, device: torch.device | str) -> ImageBatches:
        scale = (self.mean, self.std) if self.normalize == "dataset" else None
        return ImageBatches(images, labels, self.resolution, standardise_by=scale, device=device)
