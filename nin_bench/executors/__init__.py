"""Where work runs. An executor takes tasks and tells what becomes of each; it knows nothing of cells."""

from nin_bench.executors.local import LocalExecutor
from nin_bench.executors.tasks import Channel, Ended, Event, Slot, Started, Task, Told

__all__ = ["Channel", "Ended", "Event", "LocalExecutor", "Slot", "Started", "Task", "Told"]
