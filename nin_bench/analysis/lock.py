"""What was fixed before the networks were trained, and at which level each claim is judged because of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nin_bench.metrics import METRICS
from nin_bench.results import schema
from nin_bench.results.lock import lock_digest
from nin_bench.results.schema import Hypothesis, ResolvedGrid
from nin_bench.stats import ALPHA


@dataclass(frozen=True)
class Lock:
    """The hypotheses and seeds as they were locked, at first and since."""

    locks: Sequence[schema.Lock]
    """In the order of time; the last one is in force."""

    intact: bool
    """Whether the seeds and hypotheses of every lock still fit the digest that was stored with them."""
    variant_ids: Mapping[str, str]
    """By label, as grid.json has them now."""

    @classmethod
    def read(cls, grid: ResolvedGrid) -> "Lock":
        """The locks in grid.json; without one, the grid counts as locked as it stands."""
        now = {variant.label: variant.variant_id for variant in grid.variants}
        intact = all(lock.digest == lock_digest(lock.seeds, lock.hypotheses) for lock in grid.locks)
        as_it_stands = schema.Lock(digest="", locked_at="", seeds=grid.seeds, hypotheses=grid.hypotheses)
        return cls(grid.locks or (as_it_stands,), intact, now)

    def seeds_of(self, entry: Hypothesis) -> list[int]:
        """The seeds that were planned when a hypothesis was first locked; those added later do not count."""
        locked = self._locked(entry.id)
        return list((locked[0][0] if locked else self.locks[-1]).seeds)

    def holds(self, entry: Hypothesis) -> bool:
        """Whether a hypothesis is as it was locked, before its networks were all trained; else it is post hoc."""
        locked = self._locked(entry.id)
        return (
            self.intact
            and bool(locked)
            and entry.id not in locked[0][0].already_trained
            and all(
                with_labels(was, lock.variants or self.variant_ids) == with_labels(entry, self.variant_ids)
                for lock, was in locked
            )
        )

    def given_up(self, hypotheses: Sequence[Hypothesis]) -> list[str]:
        """The ids of those that were locked and are not among these any more, or not as they were."""
        kept = {entry.id for entry in hypotheses if self.holds(entry)}
        return [name for name in self._first if name not in kept] if self.intact else []

    @property
    def family(self) -> set[str]:
        """The ids of the locked primary claims with a test, those given up since among them."""
        return {name for name, entry in self._first.items() if entry.primary and _is_tested(entry)}

    @property
    def _first(self) -> dict[str, Hypothesis]:
        """Every hypothesis that was ever locked, as it was at first."""
        return {entry.id: entry for lock in reversed(self.locks) for entry in lock.hypotheses}

    def _locked(self, name: str) -> list[tuple[schema.Lock, Hypothesis]]:
        return [(lock, entry) for lock in self.locks for entry in lock.hypotheses if entry.id == name]


@dataclass(frozen=True)
class Level:
    """How sure a verdict has to be."""

    alpha: float
    family_size: int
    """Claims that share the chance of an error; 1 for one that is judged alone."""


def levels(lock: Lock, hypotheses: Sequence[Hypothesis]) -> list[Level]:
    """The level at which each hypothesis is judged.

    The locked primary claims with a test are one family: each has 5 % divided by their number (Bonferroni), so
    that their intervals hold together. One that was changed or withdrawn since still counts. Post hoc claims,
    primary or not, are a family of their own. Those that were locked as secondary have 5 % each.

    Args:
        lock: what was fixed.
        hypotheses: as they stand now.
    """
    post_hoc = {entry.id for entry in hypotheses if not lock.holds(entry) and _is_tested(entry)}

    def size(entry: Hypothesis) -> int:
        family = lock.family if lock.holds(entry) else post_hoc
        return len(family) if entry.id in family else 1

    return [Level(ALPHA / size(entry), size(entry)) for entry in hypotheses]


def _is_tested(entry: Hypothesis) -> bool:
    return not METRICS[entry.metric].deterministic


def with_labels(entry: Hypothesis, labels: Mapping[str, str]) -> Hypothesis:
    """A hypothesis with other names for its variants; a variant that has none keeps its own."""

    def renamed(pair: tuple[str, str] | None) -> tuple[str, str] | None:
        return pair and (labels.get(pair[0], pair[0]), labels.get(pair[1], pair[1]))

    points = tuple(
        point.model_copy(update={"compare": renamed(point.compare), "minus": renamed(point.minus)})
        for point in entry.points
    )
    update = {"compare": renamed(entry.compare), "minus": renamed(entry.minus), "points": points}
    return entry.model_copy(update=update)
