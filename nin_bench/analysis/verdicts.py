"""Judge the grid's hypotheses by records and costs: for each a verdict and its evidence."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from typing import Any

from nin_bench.analysis.findings import Outcome, find
from nin_bench.analysis.hypothesis_tests import Case, Counts, Known
from nin_bench.analysis.lock import Level, Lock, levels
from nin_bench.results import Results
from nin_bench.stats import (
    Decision,
    Expectation,
    Interval,
    PairedDifference,
    ThreeParts,
    chances,
    pairs_needed,
    seeds_needed,
)


@dataclass(frozen=True)
class Verdict:
    """What the records say of one hypothesis."""

    id: str
    says: str
    primary: bool
    metric: str
    compare: tuple[str, str]
    expect: Expectation
    margin: float | None
    factor: float | None
    verdict: Outcome
    effect: float | None
    """A less B in the metric's unit, or A over B where a factor is claimed; None where networks failed, because
    ranks decide then and no mean."""
    interval: Interval | None
    """Of the effect, at the level at which the hypothesis was judged: what decided."""
    n: int | None
    """Pairs that the verdict rests on, of seeds or of rounds; None where two exact counts decide, and no pair."""
    post_hoc: bool
    """Whether the hypothesis is none of those that were locked at the first run."""
    early: bool
    """Whether fewer cells than planned have ended."""
    seeds_needed: int | None
    """Of an undecided claim about networks: seeds in all that give a verdict with a chance of 80 %, if effect and
    spread are what they seem, or pairs go on as they did; None where a thousand would not do, or nothing tells."""
    likely_verdict: Decision | None
    """The one that so many seeds would likely bring."""
    stricter: "Stricter | None"
    """The verdict, if networks that lost a class counted as failed; None where it rests on none of them."""
    details: dict[str, Any]
    """The rest of the evidence, as plain values."""
    case: Case
    """What was judged."""
    seeds_added: list[int]
    """Seeds that were added after the hypotheses were locked, and do not count."""

    @property
    def level(self) -> float:
        """The level at which it was judged."""
        return float(self.details["level"])

    @property
    def by_round(self) -> bool:
        """Whether its pairs are rounds of measuring."""
        return self.case.metric.kind == "measured"

    @property
    def by_seed(self) -> bool:
        """Whether its pairs are seeds."""
        return not (self.by_round or self.case.metric.deterministic)

    def as_dict(self) -> dict[str, Any]:
        """Its plain values, without what was judged."""
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        del kept["case"], kept["seeds_added"]
        return kept | {"stricter": self.stricter and asdict(self.stricter)}


@dataclass(frozen=True)
class Stricter:
    """A verdict by a stricter reading of what failed."""

    verdict: Outcome
    num_networks: int
    """Healthy networks among those that the verdict rests on that never predict some class."""
    ranking: dict[str, Any] | None
    """`wins`, `ties` and `losses`, where ranks decide."""


@dataclass(frozen=True)
class Needed:
    """What would decide a claim that is open, if effect and spread, or the share of pairs, are what they seem."""

    seeds: int
    """In all, for a verdict with a chance of 80 %."""
    verdict: Decision
    """The one that they would likely bring."""


def judge(results: Results, also_failed: Collection[tuple[str, int]] = ()) -> list[Verdict]:
    """Give a verdict on each of the grid's hypotheses, in its order.

    Only seeds that were planned when the hypotheses were locked count.

    Args:
        results: a results folder as read.
        also_failed: label and seed of cells that count as failed, healthy as their records may call them.
    """
    grid, lock = results.grid, Lock.read(results.grid)
    known = Known.of(results, also_failed)
    cases = [known.open_case(entry, lock.seeds) for entry in grid.hypotheses]
    added = sorted(set(grid.seeds) - set(lock.seeds))
    return [
        _close(case, level, post_hoc=not lock.holds(case.entry), added=added)
        for case, level in zip(cases, levels(lock, [(case.entry, case.evidence.p) for case in cases]), strict=True)
    ]


def _close(case: Case, level: Level, *, post_hoc: bool, added: list[int]) -> Verdict:
    entry, pairs = case.entry, case.pairs
    found = find(case, level.alpha)
    needed = _needed(case, level.alpha) if found.verdict == "undecided" else None
    by_round = case.metric.kind == "measured"
    by_seed = not (by_round or case.metric.deterministic)
    early = by_seed and pairs.num_ended < pairs.num_planned
    return Verdict(
        id=entry.id,
        says=entry.says,
        primary=entry.primary,
        metric=entry.metric,
        compare=(entry.compare[0], entry.compare[1]),
        expect=entry.expect,
        margin=entry.margin,
        factor=entry.factor,
        verdict=found.verdict,
        effect=found.effect,
        interval=found.interval,
        n=_num_pairs(case),
        post_hoc=post_hoc,
        early=early,
        seeds_needed=needed.seeds if needed else None,
        likely_verdict=needed.verdict if needed else None,
        stricter=None,
        details={
            "level": level.alpha,
            "family_size": level.family_size,
            "rounds" if by_round else "seeds": pairs.numbers,
            "num_healthy": [int(pairs.healthy_a.sum()), int(pairs.healthy_b.sum())],
            "left_out": [
                {"label": label, "seed": seed, "reason": reason} for label, seed, reason in pairs.left_out
            ],
            **found.details,
        },
        case=case,
        seeds_added=added,
    )


def _num_pairs(case: Case) -> int | None:
    match case.test:
        case str():
            return 0
        case Counts():
            return None
        case _:
            return len(case.pairs.numbers)


def _needed(case: Case, level: float) -> Needed | None:
    match case.test:
        case ThreeParts():
            share, verdict = case.test.ranking.leaning(case.claim)
            pairs = pairs_needed(share, level)
            return Needed(pairs, verdict) if pairs else None
        case PairedDifference(mean=mean, sd=float(sd)) if case.metric.kind == "quality" and sd > 0:
            seeds = seeds_needed(case.claim, sd=sd, difference=mean, alpha=level)
            if seeds is None:
                return None
            chance = chances(case.claim, n=seeds, sd=sd, difference=mean, alpha=level)
            return Needed(seeds, "supported" if chance.supported > chance.refuted else "refuted")
    return None
