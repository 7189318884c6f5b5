"""Look at claims as their cells end, and keep in grid.json what each look decided."""

from collections.abc import Callable, Iterable

from nin_bench.cell import Cell
from nin_bench.looks import SeedsUntilDecided, WatchedClaim


class Looks:
    """The looks of one run.

    Args:
        seeds: the schedule, with the looks that were taken before.
        planned: every cell of the grid, whether it is selected for this run or not.
        ended: ids of the cells that have ended, and will not be tried again in this run.
        take: judges a claim by its next look, keeps the look, and returns whether the claim is decided.
    """

    def __init__(
        self,
        seeds: SeedsUntilDecided,
        planned: Iterable[Cell],
        ended: Iterable[str],
        take: Callable[[WatchedClaim], bool],
    ) -> None:
        self._seeds = seeds
        self._cell_ids = {(cell.variant_id, cell.seed): cell.cell_id for cell in planned}
        self._ended = set(ended)
        self._take = take
        self._take_due()  # a run that was killed may not have come to it

    def is_needed(self, cell: Cell) -> bool:
        """Whether a cell is to be trained before the next look."""
        return self._seeds.is_needed(cell.variant_id, cell.seed)

    def cell_ended(self, cell: Cell) -> None:
        """Take the looks that waited for this cell."""
        self._ended.add(cell.cell_id)
        self._take_due()

    def _take_due(self) -> None:
        while claim := self._seeds.due(self._has_ended):
            claim.take(decided=self._take(claim))

    def _has_ended(self, variant_id: str, seed: int) -> bool:
        cell_id = self._cell_ids.get((variant_id, seed))
        return cell_id is None or cell_id in self._ended  # what `exclude` removed is not waited for
