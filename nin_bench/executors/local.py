"""Run tasks on this machine: a fresh process for each, one at a time in every slot.

A pipe of its own joins each worker to the parent; it carries news up and the word to stop down. (A queue shared
by all workers would block everybody when one of them is killed while it writes.) Workers are handed out by
a forkserver that has the heavy imports done; not forked from the parent, since an accelerator cannot be
initialised again in a forked child.
"""

import ctypes
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

POLL_SECONDS = 0.25
"""How soon a signal or a time limit is noticed."""
STOP_SECONDS = 30.0
"""How long a worker that was asked to stop may take before it is killed."""
OUTPUT_LINES = 20
"""How much of a dead worker's last output is kept."""


@dataclass(frozen=True)
class Slot:
    """A place where one worker runs."""

    device: str
    core: int | None = None
    """The core that the worker is pinned to; None leaves that to the system."""


class Channel:
    """A worker's end of its pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stopped = False

    def tell(self, news: Any) -> None:
        """Send something that can be pickled to the parent."""
        self._connection.send(("told", news))

    def should_stop(self) -> bool:
        """Whether the parent has asked this worker to stop."""
        if not self._stopped and self._connection.poll():
            self._receive()
        return self._stopped

    def ask(self, news: Any) -> Any:
        """Send news and wait for the parent's `answer` to it; None if the parent wants this worker to stop."""
        self.tell(news)
        return None if self._stopped else self._receive()

    def _receive(self) -> Any:
        kind, content = self._connection.recv()
        self._stopped = kind == "stop"
        return content


@dataclass(frozen=True)
class Task:
    """A function of module level, called as `function(channel, slot, *arguments)`."""

    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Started:
    """A task has its process."""

    key: str
    slot: Slot


@dataclass(frozen=True)
class Told:
    """A task sent news."""

    key: str
    news: Any


@dataclass(frozen=True)
class Ended:
    """A task is over: it returned a result, died, ran out of time, or was killed because all had to stop."""

    key: str
    how: Literal["returned", "died", "timed_out", "killed"]
    result: Any = None
    exit_code: int | None = None
    output: str = ""
    """The last lines that a dead worker wrote."""

    @property
    def cause(self) -> str:
        """Of a worker that died: by what, and what it last said; the last line tells most, and goes first."""
        code = self.exit_code
        if code is not None and code < 0:
            by = signal.Signals(-code).name
            hint = " (the system may have run out of memory)" if by == "SIGKILL" else ""
            said = f"its process was killed by {by}{hint}"
        else:
            said = f"its process ended with status {code}"
        *before, last = self.output.splitlines() or [""]
        return "\n".join([f"{said}: {last}" if last else said, *before])


Event = Started | Told | Ended


@dataclass
class _Worker:
    task: Task
    slot: Slot
    process: BaseProcess
    connection: Connection
    log: Path
    started: float
    speaks: bool = True
    """Whether its end of the pipe may still be open."""
    returned: bool = False
    result: Any = None
    killed_for: Literal["timed_out", "killed"] | None = None
    asked_to_stop: float | None = None


