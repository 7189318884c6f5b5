"""From a data spec to images: what a dataset can give, and which of its images a cell trains on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nin_bench.cell import DataSpec
from nin_bench.data.batches import ImageBatches
from nin_bench.data.pictures import PictureFolder
from nin_bench.data.sources import DATASETS, Labelled, Source, data_root
from nin_bench.errors import InputError, SpecError, shown, unknown_name
from nin_bench.models.registry import ImageSpec

MAX_FOLDER_LENGTH = 255
"""Of the name of an `image_folder`, which is part of labels."""


def resolve_data(spec: DataSpec, data_dir: Path | None) -> DataSpec:
    """Fill in resolution, validation size and content, and refuse what the dataset cannot give.

    No image is decoded. Of `image_folder`, the bytes of all pictures are read for the content, those of the test
    pictures among them: other pictures are another experiment, whichever split they stand in.

    Args:
        spec: as the grid writes it.
        data_dir: the data directory; None is NIN_BENCH_DATA, or else ~/.cache/nin_bench.

    Raises:
        SpecError: of `name`, `folder`, `content`, `resolution`, `train_size` or `validation_size`.
        InputError: for a picture that cannot be read, by name.
    """
    source = _source(spec, data_dir)
    validation_size = source.validation_size if spec.validation_size is None else spec.validation_size
    _check_sizes(spec.train_size, validation_size, source.num_train, len(source.classes))
    filled = {
        "resolution": spec.resolution or source.resolution,
        "validation_size": validation_size,
        "content": _content(spec, source),
    }
    return spec.model_copy(update=filled)


def describe_data(spec: DataSpec, data_dir: Path | None) -> ImageSpec:
    """Channels, resolution and classes of a resolved spec, as a model needs to know them. Opens no image."""
    assert spec.resolution is not None, "the spec is not resolved"
    source = _source(spec, data_dir)
    return ImageSpec(source.channels, spec.resolution, len(source.classes))


def count_images(spec: DataSpec, data_dir: Path | None) -> tuple[int, int, int]:
    """Images that a cell of a resolved spec trains on, validates with and is tested on. Opens no image."""
    assert spec.validation_size is not None, "the spec is not resolved"
    source = _source(spec, data_dir)
    return spec.train_size or source.num_train - spec.validation_size, spec.validation_size, source.num_test


def load_dataset(spec: DataSpec, data_dir: Path | None) -> "Dataset":
    """Read and verify the training images of a resolved spec; where no file is found, download the dataset.

    Files are looked for in the data directory, in torchvision's layout, then, for Fashion-MNIST, where Debian
    puts them. No file of the test set is opened, but for the content of `image_folder`.

    Raises:
        InputError: for a file that is damaged or cannot be had, by name, with both digests.
            Likewise where the pictures of `image_folder` are no longer those of the spec.
    """
    assert spec.resolution is not None, "the spec is not resolved"
    source = _source(spec, data_dir)
    if source.content is not None and source.content() != spec.content:
        raise InputError(f"{spec.folder!r}: its pictures have changed since the plan; run again, or put them back")
    root = data_root(data_dir)
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
        counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in self.images.unbind(1)])
        shares = counts.double() / counts.sum(1, keepdim=True)
        mean = shares @ values
        variance = (shares * (values - mean[:, None]) ** 2).sum(1)
        return mean.float(), variance.sqrt().float()

    def split(self, train_size: int | None, validation_size: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw the images to train on and those to choose by, every class in its share to within one image.

        The validation images depend on their number and the seed alone, so that cells that train on more or
        fewer images are compared on the same ones.

        Args:
            train_size: images to train on; None is all that are left.
            validation_size: images kept for validation, maybe 0.
            seed: the cell's.

        Returns:
            Indices into `images`, (train_size,) and (validation_size,) int64, disjoint and ascending.

        Raises:
            SpecError: of `train_size` or `validation_size`, where they exceed what there is or are too few
                for one image of each class.
        """
        labels = self.labels.numpy()
        _check_sizes(train_size, validation_size, len(labels), len(self.classes))
        validation = np.empty(0, np.int64)
        if validation_size:
            validation = self._draw("validation_size", np.arange(len(labels)), validation_size, [seed, 0])
        rest = np.setdiff1d(np.arange(len(labels)), validation)
        train = self._draw("train_size", rest, train_size or len(rest), [seed, 1])
        return torch.from_numpy(train), torch.from_numpy(validation)

    def _draw(self, field: str, indices: NDArray[np.int64], size: int, seed: list[int]) -> NDArray[np.int64]:
        """Draw some of the indices, stratified; what rounding leaves goes to the largest remainders."""
        labels = self.labels.numpy()[indices]
        available = np.bincount(labels, minlength=len(self.classes))
        drawn, remainder = np.divmod(available * size, len(labels))
        drawn[np.argsort(-remainder, kind="stable")[: size - drawn.sum()]] += 1
        if not drawn.all():
            scarce = int(np.argmin(drawn))
            raise SpecError(
                field,
                f"{size} images in the classes' proportions hold none of {self.classes[scarce]!r}, which has "
                f"{available[scarce]} of the {len(labels)} to draw from; draw more, or add images of it",
            )
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


