"""Trackers that follow a run by its events, each in a thread of its own, so that none can hold the run up.

One that ships is a row of `SHIPPED`; another package names its own by an entry point of the group `GROUP`.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from nin_bench.errors import InputError, unknown_name
from nin_bench.runner.events import Event

logger = logging.getLogger(__name__)

GROUP = "nin_bench.listeners"
"""The group of entry points by which other packages name their listeners."""

SHIPPED = {name: f"{__name__}.{name}" for name in ("mlflow", "tensorboard")}
"""Modules whose `listen` opens a listener; each has an extra of its name."""

LAST_SECONDS = 30.0
"""How long a run waits at its end for a listener that has not taken every event."""

Listener = Callable[[Event], None]
Opener = Callable[[Path], AbstractContextManager[Listener]]
"""Called with the results folder, `<root>/<grid>/<profile>`; what it returns is entered and left in one thread."""


@contextmanager
def listening(listeners: Sequence[str | Listener], folder: Path) -> Iterator[Listener]:
    """What hands each event to all listeners, and returns at once.

    A listener that fails is logged, once, and hears no more.

    Args:
        listeners: functions, and names of `SHIPPED` or of entry points.
        folder: the results folder of the run.

    Raises:
        InputError: a listener is unknown, or cannot be imported.
    """
    each_once = [one for index, one in enumerate(listeners) if one not in listeners[:index]]
    openers = [_named_opener(one) for one in each_once]  # what cannot be had is refused before any is started
    started = [_Started(name, opener, folder) for name, opener in openers]

    def hand_on(event: Event) -> None:
        for one in started:
            one.events.put(event)

    try:
        yield hand_on
    finally:
        for one in started:
            one.events.put(None)
        for one in started:
            one.wait()


def _named_opener(listener: str | Listener) -> tuple[str, Opener]:
    if isinstance(listener, str):
        return listener, opener_of(listener)
    return getattr(listener, "__name__", type(listener).__name__), lambda folder: nullcontext(listener)


def opener_of(name: str) -> Opener:
    """What opens a listener.

    Raises:
        InputError: it is unknown, or cannot be imported.
    """
    found = {one.name: one for one in entry_points(group=GROUP)}
    try:
        if name in SHIPPED:
            opener: Opener = import_module(SHIPPED[name]).listen
        elif name in found:
            opener = found[name].load()
        else:
            raise InputError(f"--listener: {unknown_name('listener', name, [*SHIPPED, *found])}")
    except ImportError as error:
        shipped = f"pip install 'nin-bench[{name}]'"
        remedy = shipped if name in SHIPPED else f"mend the package of {found[name].value}"
        raise InputError(f"--listener {name}: cannot be imported ({error}); {remedy}") from error
    return opener


class _Started:
    """A listener in its thread."""

    def __init__(self, name: str, opener: Opener, folder: Path) -> None:
        self.name = name
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        """The events to come; None after the last."""
        self._thread = threading.Thread(
            target=self._listen, args=(opener, folder), name=f"listener {name}", daemon=True
        )
        self._thread.start()

    def wait(self) -> None:
        """Until it has taken every event, or has had its time."""
        self._thread.join(LAST_SECONDS)
        if self._thread.is_alive():
            logger.warning(
                "listener %s: %d events were left after %.0f s; the records have everything",
                self.name,
                self.events.qsize(),
                LAST_SECONDS,
            )

    def _listen(self, opener: Opener, folder: Path) -> None:
        try:
            with opener(folder) as listener:
                while (event := self.events.get()) is not None:
                    listener(event)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            logger.warning("listener %s: failed and is off (%s); the run goes on", self.name, reason)
