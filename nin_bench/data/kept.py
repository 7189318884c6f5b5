"""Pictures that were decoded once, kept as one array of bytes that all processes share.

A file's name tells the pictures' content, their size, how their files looked to the system then, and a checksum of
what it holds: one that does not fit is passed over. Nothing is lost if the folder is removed.
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
    """The arrays of one folder of pictures at one resolution.

    Args:
        folder: where they lie.
        name: what tells them from others; those of the same folder with another name are removed.
    """

    folder: Path
    name: str

    def find(self, split: str, shape: tuple[int, ...], *, verify: bool = True) -> NDArray[np.uint8] | None:
        """The array of a split, mapped from its file, so that processes share it; None if there is none.

        Args:
            split: `train` or `test`.
            shape: that it has to have.
            verify: whether to read it all, and pass it over unless its checksum is right.
        """
        for path in self.folder.glob(f"{self.name}-{split}-*.npy"):
            with suppress(OSError, ValueError):
                # Copy on write: what nobody writes to is shared.
                array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
                whole = (array.dtype, array.shape) == (np.dtype(np.uint8), shape)
                if whole and (not verify or path.stem.rpartition("-")[2] == f"{_checksum(array):08x}"):
                    return array
        return None

    def keep(self, split: str, shape: tuple[int, ...], images: Iterable[NDArray[np.uint8]]) -> None:
        """Write the array of a split, image by image; where that cannot be done, nothing is kept."""
        goal, checksum = self.folder / f"{self.name}-{split}.npy", 0
        num_bytes = int(np.prod(shape))

        def parts() -> Iterator[bytes]:
            nonlocal checksum
            for image in images:
                part = np.ascontiguousarray(image).tobytes()
                checksum = zlib.crc32(part, checksum)
                yield part

        with suppress(ResultsError, OSError):
            with atomic_stream(goal, num_bytes) as stream:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                stream.writelines(parts())
            goal.replace(goal.with_name(f"{self.name}-{split}-{checksum:08x}.npy"))
        remove_temporary_files(self.folder)

    def remove_all(self) -> None:
        """Remove what was kept under this name."""
        for path in self.folder.glob(f"{self.name}-*.npy"):
            with suppress(OSError):
                path.unlink()

    def remove_others(self) -> None:
        """Remove what was kept of the folder's earlier pictures; processes that have it mapped keep it."""
        for path in self.folder.glob("*.npy"):
            if not path.name.startswith(f"{self.name}-"):
                with suppress(OSError):
                    path.unlink()


def _checksum(array: NDArray[np.uint8]) -> int:
    return zlib.crc32(array.reshape(-1).data)
