"""A disk that fails at one operation, in the process that enters it: no hook in what is tested."""

import errno
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

TAKE_NO_SPACE = ("replace", "rename", "unlink")
ERRORS = {"no space": errno.ENOSPC, "input/output error": errno.EIO}


class BrokenDisk:
    """Counts writes, syncs, renames and removals of files below a folder, and fails at one of them.

    Args:
        place: the folder; how many operations there were is left in its file `operations`.
        at: the operation that fails, counted from 1; 0 counts alone.
        how: `kill` ends the process by SIGKILL, before the operation or in the middle of a write. `no space`
            refuses it and whatever else takes space from then on, `input/output error` everything.
    """

    def __init__(self, place: Path, at: int, how: str) -> None:
        self.place = place
        self.at = at
        self.how = how
        self.count = 0

    def __enter__(self) -> None:
        self._open = io.open
        self._functions = {name: getattr(os, name) for name in ("fsync", "replace", "rename", "unlink", "mkdir")}
        io.open = self._opened  # type: ignore[assignment]
        for name, function in self._functions.items():
            setattr(os, name, self._counted(name, function))

    def __exit__(self, *_: object) -> None:
        io.open = self._open
        for name, function in self._functions.items():
            setattr(os, name, function)
        (self.place / "operations").write_text(str(self.count))

    def happens(self, what: str, half: Callable[[], object] = lambda: None) -> None:
        """One more operation; `half` does part of it."""
        self.count += 1
        if not 0 < self.at <= self.count or (self.how == "no space" and what in TAKE_NO_SPACE):
            return
        if self.count == self.at:
            half()
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(ERRORS[self.how], os.strerror(ERRORS[self.how]))

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(target: Any, *arguments: Any, **options: Any) -> Any:
            if isinstance(target, int) or (options.get("dir_fd") is None and self._is_ours(target)):
                self.happens(name)
            return function(target, *arguments, **options)

        return called

    def _opened(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if not set(mode) & set("xwa") or not self._is_ours(file):
            return self._open(file, mode, *arguments, **options)
        buffered = io.BufferedWriter(_Raw(self, os.fspath(file), mode.replace("b", "").replace("t", "")))
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding="utf-8")

    def _is_ours(self, file: Any) -> bool:
        return not isinstance(file, int) and self.place in Path(os.fspath(file)).absolute().parents


class _Raw(io.FileIO):
    def __init__(self, disk: BrokenDisk, path: str, mode: str) -> None:
        super().__init__(path, mode)
        self._disk = disk

    def write(self, data: Any) -> int:
        self._disk.happens("write", lambda: super(_Raw, self).write(bytes(data[: len(data) // 2])))
        return super().write(data)
