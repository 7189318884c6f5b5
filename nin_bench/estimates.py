"""Estimate the time and the memory of cells, and the largest batch that fits, from measured costs.

Arithmetic over cost entries of this machine; imports no torch. What was not measured here has no estimate.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nin_bench.cell import Recipe
from nin_bench.errors import counted
from nin_bench.results.cost_entry import BatchPeak, CostEntry, Predict, Train


@dataclass(frozen=True)
class ImageCounts:
    """Images that a cell goes through."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Estimate:
    """What a cell will take; None if a cost that it needs was not measured."""

    seconds: float | None = None
    """From the start of its process to its record."""
    memory_bytes: int | None = None
    """Of a CPU the whole process; of an accelerator what lies on the device."""


@dataclass(frozen=True)
class RunEstimate:
    """What a run of several cells will take."""

    num_workers: int
    num_cells: int
    num_known: int
    """Cells with an estimated time; `seconds` counts only those."""
    seconds: float
    """From the start of the first to the end of the last."""
    memory_bytes: int | None
    """The most that the workers of a node hold together, should the largest cells meet; None where no cell's is
    known."""
    num_nodes: int = 1
    """Machines that share the cells; `num_workers` are those of all."""
    longest_seconds: float = 0.0
    """What the longest cell takes; no number of workers ends a run sooner."""

    @property
    def num_unknown(self) -> int:
        """Cells without figures."""
        return self.num_cells - self.num_known


@dataclass(frozen=True)
class LargestBatch:
    """What fits, for one way to pass a batch."""

    micro_batch: int | None
    """None for a batch that passes whole."""
    num_images: int | None
    """0 if not even one image does, None if every batch does: memory does not grow with it."""
    bytes_per_image: float
    """By how much one image more raises the peak."""


def estimate_cell(
    entry: CostEntry, recipe: Recipe, images: ImageCounts, *, num_workers: int, test_passes: float = 1
) -> Estimate:
    """Estimate one cell.

    A cell loads its images and builds its network, trains, predicts the validation images after every epoch (and
    the test images, where the recipe has it so), and predicts training and test images at its end.

    Args:
        entry: what this machine measured of the cell's variant.
        recipe: the cell's.
        images: the cell's.
        num_workers: how many cells run at a time. One has the exclusive speed; several have the speed with all
            workers busy, which says nothing of more workers than it was measured with.
        test_passes: how often it predicts the test images at its end; probes do so, too.
    """
    train, predict = (_images_per_second(entry, phase, num_workers) for phase in (entry.train, entry.predict))
    seconds = None
    if train and predict and entry.startup_seconds:
        each_epoch = images.validation + (images.test if recipe.test_every_epoch else 0)
        predicted = recipe.epochs * each_epoch + images.train + test_passes * images.test
        seconds = entry.startup_seconds.median + recipe.epochs * images.train / train + predicted / predict
    return Estimate(seconds, _memory_bytes(entry))


def estimate_run(waves: Iterable[Iterable[Estimate]], num_workers: int, num_nodes: int = 1) -> RunEstimate:
    """Estimate a run of cells that start in this order, each as soon as a worker is free.

    Args:
        waves: cells that may run side by side; those of a wave wait for all of the wave before, as for a look.
        num_workers: of each node.
        num_nodes: how many machines share the cells.
    """
    each = [list(wave) for wave in waves]
    known = [[one.seconds for one in wave if one.seconds is not None] for wave in each]
    seconds = [duration for wave in known for duration in wave]
    memory = [one.memory_bytes for wave in each for one in wave if one.memory_bytes is not None]
    return RunEstimate(
        num_workers=num_workers * num_nodes,
        num_cells=sum(map(len, each)),
        num_known=len(seconds),
        seconds=sum(makespan(wave, num_workers * num_nodes) for wave in known),
        memory_bytes=sum(heapq.nlargest(num_workers, memory)) if memory else None,
        num_nodes=num_nodes,
        longest_seconds=max(seconds, default=0.0),
    )


def makespan(seconds: Iterable[float], num_workers: int) -> float:
    """When the last of some tasks ends that start in this order, each as soon as one of the workers is free.

    >>> makespan([3, 1, 1, 4], num_workers=2)
    6.0
    """
    free_at = [0.0] * num_workers
    for duration in seconds:
        heapq.heapreplace(free_at, free_at[0] + duration)
    return max(free_at)


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


def _images_per_second(entry: CostEntry, phase: Train | Predict | None, num_workers: int) -> float | None:
    if phase is None:
        return None
    if num_workers == 1:
        return phase.images_per_second.median
    busy = phase.busy_images_per_second
    return busy.median if busy and num_workers <= entry.setting.num_workers else None


def _memory_bytes(entry: CostEntry) -> int | None:
    memory = entry.memory_bytes
    if entry.machine.device != "cpu":
        return memory.train_peak  # the process lies in the host's memory, not in the device's
    return None if memory.train_peak is None or memory.process is None else memory.process + memory.train_peak


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


def estimate_line(estimate: RunEstimate) -> str | None:
    """What a run will take; None if nothing is known of it."""
    if not estimate.num_known:
        return None
    of = f" for {estimate.num_known} of {estimate.num_cells} cells" if estimate.num_unknown else ""
    on_nodes, together, longest = "", "together", ""
    if estimate.num_nodes > 1:
        on_nodes, together = f" on {estimate.num_nodes} nodes", "those of a node together"
        longest = f"; the longest cell takes {human_duration(estimate.longest_seconds)}"
    held = estimate.memory_bytes
    memory = "" if held is None else f", {together} holding up to {human_memory(held)}"
    workers = counted(estimate.num_workers, "worker")
    return f"estimate: {human_duration(estimate.seconds)}{of} with {workers}{on_nodes}{memory}{longest}"


def estimate_lines(estimates: Mapping[str, RunEstimate]) -> list[str]:
    """A line for each estimate of a run of which something is known, after its name if it has one."""
    lines = {name: estimate_line(one) for name, one in estimates.items()}
    return [f"{name}: {line}" if name else line for name, line in lines.items() if line]


def memory_warning(estimate: RunEstimate, machine: Mapping[str, Any]) -> str | None:
    """A warning that a run may need more memory than there is; on accelerators, each worker has its own."""
    total, wanted = machine["memory_bytes"], estimate.memory_bytes
    if machine["device"] != "cpu" or total is None or wanted is None or wanted <= total:
        return None
    return (
        f"warning: {estimate.num_workers // estimate.num_nodes} workers may hold {human_memory(wanted)} together, "
        f"and {'this machine' if estimate.num_nodes == 1 else 'a node'} has {human_memory(total)}; give fewer "
        "--workers"
    )


def human_duration(seconds: float) -> str:
    """As people say it.

    >>> human_duration(42.4), human_duration(150.0), human_duration(9000.0)
    ('42 s', '2.5 min', '2.5 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def human_memory(num_bytes: int) -> str:
    """As people say it: `1.5 GiB`."""
    return f"{num_bytes / 2**30:.1f} GiB"
