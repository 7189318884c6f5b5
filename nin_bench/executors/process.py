"""A worker's process: how it is started, and what it does from its start to its end."""

import ctypes
import gc
import multiprocessing.spawn
import multiprocessing.util
import os
import pickle
import select
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from nin_bench.executors.protocol import Slot, Task
from nin_bench.signals import STOP_SIGNALS

POLL_SECONDS = 0.25
"""How soon a signal or a time limit is noticed."""
MAX_FOLDER_BYTES = 60
"""A socket's path adds about 30 to its folder, and may have 107 on Linux, 103 elsewhere."""


class PipeChannel:
    """A `Channel` through a pipe."""

    def __init__(self, connection: Connection, asked_at: float, slots: Sequence[Slot] = ()) -> None:
        self.asked_at = asked_at
        self.slots = slots
        self._connection = connection
        self._stopped = False
        # Asked before every step, and ten times as fast as `Connection.poll`, which makes a selector each time.
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)

    def __reduce__(self) -> Any:
        """A process that this one starts can have it."""
        return PipeChannel, (self._connection, self.asked_at, self.slots)

    def send(self, content: Any) -> None:
        """Send something that can be pickled to the parent."""
        self._connection.send(("message", content))

    def ask(self, content: Any) -> Any:
        """Send something and wait for the parent's answer; None if the parent wants this worker to stop."""
        self._connection.send(("question", content))
        return None if self._stopped else self._receive()

    def should_stop(self) -> bool:
        """Whether the parent has asked this worker to stop."""
        if not self._stopped and self._poll.poll(0):
            self._receive()
        return self._stopped

    def _receive(self) -> Any:
        kind, content = self._connection.recv()
        self._stopped = kind == "stop"
        return content


def start_process(
    payload: bytes, slots: Sequence[Slot], context: ForkServerContext, log: Path, is_wanted: Callable[[], bool]
) -> tuple[BaseProcess, Connection] | None:
    """Start a task's process; the first one waits for seconds, while the forkserver imports what it preloads.

    None of `STOP_SIGNALS` reaches the forkserver and its workers. They often go to a whole group of processes, but
    the parent alone decides, and asks its workers through their pipes; if the forkserver died, its workers would
    seem to have died with it. The forkserver inherits the mask of the thread that starts it and hands it on.
    The thread that waits for it is not the main one, since only there does Python handle signals.

    Args:
        payload: the task, as `pickle` writes it. The worker unpickles it itself, so that an import that fails
            there is reported like any other error.
        slots: where; the process may use the cores of all, and its function is given the first.
        context: whose forkserver starts it.
        log: where the process writes what it would print.
        is_wanted: asked while it starts.

    Returns:
        The process and our end of its pipe; None where it was no longer wanted before it had started.
    """
    ours, theirs = context.Pipe()
    own = {name: value for name, value in os.environ.items() if name.startswith("NIN_BENCH_")}
    arguments = (theirs, str(log), payload, slots, time.monotonic(), own)
    # multiprocessing lets no daemon start processes, as a task of several slots may.
    process = context.Process(target=_work, args=arguments, daemon=len(slots) == 1)
    # Not in the thread below, where it would unblock signals again. It is deaf to SIGINT and SIGTERM by itself.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    failures: list[BaseException] = []
    dropped = threading.Event()

    def start() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            with _main_module_left_out():
                process.start()
        except BaseException as error:
            failures.append(error)
        else:
            if dropped.is_set():
                process.kill()

    starting = threading.Thread(target=start, daemon=True)
    starting.start()
    while starting.is_alive():
        if not is_wanted():
            dropped.set()
            if process.pid is not None:  # it has started this very moment
                process.kill()
            return None
        starting.join(POLL_SECONDS)
    theirs.close()
    if failures:
        raise failures[0]
    return process, ours


@contextmanager
def _main_module_left_out() -> Iterator[None]:
    """Have no worker import its parent's main module: a script without a guard would run itself again in there."""
    prepare = multiprocessing.spawn.get_preparation_data

    def without_main(name: str) -> dict[str, Any]:
        return {key: value for key, value in prepare(name).items() if not key.startswith("init_main")}

    multiprocessing.spawn.get_preparation_data = without_main
    try:
        yield
    finally:
        multiprocessing.spawn.get_preparation_data = prepare


def use_short_folder() -> None:
    """Have multiprocessing keep its sockets in a short folder, whatever TMPDIR says.

    The path of a socket has a little over 100 characters. multiprocessing makes one folder of its own, when it is
    first asked for it, and removes it at its end.
    """
    wanted = tempfile.gettempdir()
    if len(os.fsencode(wanted)) <= MAX_FOLDER_BYTES:
        return
    for folder in map(Path, ("/tmp", "/var/tmp", "/dev/shm", os.environ.get("XDG_RUNTIME_DIR") or "/run")):
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            tempfile.tempdir = str(folder)
            break
    try:
        multiprocessing.util.get_temp_dir()
    finally:
        tempfile.tempdir = wanted


def _work(
    connection: Connection,
    log: str,
    payload: bytes,
    slots: Sequence[Slot],
    asked_at: float,
    variables: Mapping[str, str],
) -> None:
    """What a worker process does, from its start to its end."""
    die_with_parent()
    gc.freeze()  # what the forkserver preloaded
    gc.enable()
    os.environ.update(variables)  # as they are now; the forkserver has those of when it was started
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:  # the executor has been stopped meanwhile, and took its folder with it
        os._exit(1)
    except OSError:  # a cell is worth more than what it would print
        descriptor = 2
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    # What a worker that is killed leaves behind goes with the executor's folder.
    tempfile.tempdir = str(Path(log).parent)
    if cores := {slot.core for slot in slots if slot.core is not None}:
        # A machine that forbids pinning still computes the same, only less steadily.
        with suppress(OSError, AttributeError):
            os.sched_setaffinity(0, cores)
    _keep_freed_memory()
    task: Task = pickle.loads(payload)
    connection.send(("result", task.function(PipeChannel(connection, asked_at, slots), slots[0], *task.arguments)))
    # All is sent; a thread or a library that will not end must not hold the slot.
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


def die_with_parent() -> None:
    """End this process when its parent ends, even by SIGKILL; PR_SET_PDEATHSIG would watch the forkserver."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
