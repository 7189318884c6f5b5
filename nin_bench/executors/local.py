"""Run tasks on this machine: a fresh process for each, one at a time in every slot.

A pipe of its own joins each worker to the parent; it carries news up and the word to stop down. (A queue shared
by all workers would block everybody when one of them is killed while it writes.) Workers are handed out by
a forkserver that has the heavy imports done; not forked from the parent, since an accelerator cannot be
initialised again in a forked child.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from nin_bench.executors.process import POLL_SECONDS, start_process
from nin_bench.executors.tasks import Ended, Event, Slot, Started, Task, Told

STOP_SECONDS = 30.0
"""How long a worker that was asked to stop may take before it is killed."""
OUTPUT_LINES = 20
"""How much of a dead worker's last output is kept."""

_WATCH = "nin_bench.executors.watch"


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
        context.set_forkserver_preload([_WATCH, *self.preload])
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
            worker = self._start(task, slot, context, folder)
            if worker is None:
                return
            self._workers.append(worker)
            yield Started(task.key, slot)

    def _start(self, task: Task, slot: Slot, context: ForkServerContext, folder: Path) -> _Worker | None:
        descriptor, name = tempfile.mkstemp(dir=folder)
        os.close(descriptor)
        started = start_process(task, slot, context, Path(name), is_wanted=lambda: not self.stopping)
        return _Worker(task, slot, *started, Path(name), time.monotonic()) if started else None

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
