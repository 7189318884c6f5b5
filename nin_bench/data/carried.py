"""Images that come from another machine: sent as arrays, verified, kept in the data directory. Imports no torch.

So the nodes of a cluster need neither a folder in common nor a network, however a dataset is read.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from nin_bench.cell import DataSpec, digest
from nin_bench.data.sources import SPLITS, Labelled, Source, Split, data_root
from nin_bench.errors import InputError, ResultsError
from nin_bench.files import DamagedFileError, read_json, write_json

FOLDER = ".carried"
"""In the data directory."""
PART_BYTES = 32 * 2**20
SCHEMA = 1


@dataclass(frozen=True)
class Part:
    """A piece of a file of images."""

    file: str
    content: bytes


def parts_of(spec: DataSpec, source: Source, root: Path) -> Iterator[Part]:
    """All images of a resolved spec, in pieces, as `receive_parts` takes them; InputError names a damaged file."""
    arrays: dict[str, NDArray[Any]] = {}
    for split in SPLITS:
        arrays[f"{split}-images.npy"], arrays[f"{split}-labels.npy"] = source.read(split, root)
    about = {
        "channels": source.channels,
        "resolution": source.resolution,
        "classes": source.classes,
        "num_train": source.num_train,
        "num_test": source.num_test,
        "validation_size": source.validation_size,
        "class_counts": source.class_counts,
        "sha256": {name: _sha256(array) for name, array in arrays.items()},
    }
    yield Part("", json.dumps(about).encode())
    for name, array in arrays.items():
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
        yield Part(name, header.getvalue())
        data = np.ascontiguousarray(array).data.cast("B")
        for start in range(0, len(data), PART_BYTES):
            yield Part(name, bytes(data[start : start + PART_BYTES]))


def receive_parts(spec: DataSpec, root: Path, next_part: Callable[[], Part | None]) -> None:
    """Keep the images that another machine sends; where several processes would, one does.

    Args:
        spec: which images, resolved.
        root: the data directory.
        next_part: each of `parts_of` in its turn, then an empty one; None where no more will come.

    Raises:
        InputError: what arrived is not what was sent, or the data directory cannot be written.
    """
    folder = root / FOLDER / _key(spec)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(folder.with_suffix(".lock")),
            TemporaryDirectory(prefix=".part-", dir=folder.parent) as staging,
        ):
            if folder.exists():
                return
            first = next_part()
            while first and (part := next_part()) and part.content:
                with (Path(staging) / part.file).open("ab") as stream:
                    stream.write(part.content)
            if first is None:
                raise InputError(f"{spec.name}: none of its images arrived; run again")
            about = json.loads(first.content)
            write_json(Path(staging) / "about.json", about, SCHEMA)
            for split in SPLITS:
                _read(Path(staging), about["sha256"], split, root)
            Path(staging).rename(folder)
            Path(staging).mkdir()  # which goes at the end
    except (OSError, ResultsError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{spec.name} cannot be kept in {root} ({reason}); give a folder that can be written in NIN_BENCH_DATA"
        ) from error


def carried_source(spec: DataSpec, data_dir: Path | None) -> Source | None:
    """The images of a resolved spec that came from another machine; None if none did."""
    try:
        folder = data_root(data_dir) / FOLDER / _key(spec)
        about = read_json(folder / "about.json", SCHEMA)
    except (FileNotFoundError, InputError):  # nothing can have come where no folder is
        return None
    except (DamagedFileError, ResultsError) as error:
        raise InputError(f"{folder}: about.json {error}; delete the folder and run again") from error
    digests = about.pop("sha256")
    about["classes"] = tuple(about["classes"])
    about["class_counts"] = about["class_counts"] and tuple(about["class_counts"])
    return Source(**about, read=partial(_read, folder, digests))


def _read(folder: Path, digests: Mapping[str, str], split: Split, root: Path) -> Labelled:
    return _load(folder, f"{split}-images.npy", digests), _load(folder, f"{split}-labels.npy", digests)


def _load(folder: Path, name: str, digests: Mapping[str, str]) -> NDArray[Any]:
    try:
        # Copy on write, so that processes share what none of them writes to.
        array: NDArray[Any] = np.load(folder / name, mmap_mode="c", allow_pickle=False)
        found = _sha256(array)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{folder / name}: cannot be read ({error}); delete {folder.name} and run again"
        ) from error
    if found != digests[name]:
        raise InputError(
            f"{folder / name}: content has SHA-256 {found} where {digests[name]} was sent; "
            f"delete {folder.name} and run again"
        )
    return array


def _sha256(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data.cast("B")).hexdigest()


def _key(spec: DataSpec) -> str:
    """Equal for specs that read the same images, however many are drawn and however they are scaled."""
    return digest(spec.model_dump(exclude={"train_size", "validation_size", "normalize"}))
