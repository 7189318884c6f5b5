"""What an actor does on a node of a Ray cluster, a turn at a time; knows nothing of Ray."""

import pickle
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from nin_bench.executors.process import POLL_SECONDS
from nin_bench.executors.protocol import Ended, Message, Slot
from nin_bench.executors.stopping import Wish
from nin_bench.executors.workers import Order, opened_workers

TURN_SECONDS = 1.0
"""How long a turn takes if nothing ends and nobody asks: so late a driver hears at most how work goes."""
MOST_EVENTS = 200
"""A turn returns about as many events at most."""

MakeSlots = Callable[[int], AbstractContextManager[Sequence[Slot]]]
"""Called on a node with the number of CPUs that Ray knows there; holds what its slots need while it is entered."""


class NodeWorkers:
    """The actor of a node."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._held = ExitStack()
        self._workers = self._held.enter_context(opened_workers(preload))
        self._last: tuple[int, bytes] = (0, b"")
        """The last turn, and what it returned."""

    def open(self, make_slots: MakeSlots, num_cpus: int) -> Sequence[Slot]:
        """Hold the node's slots."""
        return self._held.enter_context(make_slots(num_cpus))

    def turn(self, number: int, orders: Sequence[Order], answers: Sequence[tuple[str, Any]], wish: Wish) -> bytes:
        """Start and answer, wait for an end or a question, and return all events, as `pickle` writes them.

        The number of the last turn asks what that one returned, which was lost on its way.
        """
        if number != self._last[0]:
            self._last = number, self._take_turn(orders, answers, wish)
        return self._last[1]

    def _take_turn(self, orders: Sequence[Order], answers: Sequence[tuple[str, Any]], wish: Wish) -> bytes:
        for key, content in answers:
            self._workers.answer(key, content)
        for order in orders:
            self._workers.start(order)
        events: list[Message | Ended] = []
        ends_at, is_over = time.monotonic() + TURN_SECONDS, False
        while self._workers and not is_over:
            self._workers.enforce(wish)
            received = list(self._workers.receive(max(0.0, min(POLL_SECONDS, ends_at - time.monotonic()))))
            events += received
            is_urgent = any(isinstance(event, Ended) or event.is_question for event in received)
            is_over = is_urgent or len(events) >= MOST_EVENTS or time.monotonic() >= ends_at
        while self._workers and len(events) < MOST_EVENTS and (more := list(self._workers.receive(0.0))):
            events += more
        return pickle.dumps(events)  # else arrays in them would be Ray's own memory, which nobody may write to

    def kill(self) -> None:
        """Kill all workers."""
        self._workers.kill()
