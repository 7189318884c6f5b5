"""The largest batch that trains in some memory, by what steps of several batches were measured to hold.

Memory is linear in the images that pass at once, so the two largest batches that were tried give the line.
Imports no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nin_bench.results.cost_entry import BatchPeak, CostEntry


@dataclass(frozen=True)
class LargestBatch:
    """What fits, for one way to pass a batch."""

    micro_batch: int | None
    """None for a batch that passes whole."""
    num_images: int | None
    """0 if not even one image does, None if every batch does: memory does not grow with it."""
    bytes_per_image: float
    """By how much one image more raises the peak."""


def largest_batches(entry: CostEntry, budget_bytes: int) -> list[LargestBatch]:
    """What fits of a variant where so much is there, whole and in micro-batches.

    Args:
        entry: what a machine measured of the variant.
        budget_bytes: of an accelerator its own memory; of a CPU what the whole process may take.

    Returns:
        One for each way to pass a batch in which two batches were measured.
    """
    memory = entry.memory_bytes
    on_cpu = entry.machine.device == "cpu"
    if on_cpu and memory.process is None:
        return []
    held_before = (memory.process or 0) if on_cpu else 0
    ways = dict.fromkeys(batch.micro_batch for batch in memory.batches)
    found = (
        _largest([one for one in memory.batches if one.micro_batch == way], held_before, budget_bytes)
        for way in ways
    )
    return [one for one in found if one is not None]


def _largest(batches: Sequence[BatchPeak], held_before: int, budget_bytes: int) -> LargestBatch | None:
    known = sorted((one.batch_size, one.peak) for one in batches if one.peak is not None)[-2:]
    if len(known) < 2:
        return None
    (small, small_peak), (large, large_peak) = known
    micro_batch = batches[0].micro_batch
    if micro_batch is not None:
        # However many there are, they pass one after another.
        fits = held_before + max(small_peak, large_peak) <= budget_bytes
        return LargestBatch(micro_batch, None if fits else 0, 0.0)
    per_image = (large_peak - small_peak) / (large - small)
    if per_image <= 0:  # too small to tell apart
        return None
    fixed = held_before + large_peak - per_image * large
    return LargestBatch(None, max(0, int((budget_bytes - fixed) / per_image)), per_image)
