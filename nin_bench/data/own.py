"""Datasets of other packages and of a user's own file: functions that return images and labels. Imports no torch.

They are called once, when a command loads its grid. What they return is digested and kept as the pictures of a
folder are, so that all workers share it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nin_bench.cell import DataSpec, digest
from nin_bench.data.kept import FOLDER, KeptPictures
from nin_bench.data.sources import DATASETS, SPLITS, Labelled, Source, Split, default_validation_size
from nin_bench.errors import SpecError, unknown_name
from nin_bench.models import unavailable_packages
from nin_bench.plugins import line_in, own_file, register, registered
from nin_bench.results.records import MAX_CLASSES

Reader = Callable[[Split, Path], tuple[Any, Any]]
ReaderType = TypeVar("ReaderType", bound=Reader)
_Splits = Mapping[Split, Labelled]


@dataclass(frozen=True)
class OwnDataset:
    """A function that was registered, and the names of its classes."""

    name: str
    read: Reader
    classes: tuple[str, ...]


def register_dataset(*, classes: Sequence[str]) -> Callable[[ReaderType], ReaderType]:
    """Make a function a dataset: its name is the public name.

    The function takes "train" or "test" and the data directory, a `Path`. It returns the images of that split,
    (N, C, H, H) uint8 from 0 to 255, and the number of each one's class, (N,), as arrays or tensors.

    Args:
        classes: the names of the classes, by number.

    Raises:
        ValueError: the name is taken, there are no two classes or too many, or two have one name.
    """

    def decorated(read: ReaderType) -> ReaderType:
        name = read.__name__
        if not 2 <= len(set(classes)) == len(classes) <= MAX_CLASSES:
            raise ValueError(f"dataset {name!r}: give 2 to {MAX_CLASSES:,} classes, each with a name of its own")
        if name in (*DATASETS, "image_folder"):
            raise ValueError(f"dataset {name!r} comes with nin_bench; rename the function")
        register("dataset", name, OwnDataset(name, read, tuple(classes)))
        return read

    return decorated


def own_source(spec: DataSpec, root: Path) -> Source:
    """What is known of a registered dataset; it is read unless the images of the spec's content are kept.

    Raises:
        SpecError: of `name`: nothing has that name, or the function fails or returns what cannot be used.
    """
    unavailable = unavailable_packages()
    own: OwnDataset | None = registered["dataset"].get(spec.name)
    if own is None:
        known = [*DATASETS, "image_folder", *registered["dataset"]]
        raise SpecError("name", "; ".join([unknown_name("dataset", spec.name, known), *unavailable]))
    content = spec.content
    splits = _find(own, root, content, verify=False) or _read(own, root)[1]
    images, labels = splits["train"]
    return Source(
        channels=images.shape[1],
        resolution=images.shape[2],
        classes=own.classes,
        num_train=len(images),
        num_test=len(splits["test"][0]),
        class_counts=tuple(np.bincount(labels, minlength=len(own.classes)).tolist()),
        validation_size=default_validation_size(len(images), len(own.classes)),
        read=lambda split, _: _kept_split(own, root, content, split) or _read(own, root)[1][split],
        content=lambda _: _read(own, root)[0],
        is_kept=lambda content: _find(own, root, content, verify=True) is not None,
    )


@lru_cache(maxsize=4)
def _read(own: OwnDataset, root: Path) -> tuple[str, _Splits]:
    """The digest of a dataset's images and labels, and both splits, as kept where they could be."""
    splits: _Splits = {split: _checked(own, split, root) for split in SPLITS}
    train, test = (splits[split][0] for split in SPLITS)
    if train.shape[1:] != test.shape[1:]:
        raise _refusal(
            own, f"the images of train are {train.shape[1:]}, of test {test.shape[1:]}; make them alike"
        )
    content = digest({split: [_sha256(array) for array in splits[split]] for split in SPLITS})
    if _find(own, root, content) is None:
        kept = _kept(own, root, content)
        for split, (images, labels) in splits.items():
            kept.keep(split, images.shape, images)
            as_bytes = labels.view(np.uint8).reshape(-1, 8)
            kept.keep(f"labels_{split}", as_bytes.shape, [as_bytes])
        kept.remove_others()
    return content, _find(own, root, content) or splits


def _find(own: OwnDataset, root: Path, content: str | None, *, verify: bool = True) -> _Splits | None:
    """What was kept of a content, mapped from its files; None if it is not all there."""
    found = {}
    for split in SPLITS:
        if (arrays := _kept_split(own, root, content, split, verify=verify)) is None:
            return None
        found[split] = arrays
    return found


def _kept_split(
    own: OwnDataset, root: Path, content: str | None, split: Split, *, verify: bool = True
) -> Labelled | None:
    if content is None:
        return None
    kept = _kept(own, root, content)
    images, labels = (kept.find(part, verify=verify) for part in (split, f"labels_{split}"))
    return None if images is None or labels is None else (images, labels.view(np.int64).reshape(-1))


def _kept(own: OwnDataset, root: Path, content: str) -> KeptPictures:
    return KeptPictures(root / FOLDER / digest({"dataset": own.name}), content)


def _checked(own: OwnDataset, split: Split, root: Path) -> Labelled:
    """What a dataset's function returns for a split, as arrays."""
    try:
        images, labels = (np.ascontiguousarray(part) for part in own.read(split, root))
    except Exception as error:  # whatever a user's function does
        file = own_file()
        line = line_in(file, error) if file else None
        place = f" ({file.name}:{line})" if file and line else ""
        told = " ".join(str(error).split())
        raise _refusal(own, f"reading {split} raised {type(error).__name__}: {told}{place}; mend it") from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[2] != images.shape[3] or not images.size:
        raise _refusal(
            own,
            f"the images of {split} are {images.dtype} of the shape {images.shape}; give uint8 from 0 to 255, "
            "(images, channels, height, width), as high as wide",
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise _refusal(
            own,
            f"the labels of {split} are {labels.dtype} of the shape {labels.shape}; give a whole number for each "
            f"of the {len(images)} images",
        )
    if labels.min() < 0 or labels.max() >= len(own.classes):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise _refusal(
            own, f"a label of {split} is {wrong}, and the {len(own.classes)} classes are numbered from 0; mend it"
        )
    return images, labels.astype(np.int64)


def _refusal(own: OwnDataset, message: str) -> SpecError:
    return SpecError("name", f"dataset {own.name!r}: {message}")


def _sha256(array: NDArray[Any]) -> str:
    shape = "×".join(map(str, array.shape)).encode()
    return hashlib.sha256(shape + b"\n" + array.reshape(-1).view(np.uint8).data).hexdigest()
