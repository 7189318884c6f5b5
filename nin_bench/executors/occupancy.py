"""Which task takes which slots of one machine, and which has to wait for more of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nin_bench.executors.protocol import Slot, Task


@dataclass
class Occupancy:
    """The slots of one machine."""

    slots: Sequence[Slot]
    _running: dict[str, tuple[Task, Sequence[Slot]]] = field(default_factory=dict)
    _held: Task | None = None
    """A task that waits until enough slots are free."""

    @property
    def is_busy(self) -> bool:
        """Whether some task runs."""
        return bool(self._running)

    @property
    def has_room(self) -> bool:
        """Whether some slot may be free."""
        return len(self._running) < len(self.slots)

    def __contains__(self, key: str) -> bool:
        """Whether this task runs."""
        return key in self._running

    @property
    def keys(self) -> list[str]:
        """The tasks that run, and the one that waits."""
        return [*self._running, *([self._held.key] if self._held else [])]

    def take(self, next_task: Callable[[Slot], Task | None]) -> tuple[Task, Sequence[Slot]] | None:
        """The next task, and the slots that are its own from here on; None if there is none, or it has to wait.

        A task is asked for only if a slot is free and no other one waits.
        """
        if any(task.exclusive for task, _ in self._running.values()):
            return None
        taken = {id(slot) for _, slots in self._running.values() for slot in slots}
        free = [slot for slot in self.slots if id(slot) not in taken]
        task = self._held
        if task is None:
            task, free = _offered(next_task, free)
        if task is None:
            return None
        assert 1 <= task.num_slots <= len(self.slots), f"{task.key}: {task.num_slots} of {len(self.slots)} slots"
        has_to_wait = task.num_slots > len(free) or (task.exclusive and self.is_busy)
        self._held = task if has_to_wait else None
        if has_to_wait:
            return None
        self._running[task.key] = task, free[: task.num_slots]
        return self._running[task.key]

    def release(self, key: str) -> None:
        """A task is over."""
        del self._running[key]

    def clear(self) -> None:
        """No task runs any more, and none waits."""
        self._running.clear()
        self._held = None


def _offered(next_task: Callable[[Slot], Task | None], free: Sequence[Slot]) -> tuple[Task | None, list[Slot]]:
    """The next task, and the free slots with its own first: what one device has no room for may fit on another."""
    for device in dict.fromkeys(slot.device for slot in free):
        slot = next(slot for slot in free if slot.device == device)
        if (task := next_task(slot)) is not None:
            return task, [slot, *(other for other in free if other is not slot)]
    return None, [*free]
