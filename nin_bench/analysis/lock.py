"""What was fixed before the networks were trained, and at which level each claim is judged because of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nin_bench.errors import counted, some_of
from nin_bench.metrics import METRICS
from nin_bench.results import schema
from nin_bench.results.lock import lock_digest
from nin_bench.results.schema import Hypothesis, ResolvedGrid
from nin_bench.stats.claims import ALPHA


@dataclass(frozen=True)
class Lock:
    """The hypotheses and seeds as they were locked, at first and since."""

    locks: Sequence[schema.Lock]
    """In the order of time; the last one is in force."""

    intact: bool
    """Whether the seeds and hypotheses of every lock still fit the digest that was stored with them."""
    variant_ids: Mapping[str, str]
    """Ids of the variants by label, as grid.json has them now."""

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

    def counted_seeds(self, entry: Hypothesis, planned: Sequence[int]) -> set[int]:
        """The seeds that count for a hypothesis; all that are planned if it was never locked."""
        return set(self.seeds_of(entry) if self._locked(entry.id) else planned)

    def holds(self, entry: Hypothesis) -> bool:
        """Whether a hypothesis is as it was locked, before its networks were all trained; else it is post hoc."""
        return self.is_unchanged(entry) and not self.came_late(entry)

    def is_unchanged(self, entry: Hypothesis) -> bool:
        """Whether a hypothesis is as it was locked."""
        locked = self._locked(entry.id)
        return (
            self.intact
            and bool(locked)
            and all(
                with_labels(was, lock.variants or self.variant_ids) == with_labels(entry, self.variant_ids)
                for lock, was in locked
            )
        )

    def came_late(self, entry: Hypothesis) -> bool:
        """Whether all networks of a hypothesis were trained, here or for another grid, before it was locked."""
        locked = self._locked(entry.id)
        return bool(locked) and entry.id in locked[0][0].already_trained

    def given_up(self, hypotheses: Sequence[Hypothesis]) -> list[str]:
        """The ids of those that were locked and are not among these any more, or not as they were."""
        kept = {entry.id for entry in hypotheses if self.is_unchanged(entry)}
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


def lock_notes(grid: ResolvedGrid, stored: ResolvedGrid | None) -> list[str]:
    """What a run does to the lock on claims and seeds, or what the lock does to a grid that has changed since."""
    if not grid.hypotheses:
        return []
    if stored is None or not stored.locks:
        what = f"{counted(len(grid.hypotheses), 'claim')} and {counted(len(grid.seeds), 'seed')}"
        return [f"the run locks {what}: a claim that is changed later is judged as post hoc"]
    now = {variant.label: variant.variant_id for variant in grid.variants}
    lock = replace(Lock.read(stored), variant_ids=now)
    locked = {name for one in lock.locks for name in (entry.id for entry in one.hypotheses)}
    notes = []
    if added := [seed for seed in grid.seeds if seed not in lock.locks[0].seeds]:
        claims = [entry.id for entry in grid.hypotheses if not set(added) <= set(lock.seeds_of(entry))]
        if claims:
            notes.append(
                "seeds that came after the lock are trained and count for no claim that was locked before them: "
                f"{some_of(added)} (claims: {some_of(claims)})"
            )
    known = [entry for entry in grid.hypotheses if entry.id in locked]
    if changed := [entry.id for entry in known if not lock.is_unchanged(entry)]:
        notes.append(f"claims that are not as they were locked are judged as post hoc: {some_of(changed)}")
    if late := [entry.id for entry in known if lock.is_unchanged(entry) and lock.came_late(entry)]:
        notes.append(
            "claims whose networks were all trained before they were locked are judged as post hoc: "
            f"{some_of(late)}"
        )
    if new := [entry.id for entry in grid.hypotheses if entry.id not in locked]:
        notes.append(
            f"the run locks new claims, which are post hoc if their networks are all trained: {some_of(new)}"
        )
    left_out = [name for name in sorted(locked) if name not in {entry.id for entry in grid.hypotheses}]
    if left_out:
        notes.append(f"claims that were locked and are left out still count in the family: {some_of(left_out)}")
    return notes


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
