"""Images that were read once, kept as arrays of bytes that all processes share.

A file's name tells the images' content, how their files looked to the system then, what the array is, and a
checksum of what it holds: one that does not fit is passed over. Nothing is lost if the folder is removed.
"""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nin_bench.errors import ResultsError
from nin_bench.files import atomic_stream, remove_temporary_files

FOLDER = ".pictures"
"""In the data directory."""


@dataclass(frozen=True)
class KeptPictures:
    """The arrays of one folder of pictures, or of one dataset; a name tells its images from earlier ones."""

    folder: Path
    name: str

    def find(
        self, part: str, shape: tuple[int, ...] | None = None, *, verify: bool = True
    ) -> NDArray[np.uint8] | None:
        """An array, mapped from its file, so that processes share it; None if there is none.

        Args:
            part: which, as `train`.
            shape: that it has to have; None is any.
            verify: whether to read it all, and pass it over unless its checksum is right.
        """
        for path in self.folder.glob(f"{self.name}-{part}-*.npy"):
            with suppress(OSError, ValueError):
                # Copy on write: what nobody writes to is shared.
                array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
                fits = array.dtype == np.uint8 and shape in (None, array.shape)
                if fits and (not verify or _is_whole(path, array)):
                    return array
        return None

    def keep(self, part: str, shape: tuple[int, ...], images: Iterable[NDArray[np.uint8]]) -> None:
        """Write an array, image by image; where that cannot be done, nothing is kept."""
        goal, checksum = self.folder / f"{self.name}-{part}.npy", 0
        num_bytes = int(np.prod(shape))

        def parts() -> Iterator[bytes]:
            nonlocal checksum
            for image in images:
                content = np.ascontiguousarray(image).tobytes()
                checksum = zlib.crc32(content, checksum)
                yield content

        with suppress(ResultsError, OSError):
            with atomic_stream(goal, num_bytes) as stream:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                stream.writelines(parts())
            goal.replace(goal.with_name(f"{self.name}-{part}-{checksum:08x}.npy"))
        remove_temporary_files(self.folder)

    def remove_all(self) -> None:
        """Remove what was kept under this name."""
        _remove(self.folder.glob(f"{self.name}-*.npy"))

    def remove_others(self) -> None:
        """Remove what was kept of the folder's earlier images; processes that have it mapped keep it."""
        _remove(path for path in self.folder.glob("*.npy") if not path.name.startswith(f"{self.name}-"))

    def damaged(self) -> list[Path]:
        """The arrays of the folder, under any name, that are not whole."""
        return [path for path in sorted(self.folder.glob("*.npy")) if not _is_whole(path)]


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        with suppress(OSError):
            path.unlink()


def _is_whole(path: Path, array: NDArray[np.uint8] | None = None) -> bool:
    """Whether a file's array has the checksum that its name tells."""
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False) if array is None else array
    except (OSError, ValueError):
        return False
    return path.stem.rpartition("-")[2] == f"{zlib.crc32(array.reshape(-1).data):08x}"
