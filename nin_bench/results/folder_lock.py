"""One writer a folder, by a lock of the kernel's that dies with its holder."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError, read_regular, remedy_of

LOCK, HOLDER = ".lock", ".lock-holder"

_WAIT_SECONDS = 0.25
"""For a folder's lock; who only looks whether it is held, as `status` does, lets go of it at once."""


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel releases it when the holder dies, however it dies.

    Raises:
        ResultsError: another process holds it, or the folder cannot be written.
    """
    lock = FileLock(folder / LOCK, timeout=_WAIT_SECONDS)
    holder = folder / HOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        holder.unlink(missing_ok=True)  # left by one that was killed; or a link, which must not be written through
        with holder.open("x") as stream:
            stream.write(f"process {os.getpid()}\n")
    except Timeout as error:
        raise ResultsError(
            f"{folder}: in use by {_named_holder(folder)}; wait until it ends, or choose another --results"
        ) from error
    except OSError as error:
        lock.release()
        raise ResultsError(
            f"{error.filename or folder}: cannot be written: {error.strerror or error}; "
            f"{remedy_of(error, 'choose another --results')}"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # a disk that has failed since must not keep the lock
            holder.unlink(missing_ok=True)
        lock.release()


def lock_holder(folder: Path) -> str | None:
    """Who holds the folder's lock now, as in "process 123"; None where nobody does. Changes nothing."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named_holder(folder)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _named_holder(folder: Path) -> str:
    """What the holder wrote of itself; a killed one's name may stand there until the next has written its own."""
    with suppress(DamagedFileError, FileNotFoundError, ResultsError, UnicodeDecodeError):
        if named := re.fullmatch(r"process \d{1,20}\n", read_regular(folder / HOLDER, 100).decode()):
            return named.group().strip()
    return "another process"
