"""The lock on a grid's hypotheses: what was claimed when, and what was known then. Pure; imports no torch."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence

from nin_bench.results.schema import Hypothesis, Lock, ResolvedGrid


def lock_digest(seeds: Sequence[int], hypotheses: Sequence[Hypothesis]) -> str:
    """SHA-256 of what a lock fixes; a field that hypotheses gain later changes no earlier digest."""
    fixed = {"seeds": list(seeds), "hypotheses": [one.model_dump(exclude_defaults=True) for one in hypotheses]}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def locked(
    grid: ResolvedGrid, stored: ResolvedGrid | None, trained_cells: Callable[[], Collection[str]], time: str
) -> ResolvedGrid:
    """The grid with its lock: the last one if it still fits, else a new one, with all earlier ones kept.

    `trained_cells` tells the ids of the planned cells whose results are known; it is asked only if there is a new
    lock.
    """
    earlier = stored.locks if stored else ()
    digest = lock_digest(grid.seeds, grid.hypotheses)
    ids = {variant.label: variant.variant_id for variant in grid.variants}
    if earlier and earlier[-1].digest == digest and _compared(earlier[-1].variants, grid) == _compared(ids, grid):
        return grid.model_copy(update={"lock": earlier[-1], "earlier_locks": earlier[:-1]})
    known = trained_cells()
    unknown = {cell.variant_id for cell in grid.cells if cell.cell_id not in known}
    lock = Lock(
        digest=digest,
        locked_at=time,
        seeds=grid.seeds,
        hypotheses=grid.hypotheses,
        variants=ids,
        num_cells_known=sum(cell.cell_id in known for cell in grid.cells),
        already_trained=tuple(
            one.id
            for one in grid.hypotheses
            if not any(ids.get(label) in unknown for label in one.compared_labels)
        ),
    )
    return grid.model_copy(update={"lock": lock, "earlier_locks": earlier})


def _compared(ids: Mapping[str, str], grid: ResolvedGrid) -> list[str | None]:
    """Ids of the variants that the grid's hypotheses compare, where `ids` has those of all labels."""
    return [ids.get(label) for hypothesis in grid.hypotheses for label in hypothesis.compared_labels]
