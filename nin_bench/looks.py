"""Seeds until decided: how many seeds each variant needs, and when a claim is looked at. Imports no torch."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from nin_bench.errors import ResultsError
from nin_bench.metrics import METRICS
from nin_bench.results.schema import Hypothesis, ResolvedGrid, TakenLook
from nin_bench.stats.looks import Look, looks


@dataclass
class WatchedClaim:
    """A hypothesis about networks, and how far its looks have come."""

    id: str
    is_primary: bool
    variant_ids: Collection[str]
    """The ids of the variants that it compares."""
    schedule: Sequence[Look]
    digest: str = ""
    """The digest of the claim as it stands."""
    taken: list[TakenLook] = field(default_factory=list)

    @property
    def num_taken(self) -> int:
        """Looks that have been taken."""
        return len(self.taken)

    @property
    def decided(self) -> bool:
        """Whether one of them decided it."""
        return any(look.decided for look in self.taken)

    @property
    def next_look(self) -> Look | None:
        """The next look; None once the claim is decided, or every look was taken."""
        if self.decided or self.num_taken == len(self.schedule):
            return None
        return self.schedule[self.num_taken]


@dataclass
class SeedsUntilDecided:
    """The seeds of a grid whose variants are trained until its primary claims are decided.

    Every variant is trained with the seeds of the first look. From then on only variants go on that an open
    primary claim compares, and only up to that claim's next look; what a taken look rests on stays needed. So the
    cells that are trained do not depend on the number of workers, nor on when a run was stopped.
    """

    seeds: Sequence[int]
    """The seeds as listed; looks count the first n."""
    schedule: Sequence[Look]
    claims: Sequence[WatchedClaim] = ()

    def num_seeds(self, variant_id: str) -> int:
        """How many of the listed seeds a variant needs before the next look, and for the looks that were taken."""
        taken = (claim.taken[-1].n for claim in self.claims if claim.taken and variant_id in claim.variant_ids)
        return max([self.schedule[0].n, *taken, *(look.n for look in self._open_looks(variant_id))])

    def is_needed(self, variant_id: str, seed: int) -> bool:
        """Whether a cell is to be trained before the next look."""
        return seed in self.seeds[: self.num_seeds(variant_id)]

    def seeds_that_may_be_needed(self, variant_id: str) -> Sequence[int]:
        """The seeds with which a variant is needed now, or would be if looks decided nothing."""
        return self.seeds if self._open_looks(variant_id) else self.seeds[: self.num_seeds(variant_id)]

    def may_be_needed(self, variant_id: str, seed: int) -> bool:
        """Whether a cell is needed now, or would be if looks decided nothing."""
        return seed in self.seeds_that_may_be_needed(variant_id)

    def due(self, has_ended: Callable[[str, int], bool]) -> WatchedClaim | None:
        """A claim whose next look can be taken: its cells with the first n seeds have ended for good."""
        for claim in self.claims:
            look = claim.next_look
            if look and all(has_ended(one, seed) for one in claim.variant_ids for seed in self.seeds[: look.n]):
                return claim
        return None

    def _open_looks(self, variant_id: str) -> list[Look]:
        return [
            look
            for claim in self.claims
            if claim.is_primary and variant_id in claim.variant_ids and (look := claim.next_look)
        ]


def seeds_until_decided(grid: ResolvedGrid) -> SeedsUntilDecided | None:
    """The schedule of a grid, with the looks that were taken; None if every variant is trained with all seeds."""
    if grid.until_decided is None:
        return None
    ids = {variant.label: variant.variant_id for variant in grid.variants}
    claims = []
    for hypothesis in grid.hypotheses:
        if not needs_seeds(hypothesis):
            continue
        digest = claim_digest(hypothesis, ids)
        taken = [look for look in grid.looks if (look.hypothesis, look.claim) == (hypothesis.id, digest)]
        claims.append(
            WatchedClaim(
                id=hypothesis.id,
                is_primary=hypothesis.primary,
                variant_ids={ids[label] for label in hypothesis.compared_labels},
                schedule=looks(len(_seeds_of(grid, hypothesis.id))),
                digest=digest,
                taken=taken,
            )
        )
    return SeedsUntilDecided(grid.seeds, looks(len(grid.seeds)), claims)


def unneeded_cells(grid: ResolvedGrid) -> set[str]:
    """The ids of planned cells that no open claim needs; none where every variant is trained with all seeds."""
    looked_at = seeds_until_decided(grid)
    if looked_at is None:
        return set()
    kept = {key: set(looked_at.seeds_that_may_be_needed(key)) for key in grid.variants_by_id}
    return {cell.cell_id for cell in grid.cells if cell.seed not in kept[cell.variant_id]}


def check_looks(grid: ResolvedGrid) -> None:
    """Refuse, as ResultsError, fewer seeds than claims were looked at with: decisions rest on all of them."""
    for look in grid.looks:
        if grid.until_decided is not None and look.n > len(grid.seeds):
            raise ResultsError(
                f"seeds: at_most {len(grid.seeds)}, but the claim {look.hypothesis!r} was looked at with {look.n} "
                f"seeds; use {look.n} or more, or run --fresh to look at all claims anew"
            )


def _seeds_of(grid: ResolvedGrid, name: str) -> Sequence[int]:
    """The seeds that were planned when a claim was first locked; its looks stay where they were."""
    for lock in grid.locks:
        if any(one.id == name for one in lock.hypotheses):
            return lock.seeds
    return grid.seeds


def needs_seeds(hypothesis: Hypothesis) -> bool:
    """Whether a claim is judged over seeds; no seed changes counts, nor what is measured apart from training."""
    return METRICS[hypothesis.metric].kind in ("quality", "rate")


def claim_digest(hypothesis: Hypothesis, variant_ids: Mapping[str, str]) -> str:
    """SHA-256 of what a look at a claim decides on; its wording may change, and labels may."""
    labels = {"compare", "minus", "points"}
    compared = [variant_ids[label] for label in hypothesis.compared_labels]
    fixed = hypothesis.model_dump(exclude={"claim", *labels}, exclude_defaults=True) | {"compare": compared}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()
