"""Files that are whole or absent: atomic writes, strict JSON, damage set aside, one writer a folder."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from uuid import uuid4

from filelock import FileLock, Timeout

from nin_bench.errors import ResultsError


class DamagedFileError(Exception):
    """A file is torn or is not what its place says; the text is the reason."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file that is seen whole or not at all, also after a power cut.

    Raises:
        ResultsError: as `atomic_stream`.
    """
    data = content.encode() if isinstance(content, str) else content
    with atomic_stream(path, len(data)) as stream:
        stream.write(data)


@contextmanager
def atomic_stream(path: Path, num_bytes: int) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place only when all is written; so a large one needs no copy in memory.

    What is written goes to a temporary file beside its goal, is synced, and takes the goal's name; then the
    folder is synced. Missing folders are made. A link in the goal's place is replaced, not followed.

    Args:
        path: the goal.
        num_bytes: how much will be written, to be told when it cannot be.

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
        raise ResultsError(
            f"{path}: {num_bytes} bytes could not be written: {error.strerror or error}; "
            "make space or mend the permissions, then run the same command again"
        ) from error


def remove_file(path: Path) -> None:
    """Remove a file if it is there.

    Raises:
        ResultsError: the system refused.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{path}: cannot be removed: {error.strerror or error}; "
            "mend the permissions, then run the same command again"
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_json(value: Any) -> str:
    """Strict JSON with a line per leaf, so that it can be read and compared; NaN and infinity are refused."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path, schema: int) -> dict[str, Any]:
    """Read a JSON mapping of a known schema.

    Raises:
        DamagedFileError: not JSON, not a mapping, or of another schema; it carries the reason.
        FileNotFoundError: there is no such file.
        ResultsError: the system refused to read it.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(path) from error
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror or error}; mend or move it") from error
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"is not whole JSON ({error})") from error
    if not isinstance(value, dict):
        raise DamagedFileError(f"holds a {type(value).__name__}, not a mapping")
    if value.get("schema") != schema:
        raise DamagedFileError(f"is of schema {value.get('schema')!r}; this version reads {schema}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is none of its values")


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.corrupt`, numbered if that name is taken, and return the new path."""
    goal = path.with_name(f"{path.name}.corrupt")
    number = 1
    while goal.exists():
        number += 1
        goal = path.with_name(f"{path.name}.corrupt{number}")
    path.rename(goal)
    return goal


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel releases it when the holder dies, however it dies.

    Raises:
        ResultsError: another process holds it, or the folder cannot be written.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    holder = folder / ".lock-holder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        holder.write_text(f"process {os.getpid()}\n")
    except Timeout as error:
        who = holder.read_text().strip() if holder.exists() else "another process"
        raise ResultsError(
            f"{folder}: in use by {who}; wait until it ends, or choose another --results"
        ) from error
    except OSError as error:
        raise ResultsError(
            f"{folder}: cannot be written: {error.strerror or error}; choose another --results"
        ) from error
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
