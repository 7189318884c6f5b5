"""A process that has everything imported and forks others, which start in no time and can be killed at any.

A request is a line of JSON: the function as "module:name", its arguments, and files for what it prints. The
answers are two lines: the new process's id, which leads a session of its own, and, when it has ended, its status.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.processes import members_of, still_running_after


class Forked:
    """A process that was asked for."""

    def __init__(self, server: "Warm", pid: int) -> None:
        self.pid = pid
        self._server = server
        self._status: int | None = None

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit status, negative for a signal; None while it still runs after so long."""
        if self._status is None and self._server.has_answer(seconds):
            self._status = int(self._server.answer())
        return self._status

    def wait_until_told(self, words: str, log: Path) -> None:
        """Wait until it has printed these words; it must not end before."""
        while not log.exists() or words not in log.read_text():
            assert self.wait(0.02) is None, log.read_text()

    def kill(self) -> None:
        """As the system does when memory runs out: it alone, and nobody is asked."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def survivors(self) -> set[int]:
        """What of its session will not end; on a machine that has time it is gone within three seconds."""
        return still_running_after(30.0, members_of(self.pid))


class Warm:
    """The process that forks."""

    def __init__(self, preload: str = "") -> None:
        path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "LD_PRELOAD": preload},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, function: str, *arguments: Any, log: Path, errors: Path | None = None) -> Forked:
        """Run a function in a process of its own, one at a time; what it prints goes to the end of files.

        Args:
            function: as "module:name".
            arguments: what JSON can hold.
            log: for its stdout.
            errors: for its stderr, if not the same one.
        """
        files = [str(log), str(errors or log)]
        request = json.dumps({"function": function, "arguments": arguments, "files": files})
        assert self._process.stdin is not None
        self._process.stdin.write(request.encode() + b"\n")
        self._process.stdin.flush()
        return Forked(self, int(self.answer()))

    def run(self, function: str, *arguments: Any, log: Path) -> int:
        """Run a function to its end; its status."""
        status = self.start(function, *arguments, log=log).wait()
        assert status is not None
        return status

    def has_answer(self, seconds: float | None) -> bool:
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def answer(self) -> bytes:
        # One answer follows another only when it was asked for, so nothing is ever held in a buffer.
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def warm(preload: str = "") -> Iterator[Warm]:
    """The process that forks.

    Args:
        preload: a library that it and all of its processes have preloaded.
    """
    server = Warm(preload)
    try:
        yield server
    finally:
        server.close()


def _serve() -> None:
    for name in ("tests.faults.scenarios", "nin_bench.progress.displays", "torch._dynamo"):
        importlib.import_module(name)
    importlib.import_module("nin_bench.environment").describe_environment()
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(**request)
        _answer(pid)
        _, status = os.waitpid(pid, 0)
        _answer(os.waitstatus_to_exitcode(status))


def _answer(number: int) -> None:
    os.write(1, f"{number}\n".encode())


def _become(function: str, arguments: list[Any], files: list[str]) -> None:
    os.setsid()
    for stream, file in zip((1, 2), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    status = 1
    try:
        module, _, name = function.partition(":")
        getattr(importlib.import_module(f"tests.faults.{module}"), name)(*arguments)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
