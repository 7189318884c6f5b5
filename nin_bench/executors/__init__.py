"""Where work runs. An executor takes tasks and reports what becomes of each; it knows nothing of cells."""

from nin_bench.executors.cores import claimed_cores
from nin_bench.executors.local import LocalExecutor
from nin_bench.executors.protocol import Channel, Ended, Event, Executor, Message, Slot, Started, Task
from nin_bench.executors.some_slots import SomeSlots

__all__ = [
    "Channel", "Ended", "Event", "Executor", "LocalExecutor", "Message", "Slot", "SomeSlots", "Started", "Task",
    "claimed_cores",
]  # fmt: skip
