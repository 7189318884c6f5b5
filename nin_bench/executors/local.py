"""Run tasks on this machine: a fresh process for each, one at a time in every slot.

A pipe of its own joins each worker to the parent: messages go up, answers and the request to stop go down. (A
queue shared by all workers would block everybody when one of them is killed while it writes.) Workers are started
by a forkserver that has done the heavy imports; they are not forked from the parent, since an accelerator cannot
be initialised again in a forked child.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from nin_bench.errors import MachineError
from nin_bench.executors.process import POLL_SECONDS, start_process, use_short_folder
from nin_bench.executors.protocol import Ended, Event, Message, Slot, Started, Task

STOP_SECONDS = 30.0
"""How long a worker that was asked to stop may take before it is killed."""
OUTPUT_LINES = 20
"""How much of a dead worker's last output is kept."""

_WATCH = "nin_bench.executors.watch"


@dataclass
class _Worker:
    task: Task
    slots: Sequence[Slot]
    process: BaseProcess
    connection: Connection
    log: Path
    started: float
    is_open: bool = True
    """Whether its end of the pipe may still be open."""
    returned: bool = False
    result: Any = None
    killed_for: Literal["timed_out", "killed"] | None = None
    asked_to_stop: float | None = None


@dataclass
class LocalExecutor:
    """An `Executor` of processes on this machine.

    Args:
        slots: where workers run; as many run at once.
        preload: modules that the forkserver imports once for all workers.
    """

    slots: Sequence[Slot]
    preload: Sequence[str] = ()
    _workers: list[_Worker] = field(default_factory=list)
    _held: Task | None = None
    """A task that waits until enough slots are free."""
    _stopping: Literal["no", "asked", "at_once"] = "no"
    _refused: MachineError | None = None
    """Why no worker can be started any more."""

    def stop(self) -> None:
        """Start nothing more and ask the workers to stop; called again, kill them. Safe in a signal handler."""
        self._stopping = "asked" if self._stopping == "no" else "at_once"

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping != "no"

    def answer(self, key: str, content: Any) -> None:
        """Reply to a task that waits in `Channel.ask`; a task that has died meanwhile receives nothing."""
        for worker in self._workers:
            if worker.task.key == key:
                with suppress(OSError):
                    worker.connection.send(("answer", content))

    def run(self, next_task: Callable[[Slot], Task | None]) -> Generator[Event, None, None]:
        """Run tasks as slots become free, and yield events in the order in which they are noticed.

        See `Executor.run`. Where no worker can be started any more, those that run are asked to stop first.

        Raises:
            MachineError: the system refused a process, a pipe or a temporary file.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([_WATCH, *self.preload])
        self._held = None
        with _temporary_folder() as folder:
            try:
                while True:
                    yield from self._fill(next_task, context, folder)
                    if not self._workers:
                        break
                    yield from self._receive()
                    self._enforce()
            finally:
                for worker in self._workers:
                    worker.process.kill()
                for worker in self._workers:
                    worker.process.join()
                    worker.connection.close()
                self._workers.clear()
        if self._refused is not None:
            raise self._refused

    def _fill(
        self, next_task: Callable[[Slot], Task | None], context: ForkServerContext, folder: Path
    ) -> Iterator[Started]:
        """Start tasks in free slots, until there is no task, or one that has to wait for more of them."""
        while not self.stopping:
            if any(worker.task.exclusive for worker in self._workers):
                return
            busy = {id(slot) for worker in self._workers for slot in worker.slots}
            free = [slot for slot in self.slots if id(slot) not in busy]
            if not free:
                return
            task = self._held
            if task is None:
                task, free = _offered(next_task, free)
            if task is None:
                return
            assert 1 <= task.num_slots <= len(self.slots), (
                f"{task.key}: {task.num_slots} of {len(self.slots)} slots"
            )
            if task.num_slots > len(free) or (task.exclusive and self._workers):
                self._held = task
                return
            self._held = None
            worker = self._start(task, free[: task.num_slots], context, folder)
            if worker is None:
                return
            self._workers.append(worker)
            yield Started(task.key, worker.slots[0])

    def _start(
        self, task: Task, slots: Sequence[Slot], context: ForkServerContext, folder: Path
    ) -> _Worker | None:
        try:
            descriptor, name = tempfile.mkstemp(dir=folder)
            os.close(descriptor)
            started = start_process(task, slots, context, Path(name), is_wanted=lambda: not self.stopping)
        except (OSError, EOFError) as error:  # the end of a pipe is that of the forkserver, which could not fork
            reason = getattr(error, "strerror", None) or "the process that starts others has died"
            self._refused = MachineError(
                f"no worker can be started: {reason}; end other processes or raise the limits on processes, open "
                "files and temporary space, then run the same command again"
            )
            self.stop()
            return None
        return _Worker(task, slots, *started, Path(name), time.monotonic()) if started else None

    def _receive(self) -> Iterator[Event]:
        """Wait for messages or an end, for a moment at most."""
        connections = [worker.connection for worker in self._workers if worker.is_open]
        ends = [worker.process.sentinel for worker in self._workers]
        ready = set(wait([*connections, *ends], timeout=POLL_SECONDS))
        for worker in list(self._workers):
            if worker.process.sentinel in ready:
                # What a worker sent before its death is not lost.
                while worker.is_open:
                    yield from _received(worker)
                self._workers.remove(worker)
                yield _ended(worker)
            elif worker.connection in ready:
                # One message at a time, so that a worker that sends many does not hold up the others.
                yield from _received(worker)

    def _enforce(self) -> None:
        """Carry out time limits and the request to stop."""
        now = time.monotonic()
        for worker in self._workers:
            limit = worker.task.timeout_seconds
            if limit is not None and now - worker.started > limit:
                _kill(worker, "timed_out")
            elif self._stopping == "at_once":
                _kill(worker, "killed")
            elif self._stopping == "asked" and worker.asked_to_stop is None:
                worker.asked_to_stop = now
                with suppress(OSError):
                    worker.connection.send(("stop", None))
            elif worker.asked_to_stop is not None and now - worker.asked_to_stop > STOP_SECONDS:
                _kill(worker, "killed")


def _offered(next_task: Callable[[Slot], Task | None], free: Sequence[Slot]) -> tuple[Task | None, list[Slot]]:
    """The next task, and the free slots with its own first: what one device has no room for may fit on another."""
    for device in dict.fromkeys(slot.device for slot in free):
        slot = next(slot for slot in free if slot.device == device)
        if (task := next_task(slot)) is not None:
            return task, [slot, *(other for other in free if other is not slot)]
    return None, [*free]


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
        yield Message(worker.task.key, content)


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
        key=worker.task.key,
        how="returned" if worker.returned else (worker.killed_for or "died"),
        result=worker.result,
        exit_code=worker.process.exitcode,
        output="\n".join(output),
    )
