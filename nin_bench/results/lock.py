"""The lock on a grid's hypotheses: what was claimed when, and what was known then. Pure; imports no torch."""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence

from nin_bench.results.schema import Hypothesis, Lock, ResolvedGrid


def lock_digest(seeds: Sequence[int], hypotheses: Sequence[Hypothesis]) -> str:
    """SHA-256 of what a lock fixes; a field that hypotheses gain later changes no earlier digest."""
    fixed = {"seeds": list(seeds), "hypotheses": [one.model_dump(exclude_defaults=True) for one in hypotheses]}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def locked(
    grid: ResolvedGrid, stored: ResolvedGrid | None, trained_cells: Callable[[], Collection[str]], time: str
) -> ResolvedGrid:
    """The grid with its lock: the last one if it still fits, else a new one, with all earlier ones kept.

    Args:
        grid: as it is to be stored.
        stored: the folder's grid.json, if there is one.
        trained_cells: ids of the planned cells whose results are known; asked only if there is a new lock.
        time: now, as records have it.
    """
    earlier = stored.locks if stored else ()
    fixed = {
        "digest": lock_digest(grid.seeds, grid.hypotheses),
        "variants": {variant.label: variant.variant_id for variant in grid.variants},
    }
    if earlier and _fixes(earlier[-1]) == _fixes(Lock.model_construct(**fixed, hypotheses=grid.hypotheses)):
        return grid.model_copy(update={"lock": earlier[-1], "earlier_locks": earlier[:-1]})
    known = trained_cells()
    unknown = {cell.variant_id for cell in grid.cells if cell.cell_id not in known}
    ids = {variant.label: variant.variant_id for variant in grid.variants}
    lock = Lock(
        **fixed,
        locked_at=time,
        seeds=grid.seeds,
        hypotheses=grid.hypotheses,
        num_cells_known=sum(cell.cell_id in known for cell in grid.cells),
        already_trained=tuple(
            one.id for one in grid.hypotheses if not any(ids.get(label) in unknown for label in one.compare)
        ),
    )
    return grid.model_copy(update={"lock": lock, "earlier_locks": earlier})


def _fixes(lock: Lock) -> tuple[str, frozenset[tuple[str, str | None]]]:
    """What makes two locks the same: seeds, hypotheses, and the variants that these compare."""
    compared = {label for hypothesis in lock.hypotheses for label in hypothesis.compare}
    return lock.digest, frozenset((label, lock.variants.get(label)) for label in compared)
