"""The standard streams, so that a run does not end because nobody can read how it goes."""

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


def keep_streams() -> None:
    """Let the process go on where its standard streams are closed, full, or end while it runs.

    What cannot be written to stderr is dropped: progress is no result. A stream that is closed from the start
    leads nowhere, so that no file of ours takes its number and receives what others print.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None or sys.stderr is sys.__stderr__:  # else somebody else has it already
        sys.stderr = _dropping(2, sys.stderr)


def let_output_go() -> None:
    """Let stdout drop what it cannot take, too: what was done is safe, and the exit status tells of it."""
    if sys.stdout is sys.__stdout__:
        sys.stdout = _dropping(1, sys.stdout)


def _dropping(descriptor: int, stream: TextIO | None) -> TextIO:
    if stream is not None:
        with suppress(OSError):
            stream.flush()
    # No buffer: it refuses a signal handler that writes while it is being written to.
    raw: Any = _Dropping(descriptor, "w", closefd=False)
    encoding = stream.encoding if stream else "utf-8"
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", write_through=True)


class _Dropping(io.FileIO):
    """A stream that takes whatever is written, and loses what the system refuses."""

    def write(self, data: object) -> int:
        try:
            written = super().write(data)  # type: ignore[arg-type]
        except OSError:
            written = None  # as where it would have to wait
        return len(memoryview(data)) if written is None else written  # type: ignore[arg-type]
