"""Some slots of an executor, such as those of one node."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from nin_bench.executors.protocol import Event, Executor, Slot, Task


@dataclass(frozen=True)
class SomeSlots:
    """An `Executor` that leaves all slots but some of another one free."""

    executor: Executor
    is_used: Callable[[Slot], bool]

    @property
    def slots(self) -> Sequence[Slot]:
        """Those that are used, and there now."""
        return [slot for slot in self.executor.slots if self.is_used(slot)]

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called, here or of the other one."""
        return self.executor.stopping

    def run(self, next_task: Callable[[Slot], Task | None]) -> Generator[Event, None, None]:
        """See `Executor.run`."""
        return self.executor.run(lambda slot: next_task(slot) if self.is_used(slot) else None)

    def answer(self, key: str, content: Any) -> None:
        """See `Executor.answer`."""
        self.executor.answer(key, content)

    def stop(self) -> None:
        """See `Executor.stop`."""
        self.executor.stop()
