"""The SHA-256 of the user's pictures, taken once and remembered by their size and time of change."""

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nin_bench.data.sources import Watch, read_bytes
from nin_bench.errors import InputError, MultipleInputError, NinBenchError
from nin_bench.files import DamagedFileError, read_json, write_json

MAX_BYTES = 2**30
"""The most bytes of the file; a million pictures take a seventh of it."""

_SCHEMA = 1
_SETTLED_NS = 2 * 10**9
"""A file that changed less than this before it was read may change again, and look the same: not remembered."""


@dataclass(frozen=True, order=True)
class Listed:
    """A picture as the system lists it, unopened."""

    name: str
    """The path of the picture below the folder."""
    num_bytes: int
    changed_ns: int

    @property
    def looks(self) -> str:
        """Another text for a file that was changed."""
        return f"{self.num_bytes} {self.changed_ns}"


def hash_pictures(folder: Path, listing: Sequence[Listed], memory: Path, watch: Watch) -> dict[str, str]:
    """The SHA-256 of each picture, by name; of those that look as they did, the file `memory` remembers it.

    Raises:
        MultipleInputError: of those that cannot be read, by name.
    """
    remembered = remembered_hashes(listing, memory)
    unknown = [one for one in listing if one.name not in remembered]
    if not unknown:
        return remembered
    fresh = read_hashes(folder, unknown, watch)
    found = {one.name: remembered.get(one.name) or fresh[one.name] for one in listing}
    remember(listing, found, memory)
    return found


def remembered_hashes(listing: Sequence[Listed], memory: Path) -> dict[str, str]:
    """The SHA-256, by name, of those pictures that look as they did when it was taken."""
    try:
        files = read_json(memory, _SCHEMA, MAX_BYTES)["files"]
        known = {one.name: files.get(one.name, "").rpartition(" ") for one in listing}
    except (FileNotFoundError, DamagedFileError, NinBenchError, AttributeError, KeyError):
        return {}
    return {one.name: known[one.name][2] for one in listing if known[one.name][0] == one.looks}


def read_hashes(folder: Path, listing: Sequence[Listed], watch: Watch) -> dict[str, str]:
    """The SHA-256 of each picture as it is today, by name; MultipleInputError of those that cannot be read."""
    found, problems = {}, []
    with ThreadPoolExecutor() as pool:
        hashes = pool.map(lambda one: _sha256(folder / one.name), listing)
        for number, (one, sha256) in enumerate(zip(listing, hashes, strict=True), start=1):
            if isinstance(sha256, InputError):
                problems.append(sha256)
            else:
                found[one.name] = sha256
            watch(f"reading {folder.name}", number, len(listing))
    if problems:
        raise MultipleInputError(problems)
    return found


def remember(listing: Sequence[Listed], hashes: dict[str, str], memory: Path) -> None:
    """Keep what was found, but for files that may yet change without looking so."""
    settled = time.time_ns() - _SETTLED_NS
    files = {one.name: f"{one.looks} {hashes[one.name]}" for one in listing if one.changed_ns < settled}
    with suppress(NinBenchError):
        write_json(memory, {"files": files}, _SCHEMA)


def _sha256(path: Path) -> str | InputError:
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except InputError as error:
        return error