def _source(spec: DataSpec, data_dir: Path | None) -> Source:
    if spec.name == "image_folder":
        return _picture_source(spec, data_dir)
    if spec.name not in DATASETS:
        raise SpecError("name", unknown_name("dataset", spec.name, [*DATASETS, "image_folder"]))
    for field, value in (("folder", spec.folder), ("content", spec.content)):
        if value is not None:
            raise SpecError(
                field, f"{value!r} is of no use to {spec.name}; use name: image_folder, or leave it out"
            )
    return DATASETS[spec.name]


def _content(spec: DataSpec, source: Source) -> str | None:
    """The digest of images that nobody published; it has to be the spec's, where that has one."""
    if source.content is None:
        return None
    content = source.content()
    if spec.content not in (None, content):
        raise SpecError(
            "content",
            f"{spec.content!r} is not that of the pictures in {spec.folder!r}, which is {content!r}; "
            "put the pictures back, or leave it out",
        )
    return content


def _picture_source(spec: DataSpec, data_dir: Path | None) -> Source:
    if spec.folder is None:
        raise SpecError("folder", "missing; image_folder reads a subfolder of the data directory, so name it")
    if not spec.folder.isprintable() or len(spec.folder) > MAX_FOLDER_LENGTH:
        raise SpecError(
            "folder",
            f"{shown(spec.folder)} is no name of a folder; use up to {MAX_FOLDER_LENGTH} visible characters",
        )
    if PurePath(spec.folder).is_absolute() or ".." in PurePath(spec.folder).parts:
        raise SpecError(
            "folder",
            f"{spec.folder!r} leaves the data directory; name a subfolder and give the rest as --data-dir",
        )
    if spec.resolution is None:
        raise SpecError("resolution", "missing; pictures of any size are brought to it, so image_folder needs one")
    folder, resolution = PictureFolder.find(data_root(data_dir) / spec.folder), spec.resolution
    return Source(
        channels=3,
        resolution=resolution,
        classes=folder.classes,
        num_train=folder.num_train,
        num_test=folder.num_test,
        validation_size=min(5_000, max(len(folder.classes), folder.num_train // 10)),
        read=lambda split, _root: folder.read(split, resolution),
        content=folder.content,
    )


def _check_sizes(train_size: int | None, validation_size: int, num_images: int, num_classes: int) -> None:
    most = num_images - num_classes
    if validation_size > most:
        raise SpecError(
            "validation_size",
            f"{validation_size} leaves too few of {num_images} training images; use {most} or fewer",
        )
    if 0 < validation_size < num_classes:
        raise SpecError(
            "validation_size",
            f"{validation_size} is too few for {num_classes} classes; use {num_classes} or more, or 0",
        )
    if train_size is None:
        return
    if train_size < num_classes:
        raise SpecError(
            "train_size", f"{train_size} is too few for {num_classes} classes; use {num_classes} or more"
        )
    if train_size > num_images - validation_size:
        raise SpecError(
            "train_size",
            f"{train_size} and {validation_size} for validation exceed the {num_images} training images; "
            f"use {num_images - validation_size} or fewer",
        )