@dataclass
class LocalExecutor:
    """Processes on this machine.

    Args:
        slots: where workers run; as many run at once.
        timeout_seconds: how long a task may take; None sets no limit.
        preload: modules that the forkserver imports once for all workers.
    """

    slots: Sequence[Slot]
    timeout_seconds: float | None = None
    preload: Sequence[str] = ()
    _workers: list[_Worker] = field(default_factory=list)
    _stopping: Literal["no", "asked", "at_once"] = "no"

    def stop(self) -> None:
        """Start nothing more and ask the workers to stop; called again, kill them. Safe in a signal handler."""
        self._stopping = "asked" if self._stopping == "no" else "at_once"

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping != "no"

    def answer(self, key: str, content: Any) -> None:
        """Reply to the news on which a task waits; a task that has died meanwhile hears nothing."""
        for worker in self._workers:
            if worker.task.key == key:
                with suppress(OSError):
                    worker.connection.send(("answer", content))

    def run(self, next_task: Callable[[], Task | None]) -> Generator[Event, None, None]:
        """Run tasks as slots become free, and tell what happens, in the order in which it is noticed.

        `next_task` is asked whenever a slot is free; None is no task for now, and ends the run once all slots
        are free. So a task that fails may be queued again by whoever hears of it.

        A task's function that raises counts as `died`, with its traceback as output. Whoever closes this
        generator early kills the workers.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(self.preload))
        with tempfile.TemporaryDirectory(prefix="nin_bench-") as folder:
            try:
                while True:
                    yield from self._fill(next_task, context, Path(folder))
                    if not self._workers:
                        return
                    yield from self._hear()
                    self._enforce()
            finally:
                for worker in self._workers:
                    worker.process.kill()
                for worker in self._workers:
                    worker.process.join()
                    worker.connection.close()

    def _fill(
        self, next_task: Callable[[], Task | None], context: ForkServerContext, folder: Path
    ) -> Iterator[Started]:
        busy = {id(worker.slot) for worker in self._workers}
        for slot in self.slots:
            if self.stopping or id(slot) in busy:
                continue
            task = next_task()
            if task is None:
                return
            self._workers.append(_start(task, slot, context, folder))
            yield Started(task.key, slot)

    def _hear(self) -> Iterator[Event]:
        """Wait for news or an end, for a moment at most."""
        ears = [worker.connection for worker in self._workers if worker.speaks]
        ends = [worker.process.sentinel for worker in self._workers]
        ready = set(wait([*ears, *ends], timeout=POLL_SECONDS))
        for worker in list(self._workers):
            if worker.process.sentinel in ready:
                # What a worker sent before its death is not lost.
                while worker.speaks:
                    yield from _news(worker)
                self._workers.remove(worker)
                yield _ended(worker)
            elif worker.connection in ready:
                # One message at a time, so that a talkative worker does not drown the others.
                yield from _news(worker)

    def _enforce(self) -> None:
        """Carry out time limits and the wish to stop."""
        now = time.monotonic()
        for worker in self._workers:
            if self.timeout_seconds is not None and now - worker.started > self.timeout_seconds:
                _kill(worker, "timed_out")
            elif self._stopping == "at_once":
                _kill(worker, "killed")
            elif self._stopping == "asked" and worker.asked_to_stop is None:
                worker.asked_to_stop = now
                with suppress(OSError):
                    worker.connection.send(("stop", None))
            elif worker.asked_to_stop is not None and now - worker.asked_to_stop > STOP_SECONDS:
                _kill(worker, "killed")


def _start(task: Task, slot: Slot, context: ForkServerContext, folder: Path) -> _Worker:
    descriptor, name = tempfile.mkstemp(dir=folder)
    os.close(descriptor)
    # The worker unpickles its task itself, so that an import that fails there is told like any other error.
    payload = pickle.dumps(task)
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, name, payload, slot), daemon=True)
    with _signals_blocked():
        process.start()
    theirs.close()
    return _Worker(task, slot, process, ours, Path(name), time.monotonic())


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Start processes that neither Ctrl-C nor SIGTERM reaches.

    Both often go to a whole group of processes, but the parent alone decides, and tells its workers through
    their pipes. The forkserver inherits the mask when the first worker is started, and hands it on; were it to
    die, its workers would seem to have died with it.
    """
    resource_tracker.ensure_running()  # which would unblock the signals again, were it started below
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _news(worker: _Worker) -> Iterator[Told]:
    """Receive one message; none is left once the pipe is closed."""
    try:
        kind, content = worker.connection.recv()
    except (EOFError, OSError):
        worker.speaks = False
        return
    if kind == "result":
        worker.returned, worker.result = True, content
    else:
        yield Told(worker.task.key, content)


def _kill(worker: _Worker, why: Literal["timed_out", "killed"]) -> None:
    worker.killed_for = worker.killed_for or why
    worker.process.kill()


def _ended(worker: _Worker) -> Ended:
    worker.process.join()
    worker.connection.close()
    output = worker.log.read_text(errors="replace").splitlines()[-OUTPUT_LINES:]
    worker.log.unlink()
    return Ended(
        key=worker.task.key,
        how="returned" if worker.returned else (worker.killed_for or "died"),
        result=worker.result,
        exit_code=worker.process.exitcode,
        output="\n".join(output),
    )


def _work(connection: Connection, log: str, payload: bytes, slot: Slot) -> None:
    """What a worker process does, from its start to its end."""
    _die_with_parent()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if slot.core is not None:
        # A machine that forbids pinning still computes the same, only less steadily.
        with suppress(OSError, AttributeError):
            os.sched_setaffinity(0, {slot.core})
    _keep_freed_memory()
    task: Task = pickle.loads(payload)
    connection.send(("result", task.function(Channel(connection), slot, *task.arguments)))
    # All is said; a thread or a library that will not end must not hold the slot.
    os._exit(0)


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next allocation, instead of handing it back to the system.

    A training step frees and allocates the same large tensors over and over; each page handed back has to be
    mapped and zeroed anew. Other C libraries have no such setting.
    """
    trim_threshold, mmap_max = -1, -4  # glibc's M_TRIM_THRESHOLD and M_MMAP_MAX
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, -1)  # never


def _die_with_parent() -> None:
    """End this process when its parent ends, even by SIGKILL; PR_SET_PDEATHSIG would watch the forkserver."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
