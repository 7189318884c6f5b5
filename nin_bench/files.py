"""Files that are whole or absent: atomic writes, strict JSON with a digest, damage quarantined.

What is read may come from anybody: only regular files are opened, links are not followed, and what they hold is
bounded in size and depth before anyone else sees it.
"""

import errno
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from uuid import uuid4

from nin_bench.errors import ResultsError, shown

MAX_BYTES = 16 * 2**20
"""A larger JSON file is none of ours: a record of a thousand epochs has a third of a megabyte."""
MAX_DEPTH = 16
"""Deeper nesting than any file of ours has."""

_CANNOT_SYNC_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
_CONTAINERS = (dict, list, tuple)
"""What JSON has leaves in."""
_TEMPORARY = re.compile(r"\..{1,32}\.[0-9a-f]{32}\.tmp", re.DOTALL)


class DamagedFileError(Exception):
    """A file is torn or is not what its place says; the text is the reason."""


class NewerFileError(DamagedFileError):
    """A file is whole, but of a schema that only a newer version reads."""


# Writing


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file that is seen whole or not at all, also after a power cut; raises as `atomic_stream`."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_stream(path, len(data)) as stream:
        stream.write(data)


@contextmanager
def atomic_stream(path: Path, num_bytes: int) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place only when all is written; so a large one needs no copy in memory.

    What is written goes to a temporary file beside its goal, is synced, and takes the goal's name; then the
    folder is synced. Missing folders are made. A link in the goal's place is replaced, not followed.

    Raises:
        ResultsError: the system refused (no space, no permission); it names the file and its size, and
            whatever stood at `path` still stands there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:32]}.{uuid4().hex}.tmp")
        try:
            with temporary.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        remedy = remedy_of(error, "make space or mend the permissions")
        raise ResultsError(
            f"{path}: {num_bytes} bytes could not be written: {error.strerror or error}; "
            f"{remedy}, then run the same command again"
        ) from error


def remove_file(path: Path) -> None:
    """Remove a file if it is there; ResultsError if the system refused."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{path}: cannot be removed: {error.strerror or error}; "
            "mend the permissions, then run the same command again"
        ) from error


def remedy_of(error: OSError, otherwise: str) -> str:
    """What helps where the system refused a path: a file in a folder's place goes with no space or permission."""
    is_in_the_way = isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError)
    return "move away what stands in its place, or in its folder's" if is_in_the_way else otherwise


def _sync_folder(folder: Path) -> None:
    """Have a folder's new name reach the disk, where its file system can sync folders; FUSE and CIFS may not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FOLDERS:
            raise
    finally:
        os.close(descriptor)


def temporary_files(folder: Path) -> list[Path]:
    """What `write_atomically` left in a folder when its process was killed; look only where no other may write."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name))


def remove_temporary_files(folder: Path) -> list[Path]:
    """Remove `temporary_files`, and say which; one that cannot be removed only takes up space."""
    removed = []
    for path in temporary_files(folder):
        with suppress(OSError):
            path.unlink()
            removed.append(path)
    return removed


# JSON


def to_json(value: Any) -> str:
    """Strict JSON with a line per leaf, so that it can be read and compared; NaN and infinity are refused.

    As `json` writes it with `indent=1`, which it does leaf by leaf in Python; here C writes a container's leaves.
    """
    return _indented(value, "\n") + "\n"


def _indented(value: Any, line: str) -> str:
    """JSON of a value that stands on a line which begins so, with its break and its indent."""
    inner = f"{line} "
    if not isinstance(value, _CONTAINERS) or not value:
        return _encoder("").encode(value)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    if not any(isinstance(child, _CONTAINERS) for child in (value.values() if isinstance(value, dict) else value)):
        parts = _encoder(f",{inner}").encode(value)[1:-1]
    elif isinstance(value, dict):
        named = ((_encoder("").encode({key: 0})[1:-2], child) for key, child in value.items())
        parts = f",{inner}".join(name + _indented(child, inner) for name, child in named)
    else:
        parts = f",{inner}".join(_indented(child, inner) for child in value)
    return f"{opening}{inner}{parts}{line}{closing}"


@cache
def _encoder(between: str) -> json.JSONEncoder:
    return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(between, ": "))


