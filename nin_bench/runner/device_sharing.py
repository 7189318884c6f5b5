"""How many cells an accelerator takes at once: as many as its memory holds, where that makes them faster.

Each has a process of its own. Imports no torch. What one takes is known where its variant's costs were measured.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nin_bench.cell import Cell
from nin_bench.executors import Slot
from nin_bench.results.cost_entry import CostEntry

PROCESS_BYTES = 600 * 2**20
"""What a process takes of a device beside its tensors: CUDA's context, its libraries' kernels and workspaces."""
HEADROOM = 1.25
"""What an allocator holds over what it gave out at most, as its blocks do not fit each other."""


def process_bytes(tensor_bytes: int) -> int:
    """What a process takes of a device whose allocator gives out so many bytes at most."""
    return PROCESS_BYTES + int(HEADROOM * tensor_bytes)


def needed_bytes(entry: CostEntry | None, per_device: int, device_bytes: int) -> int | None:
    """What a cell takes of an accelerator; None if it is to have it to itself.

    Args:
        entry: what this machine measured of the cell's variant. What was not measured may take everything, and
            where as many as fit train no faster together than one alone, each has the device to itself.
        per_device: how many processes share a device at most.
        device_bytes: its memory.
    """
    if entry is None or entry.train is None:
        return None
    memory, busy = entry.memory_bytes, entry.train.busy_images_per_second
    if memory.process is None or memory.train_peak is None or busy is None:
        return None
    needed = process_bytes(memory.process + max(memory.train_peak, memory.predict_peak or 0))
    at_once = min(per_device, device_bytes // needed)
    return needed if at_once * busy.median > entry.train.images_per_second.median else None


def num_at_once(slots: Sequence[Slot], device_bytes: Mapping[str, int], tensor_bytes: int | None) -> int:
    """How many processes that take so much fit on the devices of these slots; at least one on each.

    Args:
        slots: where processes run.
        device_bytes: memory of each device that has some of its own, by `str(slot)`; others are taken to hold all.
        tensor_bytes: what the allocator gives out to each at most; None if nobody knows.
    """
    count = 0
    for device, places in Counter(map(str, slots)).items():
        if device in device_bytes:
            fits = 1 if tensor_bytes is None else device_bytes[device] // process_bytes(tensor_bytes)
            count += min(places, max(1, fits))
        else:
            count += places
    return count


@dataclass
class DeviceMemory:
    """The memory of accelerators, and what the cells that run there take of it.

    Args:
        device_bytes: memory of each device, by `str(slot)`; one that is not named is not watched.
        needed: what a cell takes; None is all.
    """

    device_bytes: Mapping[str, int]
    needed: Callable[[Cell], int | None]
    _taken: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By its id, the device of each cell that runs there, and its bytes."""
    _had_company: set[str] = field(default_factory=set)

    def take(self, cell: Cell, device: str, *, num_cells: int = 1, alone: bool = False) -> bool:
        """Take memory for a cell if there is enough; a device that is free takes any cell."""
        if device not in self.device_bytes:
            return True
        total = self.device_bytes[device]
        wanted = None if alone else self.needed(cell)
        wanted = total if wanted is None else wanted * num_cells
        others = {other: taken for other, (place, taken) in self._taken.items() if place == device}
        if others and sum(others.values()) + wanted > total:
            return False
        self._taken[cell.cell_id] = (device, wanted)
        if others:
            self._had_company |= {cell.cell_id, *others}
        return True

    def num_that_fit(self, cell: Cell, device: str) -> int | None:
        """How many of a cell's variant fit on a free device; None if nobody knows."""
        needed = self.needed(cell) if device in self.device_bytes else None
        return max(1, self.device_bytes[device] // needed) if needed else None

    def release(self, cell: Cell) -> bool:
        """Give back what a cell took; whether it ever shared its device."""
        self._taken.pop(cell.cell_id, None)
        had_company = cell.cell_id in self._had_company
        self._had_company.discard(cell.cell_id)
        return had_company
