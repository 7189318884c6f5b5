"""Read the user's own pictures, <folder>/{train,test}/<class>/*.png, as arrays of one size; no torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nin_bench.cell import digest
from nin_bench.data.sources import Labelled, Split, read_bytes
from nin_bench.errors import InputError, SpecError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Files that end otherwise are no pictures and are passed over, as are hidden ones."""

_SPLITS: tuple[Split, Split] = ("train", "test")


@dataclass(frozen=True)
class PictureFolder:
    """The pictures below a folder, listed but not opened."""

    path: Path
    classes: tuple[str, ...]
    """The names of the folders in train/, sorted."""
    num_train: int
    num_test: int

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
        counts = {split: sum(len(_pictures(path / split / name)) for name in classes) for split in _SPLITS}
        if not counts["test"]:
            raise SpecError(
                "folder", f"{path.name!r} has no picture in test/<class>/; put those to test with there"
            )
        return cls(path, classes, counts["train"], counts["test"])

    def content(self) -> str:
        """Digest the paths below the folder and the bytes of all pictures, decoding none: 16 hexadecimal digits.

        Raises:
            InputError: for a picture that cannot be read, by name.
        """
        listed = [path for split in _SPLITS for path, _ in self._labelled(split)]
        return digest(
            {
                path.relative_to(self.path).as_posix(): hashlib.sha256(read_bytes(path)).hexdigest()
                for path in listed
            }
        )

    def read(self, split: Split, resolution: int) -> Labelled:
        """Read one split in the order of its sorted paths.

        Every picture is brought to RGB, the right way up, and whole to the resolution, bilinearly with
        antialias: its aspect ratio is not kept. Transparency is dropped.

        Returns:
            Images (N, 3, resolution, resolution), values 0 to 255, and the class of each (N,).

        Raises:
            InputError: for a picture that cannot be read, by name.
        """
        labelled = self._labelled(split)
        images = np.empty((len(labelled), 3, resolution, resolution), np.uint8)
        for image, (path, _) in zip(images, labelled, strict=True):
            image[:] = _read_picture(path, resolution).transpose(2, 0, 1)
        return images, np.array([label for _, label in labelled], np.int64)

    def _labelled(self, split: Split) -> list[tuple[Path, int]]:
        return [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in _pictures(self.path / split / name)
        ]


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