def write_json(path: Path, content: Mapping[str, Any], schema: int) -> None:
    """Write a JSON mapping with its schema and a digest, by which `read_json` knows a flipped bit.

    Raises:
        ResultsError: as `write_atomically`.
    """
    value = {"schema": schema, **content}
    write_atomically(path, to_json({**value, "digest": _digest(value)}))


def read_json(path: Path, schema: int, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Read a JSON mapping of a known schema, less schema and digest.

    Its values are plain, its numbers finite and of 64 bits at most, its characters whole.

    Raises:
        DamagedFileError: not JSON, not a mapping, of another schema, too large or too deep, unlike the digest in
            it, or no regular file; it carries the reason.
        FileNotFoundError: there is no such file.
        ResultsError: the system refused to read it, or a newer version wrote it.
    """
    try:
        return parse_json(read_regular(path, max_bytes), schema)
    except NewerFileError as newer:
        raise ResultsError(f"{path}: {newer}; a newer nin_bench wrote it, so update this one") from newer


def parse_json(content: bytes, schema: int) -> dict[str, Any]:
    """The mapping that a JSON file holds, less its schema and digest.

    Raises:
        NewerFileError: a newer version wrote it.
        DamagedFileError: as `read_json`.
    """
    try:
        text = content.decode()
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"is not whole JSON ({error})") from error
    if not isinstance(value, dict):
        raise DamagedFileError(f"holds {shown(value)}, not a mapping")
    _check_plain(value, MAX_DEPTH)
    if "\\u" in text:
        _check_characters(value)
    if (found := value.get("schema")) != schema:
        is_newer = type(found) is int and found > schema and value.pop("digest", None) == _digest(value)
        told = f"is of schema {shown(found)}; this version reads {schema}"
        raise NewerFileError(told) if is_newer else DamagedFileError(told)
    # Files from before there were digests, and those written by other hands, have none.
    if (digest := value.pop("digest", None)) is not None and digest != _digest(value):
        raise DamagedFileError("was changed after it was written: its content has another digest")
    del value["schema"]
    return value


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file; nothing else is opened, so that no pipe can hold us up and no link lead away.

    Raises:
        DamagedFileError: it is longer than `max_bytes`, or a link, a folder, a pipe or a device.
        FileNotFoundError: there is no such file.
        ResultsError: the system refused to read it.
    """
    with open_regular(path) as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise DamagedFileError(f"is longer than {max_bytes:,} bytes")
    return content


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """A regular file to read from; what goes wrong is told as `read_regular` tells it."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise DamagedFileError("is a link, and links are not followed")
        if not stat.S_ISREG(mode):
            raise DamagedFileError("is no regular file")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            yield stream
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(path) from error
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror or error}; mend or move it") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is none of its values")


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_plain(value: dict[str, Any] | list[Any], depth: int) -> None:
    """Refuse what would trip up whoever computes with the values or writes them again."""
    if not depth:
        raise DamagedFileError(f"is nested more than {MAX_DEPTH} deep")
    for child in value.values() if isinstance(value, dict) else value:
        # most are numbers: what they are is asked first, and nothing is called for them
        kind = type(child)
        if kind is float:
            if not math.isfinite(child):  # as 1e999 is
                raise DamagedFileError("holds a number that is not finite")
        elif kind is int:
            if not -(2**63) <= child < 2**63:
                raise DamagedFileError("holds a whole number of more than 64 bits")
        elif kind is dict or kind is list:
            _check_plain(child, depth - 1)


def _check_characters(value: dict[str, Any]) -> None:
    """Refuse halves of characters, which only escapes can write and nobody can print."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DamagedFileError("holds half a character") from error


# Damage


def quarantine(path: Path, reason: str) -> Path:
    """Rename a damaged file to `<name>.corrupt`, numbered if that name is taken, and return the new path.

    Why it was quarantined stands beside it, in `<name>.corrupt.txt`.
    """
    goal = quarantine_path(path)
    write_atomically(goal.with_name(f"{goal.name}.txt"), f"{path.name} {reason}\n")
    try:
        path.rename(goal)
    except OSError as error:
        raise ResultsError(
            f"{path}: {reason}, and cannot be quarantined: {error.strerror or error}; mend the permissions"
        ) from error
    return goal


def quarantine_path(path: Path) -> Path:
    """The name that `quarantine` would give a file."""
    goal = path.with_name(f"{path.name}.corrupt")
    number = 1
    while os.path.lexists(goal):
        number += 1
        goal = path.with_name(f"{path.name}.corrupt{number}")
    return goal
