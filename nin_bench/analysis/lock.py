"""What was fixed before the first run, and at which level each claim is judged because of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nin_bench.metrics import METRICS
from nin_bench.results.lock import lock_digest
from nin_bench.results.schema import Hypothesis, ResolvedGrid
from nin_bench.stats import ALPHA, holm_levels

LOCKED_FIELDS = ("primary", "metric", "expect", "margin", "factor")
"""What makes a hypothesis another one, beside the variants that it compares; its wording may be mended."""


@dataclass(frozen=True)
class Lock:
    """The hypotheses and seeds as they stood at the first run."""

    seeds: Sequence[int]
    hypotheses: Sequence[Hypothesis]
    intact: bool
    """Whether seeds and hypotheses still fit the digest that was stored with them."""
    identities: Mapping[str, list[Any]]
    """By id; what a hypothesis must still be to count as planned. Empty where the lock is not intact."""
    variant_ids: Mapping[str, str]
    """By label, as grid.json has them now."""

    @classmethod
    def read(cls, grid: ResolvedGrid) -> "Lock":
        """The first lock in grid.json; without one, the grid counts as locked as it stands."""
        seeds, hypotheses = grid.seeds, grid.hypotheses
        now = {variant.label: variant.variant_id for variant in grid.variants}
        then, intact = now, True
        if grid.locks:
            lock = grid.locks[0]
            seeds, hypotheses = lock.seeds, lock.hypotheses
            # a label changes when a default is written out, and its variant does not
            then, intact = lock.variants or now, lock.digest == lock_digest(seeds, hypotheses)
        identities = {entry.id: _identity(entry, then) for entry in hypotheses} if intact else {}
        return cls(seeds, hypotheses, intact, identities, now)

    def holds(self, entry: Hypothesis) -> bool:
        """Whether a hypothesis is one that was locked, unchanged; any other is post hoc."""
        return self.identities.get(entry.id) == _identity(entry, self.variant_ids)

    def given_up(self, hypotheses: Sequence[Hypothesis]) -> list[str]:
        """The ids of those that were locked and are not among these any more, or not as they were."""
        kept = {entry.id for entry in hypotheses if self.holds(entry)}
        return [name for name in self.identities if name not in kept]


@dataclass(frozen=True)
class Level:
    """How sure a verdict has to be."""

    alpha: float
    family_size: int
    """Claims that share the chance of an error; 1 for one that is judged alone."""


def levels(lock: Lock, hypotheses: Sequence[tuple[Hypothesis, float]]) -> list[Level]:
    """The level at which each hypothesis is judged.

    The locked primary hypotheses are one family, corrected by Holm. Nothing done after the first run changes its
    size or eases it: one that was edited or withdrawn since stays in it, as if it had failed. Post hoc
    hypotheses, primary or not, are a family of their own. Those that were locked as secondary are judged alone.
    No claim about a metric that no seed changes needs a level.

    Args:
        lock: what was fixed.
        hypotheses: as they stand now, each with its p-value.
    """
    planned = {entry.id: p for entry, p in hypotheses if lock.holds(entry)}
    post_hoc = {entry.id: p for entry, p in hypotheses if not lock.holds(entry) and _is_tested(entry)}
    primary = {
        entry.id: planned.get(entry.id, 1.0) for entry in lock.hypotheses if entry.primary and _is_tested(entry)
    }
    of_planned, of_post_hoc = _by_holm(primary), _by_holm(post_hoc)
    alone = Level(ALPHA, 1)
    return [(of_planned if lock.holds(entry) else of_post_hoc).get(entry.id, alone) for entry, _ in hypotheses]


def _by_holm(p_values: Mapping[str, float]) -> dict[str, Level]:
    found = holm_levels(list(p_values.values()))
    return {name: Level(alpha, len(p_values)) for name, alpha in zip(p_values, found, strict=True)}


def _is_tested(entry: Hypothesis) -> bool:
    return not METRICS[entry.metric].deterministic


def _identity(entry: Hypothesis, variant_ids: Mapping[str, str]) -> list[Any]:
    compared = [variant_ids.get(label, label) for label in entry.compare]
    return [compared, *(getattr(entry, name) for name in LOCKED_FIELDS)]
