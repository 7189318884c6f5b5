"""How many images of a batch pass at once, where a recipe leaves that to the machine (`micro_batch: auto`)."""

import math

import psutil
import torch

from nin_bench.cell import Cell
from nin_bench.cgroups import memory_limit
from nin_bench.cost.memory import count_memory
from nin_bench.models import ImageSpec

SHARE = 0.5
"""Of the free memory that tensors may take; kernels borrow more, and so do others on the machine."""


def choose_micro_batch(cell: Cell, image: ImageSpec, device: torch.device, num_workers: int = 1) -> int:
    """The largest of equal parts of the batch whose training fits into this worker's share of the free memory.

    By the formula of `count_memory`, so that nothing is tried. At least 1, whether or not that fits.

    Raises:
        SpecError: the network cannot be counted from shapes alone.
    """
    batch_size = cell.recipe.batch_size
    recipe = cell.recipe.model_copy(update={"micro_batch": batch_size, "compile": False})
    formula = count_memory(cell.model.name, image, recipe, device=device, **cell.model.arguments)
    fits = formula.largest_batch(int(SHARE * free_bytes(device) / num_workers))
    if fits is None:
        return batch_size
    return math.ceil(batch_size / math.ceil(batch_size / max(fits, 1)))


def free_bytes(device: torch.device) -> int:
    """The memory of a device that nobody holds now."""
    if device.type != "cpu":
        return torch.accelerator.get_memory_info(device)[0]
    available = psutil.virtual_memory().available
    return min(available, memory_limit() or available)
