"""What every executor speaks of: tasks, the slots where they run, a worker's channel, what becomes of a task."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal


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
