"""What is known of a spec's images without reading them: sizes, classes, defaults. Imports no torch."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from nin_bench.cell import DataSpec
from nin_bench.data.carried import carried_source
from nin_bench.data.own import own_source
from nin_bench.data.pictures import PictureFolder, PictureForm
from nin_bench.data.sources import DATASETS, Source, Watch, data_root, default_validation_size
from nin_bench.errors import SpecError, shown
from nin_bench.models import ImageSpec

MAX_FOLDER_LENGTH = 255
"""The most letters of the name of an `image_folder`, which is part of labels."""


def resolve_data(spec: DataSpec, data_dir: Path | None, watch: Watch = lambda *_: None) -> DataSpec:
    """Fill in resolution, validation size and content, and refuse what the dataset cannot give.

    Images that nobody published are read for the content, the test images among them: other images are another
    experiment, whichever split they stand in. They are kept, as the cells will read them.

    Raises:
        SpecError: of `name`, `folder`, `content`, `resolution`, `train_size` or `validation_size`.
        InputError: for a picture that cannot be read, by name.
    """
    source = source_of(spec, data_dir)
    validation_size = source.validation_size if spec.validation_size is None else spec.validation_size
    check_sizes(spec.train_size, validation_size, source.num_train, len(source.classes))
    if source.class_counts is not None:
        _check_draws(spec.train_size, validation_size, source)
    content = _content(spec, source, watch)
    if content is not None:
        source.prepare(content, watch)
    filled = {
        "resolution": spec.resolution or source.resolution,
        "validation_size": validation_size,
        "content": content,
    }
    return spec.model_copy(update=filled)


def describe_data(spec: DataSpec, data_dir: Path | None) -> ImageSpec:
    """Channels, resolution and classes of a resolved spec, as a model needs to know them. Opens no image."""
    assert spec.resolution is not None, "the spec is not resolved"
    source = _known_source(spec, data_dir)
    return ImageSpec(source.channels, spec.resolution, len(source.classes))


def count_images(spec: DataSpec, data_dir: Path | None) -> tuple[int, int, int]:
    """Images that a cell of a resolved spec trains on, validates with and is tested on. Opens no image."""
    assert spec.validation_size is not None, "the spec is not resolved"
    source = _known_source(spec, data_dir)
    return spec.train_size or source.num_train - spec.validation_size, spec.validation_size, source.num_test


def class_names(spec: DataSpec, data_dir: Path | None) -> tuple[str, ...]:
    """The names of a resolved spec's classes, by number. Opens no image.

    They are the dataset's own, as it was registered; of `image_folder`, the names of the folders in train/.
    """
    return _known_source(spec, data_dir).classes


def _known_source(spec: DataSpec, data_dir: Path | None) -> Source:
    """`source_of`; images of one content are always described alike, so that their folder is listed once."""
    return source_of(spec, data_dir) if spec.content is None else _source_of_content(spec, data_root(data_dir))


@lru_cache(maxsize=256)
def _source_of_content(spec: DataSpec, root: Path) -> Source:
    return source_of(spec, root)


def source_of(spec: DataSpec, data_dir: Path | None) -> Source:
    """The row of the table of datasets, what was registered, or what the user's picture folder amounts to.

    Of images that came from another machine it is what that machine said of them.

    Raises:
        SpecError: of `name`, or of a field of `image_folder` that it lacks or that another dataset has no use for.
    """
    if spec.resolution is not None and (carried := carried_source(spec, data_dir)):
        return carried
    if spec.name == "image_folder":
        return _picture_source(spec, data_dir)
    for field in ("folder", "resize", "channels", *(["content"] if spec.name in DATASETS else [])):
        if (value := getattr(spec, field)) != DataSpec.model_fields[field].default:
            raise SpecError(
                field, f"{value!r} is of no use to {spec.name}; use name: image_folder, or leave it out"
            )
    return DATASETS.get(spec.name) or own_source(spec, data_root(data_dir))


def _content(spec: DataSpec, source: Source, watch: Watch) -> str | None:
    """The digest of images that nobody published; it has to be the spec's, where that has one."""
    if source.content is None:
        return None
    content = source.content(watch)
    if spec.content not in (None, content):
        raise SpecError(
            "content",
            f"{spec.content!r} is not that of the pictures in {spec.folder or spec.name!r}, which is {content!r}; "
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
    folder = PictureFolder.find(data_root(data_dir) / spec.folder)
    form = PictureForm(spec.resolution, spec.resize, spec.channels)
    return Source(
        channels=form.channels,
        resolution=spec.resolution,
        classes=folder.classes,
        num_train=folder.num_train,
        num_test=folder.num_test,
        class_counts=folder.train_counts,
        validation_size=default_validation_size(folder.num_train, len(folder.classes)),
        read=lambda split, _root: folder.read(split, form, spec.content),
        content=folder.content,
        prepare=lambda content, watch: folder.prepare(content, form, watch),
        is_kept=lambda content: folder.is_kept(content, form),
    )


def stratified(field: str, size: int, available: NDArray[np.int64], classes: Sequence[str]) -> NDArray[np.int64]:
    """How many images of each class a draw takes, in proportion, as near as whole images allow.

    What rounding leaves goes to the largest remainders.

    Raises:
        SpecError: of `field`, where some class would have none.
    """
    total = available.sum()
    drawn, remainder = np.divmod(available * size, total)
    drawn[np.argsort(-remainder, kind="stable")[: size - drawn.sum()]] += 1
    if not drawn.all():
        scarce = int(np.argmin(drawn))
        raise SpecError(
            field,
            f"{size} images in the classes' proportions hold none of {classes[scarce]!r}, which has "
            f"{available[scarce]} of the {total} to draw from; draw more, or add images of it",
        )
    return drawn


def _check_draws(train_size: int | None, validation_size: int, source: Source) -> None:
    """Refuse draws of which some class would have no image; it depends on no seed."""
    available = np.array(source.class_counts, np.int64)
    if validation_size:
        available = available - stratified("validation_size", validation_size, available, source.classes)
    stratified("train_size", train_size or int(available.sum()), available, source.classes)


def check_sizes(train_size: int | None, validation_size: int, num_images: int, num_classes: int) -> None:
    """Refuse, as SpecError, sizes that exceed the training images, or are too few for one of each class."""
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
