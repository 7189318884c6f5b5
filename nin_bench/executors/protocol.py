"""What every executor offers and takes: tasks, the slots where they run, a worker's channel, and events."""

import signal
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class Slot:
    """A place where one worker runs."""

    device: str
    core: int | None = None
    """The core that the worker is pinned to; None leaves that to the system."""
    node: str = ""
    """The machine that it belongs to, where an executor has several."""

    def __str__(self) -> str:
        """The device, and its node if there are several."""
        return f"{self.device} of node {self.node}" if self.node else self.device

    @property
    def device_kind(self) -> str:
        """`cpu`, `cuda`, ...: the device without its number."""
        return self.device.partition(":")[0]


class Channel(Protocol):
    """A worker's connection to whoever runs its executor."""

    @property
    def asked_at(self) -> float:
        """When this worker's process was asked for, by `time.monotonic` of its machine."""

    @property
    def slots(self) -> Sequence[Slot]:
        """All slots that its task has."""

    def send(self, content: Any) -> None:
        """Send something that can be pickled; it arrives as a `Message`."""

    def ask(self, content: Any) -> Any:
        """Send something and wait for the executor's `answer`; None if this worker is asked to stop instead."""

    def should_stop(self) -> bool:
        """Whether this worker was asked to stop."""


@dataclass(frozen=True)
class Task:
    """A function of module level, called as `function(channel, slot, *arguments)` in a process of its own."""

    key: str
    """No two tasks that run at the same time share one."""
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    timeout_seconds: float | None = None
    """The worker is killed after so long; None sets no limit."""
    num_slots: int = 1
    """Slots of one node that the task takes; `slot` is the first of them, the cores of all are the process's."""
    exclusive: bool = False
    """Whether nothing else may run on the node meanwhile, as when something is timed."""


@dataclass(frozen=True)
class Started:
    """A task has its slots, and its process, or is about to have one there."""

    key: str
    slot: Slot


@dataclass(frozen=True)
class Message:
    """A task sent something."""

    key: str
    content: Any
    is_question: bool = False
    """Whether it waits for the executor's `answer`."""


@dataclass(frozen=True)
class Ended:
    """A task is over: it returned a result, died, ran out of time, was killed as all had to stop, or was lost.

    It was lost with its node, which says nothing about the task.
    """

    key: str
    how: Literal["returned", "died", "timed_out", "killed", "lost"]
    result: Any = None
    exit_code: int | None = None
    output: str = ""
    """The last lines that a dead worker wrote."""

    @property
    def cause(self) -> str:
        """How a worker died and what it last wrote; the last line says most, and comes first."""
        code = self.exit_code
        if code is not None and code < 0:
            by = signal.Signals(-code).name
            hint = " (the system may have run out of memory)" if by == "SIGKILL" else ""
            said = f"its process was killed by {by}{hint}"
        else:
            said = f"its process ended with status {code}"
        *before, last = self.output.splitlines() or [""]
        return "\n".join([f"{said}: {last}" if last else said, *before])


Event = Started | Message | Ended


class Executor(Protocol):
    """Runs tasks, each in a process of its own, and reports what becomes of them."""

    @property
    def slots(self) -> Sequence[Slot]:
        """Where workers can run now; an executor of several machines may gain and lose some."""

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""

    def run(self, next_task: Callable[[Slot], Task | None]) -> Generator[Event, None, None]:
        """Run tasks as slots become free, and yield events in the order in which they are noticed.

        `next_task` is called with a free slot; None means no task for its node for now, and ends the run once
        every slot is free. So a task that failed, or was lost, can be queued again by whoever receives its end. A
        task that asks for more slots than are free, or for a node to itself, waits for them; its node starts
        nothing else meanwhile.

        A function that raises counts as `died`, with its traceback as output. Closing the generator early kills
        the workers.
        """

    def answer(self, key: str, content: Any) -> None:
        """Reply to a task that waits in `Channel.ask`; a task that has died meanwhile receives nothing."""

    def stop(self) -> None:
        """Start nothing more and ask the workers to stop; called again, kill them. Safe in a signal handler."""
