"""Run tasks on this machine: a fresh process for each, one at a time in every slot."""

import pickle
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from nin_bench.errors import MachineError
from nin_bench.executors.occupancy import Occupancy
from nin_bench.executors.protocol import Ended, Event, Slot, Started, Task
from nin_bench.executors.stopping import StopRequest
from nin_bench.executors.workers import Order, Workers, opened_workers


@dataclass
class LocalExecutor:
    """An `Executor` of processes on this machine."""

    slots: Sequence[Slot]
    preload: Sequence[str] = ()
    _workers: Workers | None = None
    _stop: StopRequest = field(default_factory=StopRequest)
    _refused: MachineError | None = None
    """Why no worker can be started any more."""

    def stop(self) -> None:
        """Start nothing more and ask the workers to stop; called again, kill them. Safe in a signal handler."""
        self._stop.make()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_made

    def answer(self, key: str, content: Any) -> None:
        """Reply to a task that waits in `Channel.ask`; a task that has died meanwhile receives nothing."""
        if self._workers:
            self._workers.answer(key, content)

    def run(self, next_task: Callable[[Slot], Task | None]) -> Generator[Event, None, None]:
        """Run tasks as slots become free, and yield events in the order in which they are noticed.

        See `Executor.run`. Where no worker can be started any more, those that run are asked to stop first.

        Raises:
            MachineError: the system refused a process, a pipe or a temporary file.
        """
        occupancy = Occupancy(self.slots)
        with opened_workers(self.preload) as workers:
            self._workers = workers
            while True:
                yield from self._fill(next_task, occupancy, workers)
                if not workers:
                    break
                for event in workers.receive():
                    if isinstance(event, Ended):
                        occupancy.release(event.key)
                    yield event
                workers.enforce(self._stop.wish)
        if self._refused is not None:
            raise self._refused

    def _fill(
        self, next_task: Callable[[Slot], Task | None], occupancy: Occupancy, workers: Workers
    ) -> Iterator[Started]:
        """Start tasks in free slots, until there is no task, or one that has to wait for more of them."""
        while not self.stopping and (taken := occupancy.take(next_task)):
            task, slots = taken
            order = Order(task.key, pickle.dumps(task), slots, task.timeout_seconds)
            try:
                if not workers.start(order, is_wanted=lambda: not self.stopping):
                    return
            except MachineError as error:
                self._refused = error
                self.stop()
                return
            yield Started(task.key, slots[0])
