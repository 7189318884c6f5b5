"""What was fixed before the networks were trained, and at which level each claim is judged because of that."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nin_bench.metrics import METRICS
from nin_bench.stats import ALPHA

Entry = Mapping[str, Any]
"""A hypothesis as grid.json holds it."""


@dataclass(frozen=True)
class Lock:
    """The hypotheses and seeds as they were locked, at first and since."""

    locks: Sequence[Mapping[str, Any]]
    """In the order of time; the last one is in force."""
    intact: bool
    """Whether the seeds and hypotheses of every lock still fit the digest that was stored with them."""
    variant_ids: Mapping[str, str]
    """By label, as grid.json has them now."""

    @classmethod
    def read(cls, grid: Mapping[str, Any]) -> "Lock":
        """The locks in grid.json; without one, the grid counts as locked as it stands."""
        now = {variant["label"]: variant["variant_id"] for variant in grid["variants"]}
        stored = [*grid.get("earlier_locks", ()), *([grid["lock"]] if grid.get("lock") else [])]
        intact = all(lock.get("digest") == digest_of(lock) for lock in stored)
        as_it_stands = {"seeds": grid["seeds"], "hypotheses": grid["hypotheses"]}
        return cls(stored or [as_it_stands], intact, now)

    def seeds_of(self, entry: Entry) -> list[int]:
        """The seeds that were planned when a hypothesis was first locked; those added later do not count."""
        locked = self._locked(entry["id"])
        return list((locked[0][0] if locked else self.locks[-1])["seeds"])

    def holds(self, entry: Entry) -> bool:
        """Whether a hypothesis is as it was locked, before its networks were all trained; else it is post hoc."""
        locked = self._locked(entry["id"])
        return (
            self.intact
            and bool(locked)
            and entry["id"] not in (locked[0][0].get("already_trained") or ())
            and all(
                _identity(was, lock.get("variants") or self.variant_ids) == self._now(entry)
                for lock, was in locked
            )
        )

    def given_up(self, hypotheses: Sequence[Entry]) -> list[str]:
        """The ids of those that were locked and are not among these any more, or not as they were."""
        kept = {entry["id"] for entry in hypotheses if self.holds(entry)}
        return [name for name in self._first if name not in kept] if self.intact else []

    @property
    def family(self) -> set[str]:
        """The ids of the locked primary claims with a test, those given up since among them."""
        return {name for name, entry in self._first.items() if entry["primary"] and _is_tested(entry)}

    @property
    def _first(self) -> dict[str, Entry]:
        """Every hypothesis that was ever locked, as it was at first."""
        return {entry["id"]: entry for lock in reversed(self.locks) for entry in lock["hypotheses"]}

    def _locked(self, name: str) -> list[tuple[Mapping[str, Any], Entry]]:
        return [(lock, entry) for lock in self.locks for entry in lock["hypotheses"] if entry["id"] == name]

    def _now(self, entry: Entry) -> dict[str, Any]:
        return _identity(entry, self.variant_ids)


@dataclass(frozen=True)
class Level:
    """How sure a verdict has to be."""

    alpha: float
    family_size: int
    """Claims that share the chance of an error; 1 for one that is judged alone."""


def levels(lock: Lock, hypotheses: Sequence[Entry]) -> list[Level]:
    """The level at which each hypothesis is judged.

    The locked primary claims with a test are one family: each has 5 % divided by their number (Bonferroni), so
    that their intervals hold together. One that was changed or withdrawn since still counts. Post hoc claims,
    primary or not, are a family of their own. Those that were locked as secondary have 5 % each.

    Args:
        lock: what was fixed.
        hypotheses: as they stand now.
    """
    post_hoc = {entry["id"] for entry in hypotheses if not lock.holds(entry) and _is_tested(entry)}

    def size(entry: Entry) -> int:
        family = lock.family if lock.holds(entry) else post_hoc
        return len(family) if entry["id"] in family else 1

    return [Level(ALPHA / size(entry), size(entry)) for entry in hypotheses]


def digest_of(lock: Mapping[str, Any]) -> str:
    """What a run stores beside the seeds and hypotheses that it locks."""
    fixed = {"seeds": lock["seeds"], "hypotheses": lock["hypotheses"]}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def _is_tested(entry: Entry) -> bool:
    return not METRICS[entry["metric"]].deterministic


def with_labels(entry: Entry, labels: Mapping[str, str]) -> dict[str, Any]:
    """A hypothesis with other names for its variants; a variant that has none keeps its own."""

    def renamed(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            field: [labels.get(label, label) for label in value]
            if field in ("compare", "minus") and value
            else value
            for field, value in fields.items()
        }

    return renamed(entry) | {"points": [renamed(point) for point in entry.get("points") or ()]}


def _identity(entry: Entry, variant_ids: Mapping[str, str]) -> dict[str, Any]:
    """What makes a hypothesis another one: every field, with variants' ids in place of labels."""
    return {
        field: value for field, value in with_labels(entry, variant_ids).items() if value not in (None, (), [])
    }
