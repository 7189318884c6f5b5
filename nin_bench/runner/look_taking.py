"""Look at claims as their cells end, and keep in grid.json what each look decided."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nin_bench.analysis.verdicts import judge_look
from nin_bench.cell import Cell
from nin_bench.looks import SeedsUntilDecided, WatchedClaim
from nin_bench.results import ResultsFolder, load_results
from nin_bench.results.schema import MissingAtLook, TakenLook
from nin_bench.runner.events import Event, LookTaken
from nin_bench.runner.record import now


@dataclass
class LookTaker:
    """The looks of one run."""

    seeds: SeedsUntilDecided
    """The schedule, with the looks that were taken before."""
    folder: ResultsFolder
    """Where records lie; looks are kept in its grid.json."""
    cells: Iterable[Cell]
    """Every cell of the grid, whether it is selected for this run or not."""
    ended: set[str]
    """Ids of the cells that have ended, and will not be tried again in this run."""
    on_event: Callable[[Event], None]
    is_stopping: Callable[[], bool]

    def __post_init__(self) -> None:
        self._cell_ids = {(cell.variant_id, cell.seed): cell.cell_id for cell in self.cells}

    def is_needed(self, cell: Cell) -> bool:
        """Whether a cell is to be trained before the next look."""
        return self.seeds.is_needed(cell.variant_id, cell.seed)

    def cell_ended(self, cell: Cell, *, is_final: bool) -> bool:
        """Take the looks that waited for this cell, if any; they wait on if it failed while the run stops."""
        if self.is_stopping() and not is_final:
            return False
        self.ended.add(cell.cell_id)
        return self.take_due()

    def take_due(self) -> bool:
        """Take every look whose cells have ended, if any; ResultsError if grid.json cannot be written."""
        is_taken = False
        while claim := self.seeds.due(self._has_ended):
            self._take(claim)
            is_taken = True
        return is_taken

    def _take(self, claim: WatchedClaim) -> None:
        look, grid = claim.next_look, self.folder.read_grid()
        assert look is not None
        verdict = judge_look(load_results(self.folder.path), claim)
        ids = {variant.label: variant.variant_id for variant in grid.variants}
        taken = TakenLook(
            hypothesis=claim.id,
            claim=claim.digest,
            n=look.n,
            seeds=tuple(verdict.pairs),
            missing=tuple(
                MissingAtLook(variant_id=ids[cell.label], seed=cell.seed, reason=cell.reason)
                for cell in verdict.missing
            ),
            verdict=verdict.verdict,
            decided=verdict.verdict in ("supported", "refuted"),
            level=verdict.level,
            effect=verdict.effect,
            interval=verdict.interval,
            reason=verdict.reason,
            taken_at=now(),
        )
        # Kept before anything follows from it: a run that is killed here does not decide again.
        self.folder.write_grid(grid.model_copy(update={"looks": (*grid.looks, taken)}))
        claim.taken.append(taken)
        unneeded = [cell_id for place, cell_id in self._cell_ids.items() if not self.seeds.may_be_needed(*place)]
        self.on_event(LookTaken(taken, unneeded))

    def _has_ended(self, variant_id: str, seed: int) -> bool:
        cell_id = self._cell_ids.get((variant_id, seed))
        return cell_id is None or cell_id in self.ended  # what `exclude` removed is not waited for
