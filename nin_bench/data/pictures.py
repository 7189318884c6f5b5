"""Read the user's own pictures, <folder>/{train,test}/<class>/*.png, as arrays of one size; no torch."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nin_bench.cell import digest
from nin_bench.data.kept import FOLDER, KeptPictures
from nin_bench.data.sources import Labelled, Split, read_bytes, unreadable
from nin_bench.errors import InputError, SpecError, some_of

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Files that end otherwise are no pictures and are passed over, as are hidden ones."""

_SPLITS: tuple[Split, Split] = ("train", "test")


@dataclass(frozen=True)
class PictureFolder:
    """The pictures below a folder, listed but not opened."""

    path: Path
    classes: tuple[str, ...]
    """The names of the folders in train/, sorted."""
    train_counts: tuple[int, ...]
    """Pictures of each class."""
    test_counts: tuple[int, ...]
    """Pictures of each class."""

    @property
    def num_train(self) -> int:
        """How many there are to train on and to validate with."""
        return sum(self.train_counts)

    @property
    def num_test(self) -> int:
        """How many there are to test with."""
        return sum(self.test_counts)

    @classmethod
    def find(cls, path: Path) -> "PictureFolder":
        """List classes and pictures.

        The test pictures must lie apart, in test/, and are never drawn from train/: near-duplicates, such as
        frames of one film, would then stand on both sides, and only the user knows of them.

        Raises:
            SpecError: of the field `folder`, where train/ or test/ is missing, or their classes do not fit.
        """
        if not path.is_dir():
            raise SpecError("folder", f"{path.name!r} is not a folder in the data directory {path.parent}")
        classes = _class_names(path / "train")
        if len(classes) < 2:
            raise SpecError(
                "folder",
                f"{path.name!r} has {len(classes)} class folders in train/; two or more can be told apart",
            )
        for name in classes:
            if not _pictures(path / "train" / name):
                raise SpecError("folder", f"{path.name!r} has no picture in train/{name}; add some or remove it")
        for name in _class_names(path / "test"):
            if name not in classes:
                raise SpecError(
                    "folder",
                    f"{path.name!r} has test/{name} but no train/{name}; name the classes alike in both",
                )
        train, test = (tuple(len(_pictures(path / split / name)) for name in classes) for split in _SPLITS)
        if not sum(test):
            raise SpecError(
                "folder", f"{path.name!r} has no picture in test/<class>/; put those to test with there"
            )
        return cls(path, classes, train, test)

    def content(self) -> str:
        """Digest the paths below the folder and the bytes of all pictures, decoding none: 16 hexadecimal digits.

        Raises:
            InputError: for a picture that cannot be read, by name.
        """
        return _content(self.path, self._listing())

    def kept(self, content: str, resolution: int) -> KeptPictures:
        """Where its decoded pictures are kept, if their files look as they did then."""
        looks = digest({"files": self._listing()})
        name = digest({"folder": self.path.name})
        return KeptPictures(self.path.parent / FOLDER / name, f"{content}-{resolution}-{looks}")

    def prepare(self, content: str, resolution: int) -> None:
        """Decode every picture once and keep them, so that no other process has to.

        Raises:
            SpecError: of the field `folder`, which names the pictures that cannot be read.
        """
        kept, problems = self.kept(content, resolution), []

        def decoded(split: Split) -> Iterator[NDArray[np.uint8]]:
            for path, _ in self._labelled(split):
                try:
                    yield _read_picture(path, resolution).transpose(2, 0, 1)
                except InputError as error:
                    problems.append(str(error))
                    yield np.zeros((3, resolution, resolution), np.uint8)

        missing = [split for split in _SPLITS if kept.find(split, self._shape(split, resolution)) is None]
        for split in missing:
            images = decoded(split)
            kept.keep(split, self._shape(split, resolution), images)
            for _ in images:  # those that could not be kept may be damaged, too
                pass
        if problems:
            kept.remove_all()
            raise SpecError("folder", f"{len(problems)} pictures cannot be read: {some_of(problems)}")
        if missing:
            kept.remove_others()

    def read(self, split: Split, resolution: int, content: str | None = None) -> Labelled:
        """Read one split in the order of its sorted paths, or take what was kept of this content.

        Every picture is brought to RGB, the right way up, and whole to the resolution, bilinearly with
        antialias: its aspect ratio is not kept. Transparency is dropped.

        Returns:
            Images (N, 3, resolution, resolution), values 0 to 255, and the class of each (N,).

        Raises:
            InputError: for a picture that cannot be read, by name.
        """
        labelled, shape = self._labelled(split), self._shape(split, resolution)
        labels = np.array([label for _, label in labelled], np.int64)
        if content and (found := self.kept(content, resolution).find(split, shape)) is not None:
            return found, labels
        images = np.empty(shape, np.uint8)
        for image, (path, _) in zip(images, labelled, strict=True):
            image[:] = _read_picture(path, resolution).transpose(2, 0, 1)
        return images, labels

    def is_kept(self, content: str, resolution: int) -> bool:
        """Whether all its pictures are kept, and their files look as they did then."""
        kept = self.kept(content, resolution)
        return all(kept.find(split, self._shape(split, resolution), verify=False) is not None for split in _SPLITS)

    def _shape(self, split: Split, resolution: int) -> tuple[int, int, int, int]:
        return (self.num_train if split == "train" else self.num_test, 3, resolution, resolution)

    def _listing(self) -> tuple[tuple[str, int, int], ...]:
        """Every picture's path below the folder, its size and when it was changed."""
        found = []
        for path, _ in chain.from_iterable(self._labelled(split) for split in _SPLITS):
            try:
                known = path.stat()
                found.append((path.relative_to(self.path).as_posix(), known.st_size, known.st_mtime_ns))
            except OSError as error:
                raise unreadable(path, error) from error
        return tuple(found)

    def _labelled(self, split: Split) -> list[tuple[Path, int]]:
        return [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in _pictures(self.path / split / name)
        ]


@lru_cache(maxsize=16)
def _content(folder: Path, listing: tuple[tuple[str, int, int], ...]) -> str:
    """The digest of a folder's pictures; of files that look the same it is known."""
    return digest({name: hashlib.sha256(read_bytes(folder / name)).hexdigest() for name, _, _ in listing})


def _class_names(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise SpecError(
            "folder",
            f"{folder.parent.name!r} has no {folder.name}/; put pictures into train/<class>/, test/<class>/",
        )
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."))


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")


def _read_picture(path: Path, resolution: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise InputError(f"{path}: has more than 8 bits per pixel ({picture.mode}); save it with 8")
            # By way of RGBA, since a palette's transparency is not to be had in RGB.
            upright = ImageOps.exif_transpose(picture).convert("RGBA").convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a whole picture ({error}); replace or delete it") from error
    return np.asarray(upright.resize((resolution, resolution), Image.Resampling.BILINEAR))
