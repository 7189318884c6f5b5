"""An executor without processes: tasks run where they are asked for, so that a whole run takes a moment."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

from nin_bench.executors import Ended, Event, Message, Slot, Started, Task


class InlineExecutor:
    """An `Executor` that runs one task after the other in this process; messages arrive when a task ends."""

    def __init__(self, slots: Sequence[Slot], preload: Sequence[str] = ()) -> None:
        self.slots = slots
        self.stopping = False
        self.sent: list[Any] = []

    def run(self, next_task: Callable[[Slot], Task | None]) -> Generator[Event, None, None]:
        slot = self.slots[0]
        while not self.stopping and (task := next_task(slot)) is not None:
            yield Started(task.key, slot)
            self.sent = []
            result = task.function(self, slot, *task.arguments)
            for content in self.sent:
                yield Message(task.key, content)
            yield Ended(task.key, "returned", result)

    def send(self, content: Any) -> None:
        self.sent.append(content)

    def should_stop(self) -> bool:
        return self.stopping

    def answer(self, key: str, content: Any) -> None:
        raise AssertionError("no task here asks")

    def stop(self) -> None:
        self.stopping = True
