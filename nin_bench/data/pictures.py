"""Read the user's own pictures, <folder>/{train,test}/<class>/*.png, as arrays of one size; no torch."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nin_bench.cell import Resize, digest
from nin_bench.data.hashes import Listed, hash_pictures, read_hashes, remember, remembered_hashes
from nin_bench.data.kept import FOLDER, KeptPictures
from nin_bench.data.sources import SPLITS, Labelled, Split, Watch, unreadable
from nin_bench.errors import InputError, MultipleInputError, SpecError, counted, some_of
from nin_bench.results.records import MAX_CLASSES

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Files that end otherwise are no pictures and are passed over, as are hidden ones."""

_DECODED_AT_ONCE = 256
"""Pictures: so many wait to be written, however fast they are decoded."""

_RESIZED: dict[Resize, Callable[..., Image.Image]] = {
    "squash": Image.Image.resize,
    "crop": ImageOps.fit,
    "pad": ImageOps.pad,
}
"""Each takes a picture, its new (width, height), and how to interpolate."""


@dataclass(frozen=True)
class PictureForm:
    """What all pictures of a folder are brought to."""

    resolution: int
    """Height and width in pixels."""
    resize: Resize = "squash"
    channels: int = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return (self.channels, self.resolution, self.resolution)

    def part(self, split: Split) -> str:
        """The name of a split's array in this form."""
        return f"{self.resolution}_{self.resize}_{self.channels}_{split}"


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
        if not 2 <= len(classes) <= MAX_CLASSES:
            raise SpecError(
                "folder",
                f"{path.name!r} has {counted(len(classes), 'class folder')} in train/; use 2 to {MAX_CLASSES:,}",
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
        train, test = (tuple(len(_pictures(path / split / name)) for name in classes) for split in SPLITS)
        if not sum(test):
            raise SpecError(
                "folder", f"{path.name!r} has no picture in test/<class>/; put those to test with there"
            )
        return cls(path, classes, train, test)

    def content(self, watch: Watch) -> str:
        """Digest the paths below the folder and the bytes of all pictures, decoding none: 16 hexadecimal digits.

        The bytes of a picture that looks as it did when they were last read are not read again.

        Raises:
            MultipleInputError: of the pictures that cannot be read, by name.
        """
        listing = self._listing()
        if _known.get(self.path, ("", ()))[1] != listing:
            hashes = hash_pictures(self.path, listing, self._memory, watch)
            _known[self.path] = digest(hashes), listing
        return _known[self.path][0]

    def verify(self, *, remembers: bool = True) -> tuple[str, list[str]]:
        """Read all pictures again, and remember them if asked: their content, and who changed without looking so.

        Raises:
            MultipleInputError: of the pictures that cannot be read, by name.
        """
        listing = self._listing()
        remembered = remembered_hashes(listing, self._memory)
        found = read_hashes(self.path, listing, lambda *_: None)
        if remembers and remembered != found:
            remember(listing, found, self._memory)
            _known.pop(self.path, None)
        return digest(found), [name for name, sha256 in remembered.items() if sha256 != found[name]]

    def kept(self, content: str) -> KeptPictures:
        """Where its decoded pictures are kept, if their files look as they did then."""
        looks = digest({"files": [f"{one.name} {one.looks}" for one in self._listing()]})
        return KeptPictures(self._memory.parent, f"{content}-{looks}")

    def prepare(self, content: str, form: PictureForm, watch: Watch) -> None:
        """Decode every picture once and keep them; SpecError of `folder` names those that cannot be read."""
        kept, problems = self.kept(content), []

        def decoded(split: Split) -> Iterator[NDArray[np.uint8]]:
            paths = [path for path, _ in self._labelled(split)]
            for number, image in enumerate(_decode(paths, form), start=1):
                watch(f"decoding {self.path.name}/{split}", number, len(paths))
                if isinstance(image, InputError):
                    problems.append(image)
                    yield np.zeros(form.shape, np.uint8)
                else:
                    yield image

        missing = [split for split in SPLITS if kept.find(form.part(split), self._shape(split, form)) is None]
        for split in missing:
            images = decoded(split)
            kept.keep(form.part(split), self._shape(split, form), images)
            for _ in images:  # those that could not be kept may be damaged, too
                pass
        if problems:
            kept.remove_all()
            told = some_of(list(map(str, problems)))
            raise SpecError("folder", f"{len(problems)} pictures cannot be read: {told}")
        if missing:
            kept.remove_others()

    def read(self, split: Split, form: PictureForm, content: str | None = None) -> Labelled:
        """Read one split in the order of its sorted paths, or take what was kept of this content.

        Every picture is turned the right way up as its EXIF says, brought to RGB or grey, and made square,
        bilinearly with antialias. Transparency is dropped; of 16 bits, the upper 8 are taken.

        Returns:
            Images (N, channels, resolution, resolution), values 0 to 255, and the class of each (N,).

        Raises:
            InputError: for a picture that cannot be read, by name.
        """
        labelled, shape = self._labelled(split), self._shape(split, form)
        labels = np.array([label for _, label in labelled], np.int64)
        if content and (found := self.kept(content).find(form.part(split), shape)) is not None:
            return found, labels
        images = np.empty(shape, np.uint8)
        for place, image in zip(images, _decode([path for path, _ in labelled], form), strict=True):
            if isinstance(image, InputError):
                raise image
            place[:] = image
        return images, labels

    def is_kept(self, content: str, form: PictureForm) -> bool:
        """Whether all its pictures are kept in this form, and their files look as they did then."""
        kept = self.kept(content)
        return all(
            kept.find(form.part(split), self._shape(split, form), verify=False) is not None for split in SPLITS
        )

    @property
    def _memory(self) -> Path:
        return self.path.parent / FOLDER / digest({"folder": self.path.name}) / "hashes.json"

    def _shape(self, split: Split, form: PictureForm) -> tuple[int, int, int, int]:
        return (self.num_train if split == "train" else self.num_test, *form.shape)

    def _listing(self) -> tuple[Listed, ...]:
        """Every picture, as the system lists it."""
        found, problems = [], []
        for path, _ in chain.from_iterable(self._labelled(split) for split in SPLITS):
            try:
                known = path.stat()
                found.append(Listed(path.relative_to(self.path).as_posix(), known.st_size, known.st_mtime_ns))
            except OSError as error:
                problems.append(unreadable(path, error))
        if problems:
            raise MultipleInputError(problems)
        return tuple(found)

    def _labelled(self, split: Split) -> list[tuple[Path, int]]:
        return [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in _pictures(self.path / split / name)
        ]


_known: dict[Path, tuple[str, tuple[Listed, ...]]] = {}
"""The content of each folder of which this process read all pictures, and how they looked then."""


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


def _decode(paths: Sequence[Path], form: PictureForm) -> Iterator[NDArray[np.uint8] | InputError]:
    """Each picture as an array (C, H, W), or why it cannot be one; several are decoded at a time."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), _DECODED_AT_ONCE):
            yield from pool.map(partial(_read_picture, form=form), paths[start : start + _DECODED_AT_ONCE])


def _read_picture(path: Path, form: PictureForm) -> NDArray[np.uint8] | InputError:
    try:
        with Image.open(path) as picture:
            upright = _with_8_bits(ImageOps.exif_transpose(picture))
            # By way of RGBA, since a palette's transparency is not to be had in RGB.
            colour = upright.convert("RGBA").convert("RGB" if form.channels == 3 else "L")
            side = (form.resolution, form.resolution)
            square = _RESIZED[form.resize](colour, side, Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return InputError(f"{path}: not a whole picture ({error}); replace or delete it")
    return np.asarray(square).reshape(form.resolution, form.resolution, -1).transpose(2, 0, 1)


def _with_8_bits(picture: Image.Image) -> Image.Image:
    """The picture, of one with 16 bits per pixel the upper 8; ValueError of one with more."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.asarray(picture)
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= 2**16:
        raise ValueError(f"its pixels have more than 16 bits: {picture.mode}")
    return Image.fromarray((values >> 8).astype(np.uint8))
