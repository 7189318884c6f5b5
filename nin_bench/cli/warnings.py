"""What `plan` warns of: what it can know of a run that will not come to what is wanted."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nin_bench.failures import MAX_FAILURES, failures_alike

WORKER_BYTES = 400_000_000
"""About what a worker holds before it builds a network: PyTorch, its libraries, the images."""

if TYPE_CHECKING:
    from nin_bench.grid import Grid
    from nin_bench.planning import PlannedCell
    from nin_bench.results import ResultsFolder


def lock_notes(grid: "Grid", folder: "ResultsFolder") -> Sequence[str]:
    """What a run does to the lock on the grid's claims, or the lock to them; nothing is loaded without claims."""
    if not grid.hypotheses:
        return []
    from nin_bench.analysis import lock

    return lock.lock_notes(grid.resolved("cpu"), folder.find_grid())


def plan_warnings(
    grid: "Grid",
    cells: "Sequence[PlannedCell]",
    machine: Mapping[str, Any],
    num_workers: int,
    data_dir: Path | None,
) -> Iterator[str]:
    """A sentence for each thing that a person should know before the run."""
    from nin_bench.checks import failing_networks, largest_memory
    from nin_bench.progress import human_memory

    wanted = {one.cell.label for one in cells if one.may_run}
    chosen = [variant for variant in grid.variants if variant.label in wanted]
    for label, why in failing_networks(chosen, data_dir).items():
        yield f"warning: {label} cannot be trained, so that its cells will fail, and no others: {why}"
    ended = [
        (one.cell.label, one.outcome or "", one.record.attempts[-1].error)
        for one in cells
        if one.record is not None
    ]
    for sentence in failures_alike(ended):
        yield f"warning: {sentence}; a run tries it again, and stops it after {MAX_FAILURES} more such failures"
    unmeasured = [one.cell for one in cells if one.may_run and one.estimate.memory_bytes is None]
    total = machine["memory_bytes"]
    if machine["device"] == "cpu" and total and (largest := largest_memory(unmeasured, "cpu", data_dir)):
        label, needed = largest
        at_once = min(num_workers, len(unmeasured))
        of_each = needed + WORKER_BYTES
        if of_each * at_once > total:
            yield (
                f"warning: {label} takes about {human_memory(of_each)} in training, and this machine has "
                f"{human_memory(total)} for {at_once} workers; give fewer --workers, or the recipe a micro_batch"
            )
