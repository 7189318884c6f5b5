"""Processes on this machine, one for each task: what local and Ray executors have run.

A pipe of its own joins each worker to the parent: messages go up, answers and the request to stop go down. (A
queue shared by all workers would block everybody when one of them is killed while it writes.) Workers are started
by a forkserver that has done the heavy imports; they are not forked from the parent, since an accelerator cannot
be initialised again in a forked child.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from nin_bench.errors import MachineError
from nin_bench.executors.process import POLL_SECONDS, start_process, use_short_folder
from nin_bench.executors.protocol import Ended, Message, Slot
from nin_bench.executors.stopping import Wish

OUTPUT_LINES = 20
"""How much of a dead worker's last output is kept."""

_WATCH = "nin_bench.executors.watch"


@dataclass(frozen=True)
class Order:
    """A task to start, and where."""

    key: str
    payload: bytes
    """The task, as `pickle` writes it."""
    slots: Sequence[Slot]
    """Where; the process may use the cores of all, and its function is given the first."""
    timeout_seconds: float | None


@dataclass
class _Worker:
    order: Order
    process: BaseProcess
    connection: Connection
    log: Path
    started: float
    is_open: bool = True
    """Whether its end of the pipe may still be open."""
    returned: bool = False
    result: Any = None
    killed_for: Literal["timed_out", "killed"] | None = None
    is_asked_to_stop: bool = False

    @property
    def key(self) -> str:
        return self.order.key


@dataclass
class Workers:
    """The workers of this machine."""

    context: ForkServerContext
    folder: Path
    _running: list[_Worker] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether some worker runs."""
        return bool(self._running)

    def start(self, order: Order, is_wanted: Callable[[], bool] = lambda: True) -> bool:
        """Start a task's process; the first one waits for seconds, while the forkserver imports what it preloads.

        Returns:
            Whether it was still wanted when it had started.

        Raises:
            MachineError: the system refused a process, a pipe or a temporary file.
        """
        try:
            descriptor, name = tempfile.mkstemp(dir=self.folder)
            os.close(descriptor)
            started = start_process(order.payload, order.slots, self.context, Path(name), is_wanted)
        except (OSError, EOFError) as error:  # the end of a pipe is that of the forkserver, which could not fork
            reason = getattr(error, "strerror", None) or "the process that starts others has died"
            raise MachineError(
                f"no worker can be started: {reason}; end other processes or raise the limits on processes, open "
                "files and temporary space, then run the same command again"
            ) from error
        if started is None:
            return False
        self._running.append(_Worker(order, *started, Path(name), time.monotonic()))
        return True

    def answer(self, key: str, content: Any) -> None:
        """Reply to a task that waits in `Channel.ask`; a task that has died meanwhile receives nothing."""
        for worker in self._running:
            if worker.key == key:
                with suppress(OSError):
                    worker.connection.send(("answer", content))

    def receive(self, seconds: float = POLL_SECONDS) -> Iterator[Message | Ended]:
        """Wait for messages or an end, only so long."""
        connections = [worker.connection for worker in self._running if worker.is_open]
        ends = [worker.process.sentinel for worker in self._running]
        ready = set(wait([*connections, *ends], timeout=seconds))
        for worker in list(self._running):
            if worker.process.sentinel in ready:
                # What a worker sent before its death is not lost.
                while worker.is_open:
                    yield from _received(worker)
                self._running.remove(worker)
                yield _ended(worker)
            elif worker.connection in ready:
                # One message at a time, so that a worker that sends many does not hold up the others.
                yield from _received(worker)

    def kill(self) -> None:
        """Kill them all, and wait until they are gone; nothing is told of them."""
        for worker in self._running:
            worker.process.kill()
        for worker in self._running:
            worker.process.join()
            worker.connection.close()
        self._running.clear()

    def enforce(self, wish: Wish) -> None:
        """Carry out time limits and the wish to stop."""
        now = time.monotonic()
        for worker in self._running:
            limit = worker.order.timeout_seconds
            if limit is not None and now - worker.started > limit:
                _kill(worker, "timed_out")
            elif wish == "stop at once":
                _kill(worker, "killed")
            elif wish == "stop" and not worker.is_asked_to_stop:
                worker.is_asked_to_stop = True
                with suppress(OSError):
                    worker.connection.send(("stop", None))


@contextmanager
def opened_workers(preload: Sequence[str]) -> Iterator[Workers]:
    """Workers, none started yet, killed at the end; MachineError if no temporary folder can be made."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_WATCH, *preload])
    with _temporary_folder() as folder:
        workers = Workers(context, folder)
        try:
            yield workers
        finally:
            workers.kill()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder for what workers print; one that cannot be removed at the end only takes up space."""
    try:
        use_short_folder()
        folder = tempfile.TemporaryDirectory(prefix="nin_bench-", ignore_cleanup_errors=True)
    except OSError as error:
        raise MachineError(
            f"no temporary folder can be made: {error.strerror or error}; make space, or name another in TMPDIR, "
            "then run the same command again"
        ) from error
    with folder as name:
        yield Path(name)


def _received(worker: _Worker) -> Iterator[Message]:
    """Receive one message; none is left once the pipe is closed."""
    try:
        kind, content = worker.connection.recv()
    except (EOFError, OSError):
        worker.is_open = False
        return
    if kind == "result":
        worker.returned, worker.result = True, content
    else:
        yield Message(worker.key, content, is_question=kind == "question")


def _kill(worker: _Worker, why: Literal["timed_out", "killed"]) -> None:
    worker.killed_for = worker.killed_for or why
    worker.process.kill()


def _ended(worker: _Worker) -> Ended:
    worker.process.join()
    worker.connection.close()
    output: list[str] = []
    with suppress(OSError):  # its last words are of use, and not needed
        output = worker.log.read_text(errors="replace").splitlines()[-OUTPUT_LINES:]
        worker.log.unlink()
    return Ended(
        key=worker.key,
        how="returned" if worker.returned else (worker.killed_for or "died"),
        result=worker.result,
        exit_code=worker.process.exitcode,
        output="\n".join(output),
    )
