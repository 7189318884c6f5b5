"""Seeds of one variant that are trained as one batched model: which are, and the job that they share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nin_bench.cell import Cell
from nin_bench.cost import count_model
from nin_bench.data import describe_data
from nin_bench.errors import ResultsError
from nin_bench.executors import Ended, Slot, Task
from nin_bench.runner.active_cell import ActiveCell
from nin_bench.runner.device_sharing import DeviceMemory
from nin_bench.runner.messages import CellFiles
from nin_bench.runner.session import RunOptions

MAX_AUTO = 16
"""Seeds that `auto` batches at most."""
SMALL_STEP_FLOPS = 5e10
"""A training step with fewer leaves an accelerator waiting for the next kernel more than it computes."""


def batch_limit(options: RunOptions, memory: DeviceMemory) -> Callable[[Cell, Slot], int]:
    """A function that tells how many cells of a cell's variant may be trained as one batch in a slot."""
    step_flops: dict[str, int] = {}

    def limit(cell: Cell, slot: Slot) -> int:
        if options.batch_seeds != "auto":
            return options.batch_seeds or 1
        if slot.device_kind == "cpu":
            return 1
        if cell.variant_id not in step_flops:
            image = describe_data(cell.data, options.data_dir)
            count = count_model(cell.model.name, image, **cell.model.arguments)
            step_flops[cell.variant_id] = count.training_flops * cell.recipe.batch_size
        if step_flops[cell.variant_id] >= SMALL_STEP_FLOPS:
            return 1
        return min(MAX_AUTO, memory.num_that_fit(cell, str(slot)) or MAX_AUTO)

    return limit


@dataclass(frozen=True)
class CellBatch:
    """Cells of one variant that share a process; a `Job`."""

    cells: Sequence[ActiveCell]
    function: Callable[..., Any]

    @property
    def key(self) -> str:
        """The first cell's id, with their number."""
        return f"{self.cells[0].key} and {len(self.cells) - 1} more"

    def task(self) -> Task:
        """Train them all."""
        tasks = [cell.task() for cell in self.cells]
        seconds = tasks[0].timeout_seconds
        limit = None if seconds is None else seconds * len(tasks)
        return Task(self.key, self.function, ([task.arguments[0] for task in tasks],), limit)

    def on_started(self, slot: Slot) -> None:
        """All begin."""
        for cell in self.cells:
            cell.on_started(slot)

    def on_message(self, content: Any) -> CellFiles | None:
        """Note what the worker sent of one of them, and give what it asked for."""
        cell_id, message = content
        return next(cell for cell in self.cells if cell.key == cell_id).on_message(message)

    def on_ended(self, end: Ended, *, may_retry: bool) -> None:
        """Write the records; what failed with the batch is tried again alone.

        Raises:
            ResultsError: the folder cannot be written, here or by the worker.
        """
        if isinstance(end.result, ResultsError):
            raise end.result
        results = end.result if end.how == "returned" else [None] * len(self.cells)
        for cell, result in zip(self.cells, results, strict=True):
            cell.on_ended(replace(end, result=result), may_retry=may_retry)
