"""Judge the grid's hypotheses by records and costs: for each a verdict, with the numbers that it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nin_bench.analysis.hypothesis_tests import (
    Bounds,
    Counts,
    Evidence,
    HypothesisTest,
    Outcome,
    TestName,
    contrast_of,
    ends_of,
)
from nin_bench.analysis.lock import Level, Lock, levels
from nin_bench.analysis.pairs import MissingCell
from nin_bench.looks import WatchedClaim, seeds_until_decided
from nin_bench.metrics import METRICS, Unit
from nin_bench.results import Results
from nin_bench.results.schema import Hypothesis, ResolvedGrid
from nin_bench.stats.claims import Expectation, Interval
from nin_bench.stats.looks import Look
from nin_bench.stats.paired_test import PairedTest
from nin_bench.stats.shares import PairedShares, points_against, wilson_interval


@dataclass(frozen=True)
class Shares:
    """How often networks of A and of B failed, or lost a class, over the pairs of a verdict."""

    counts: tuple[int, int]
    n: int
    intervals: tuple[Interval, Interval]
    """The interval of each share, 95 % (Wilson)."""
    difference: float
    """The share of A less that of B."""
    interval: Interval
    """The interval of the difference, 95 % (Newcombe)."""
    mcnemar_p: float
    """Exact, two-sided."""

    @classmethod
    def of(cls, found: PairedShares) -> "Shares":
        """Describe two shares of the same pairs."""
        a, b = found.counts
        return cls(
            counts=found.counts,
            n=found.n,
            intervals=(wilson_interval(a, found.n), wilson_interval(b, found.n)),
            difference=found.difference,
            interval=found.interval(),
            mcnemar_p=found.mcnemar_p,
        )


@dataclass(frozen=True)
class LookNumber:
    """Which of the looks at a claim one is."""

    number: int
    """Counted from 1."""
    total: int
    num_seeds: int
    """The first listed seeds, so many of them, were looked at."""


@dataclass(frozen=True)
class Verdict:
    """What the records say on one hypothesis."""

    id: str
    claim: str
    primary: bool
    metric: str
    compare: tuple[str, str]
    expect: Expectation
    margin: float | None
    factor: float | None
    verdict: Outcome
    effect: float | None
    """The estimate of A less B in the metric's unit, or of A over B where a factor is claimed; None where it is
    infinite, because most networks failed, or where there is none."""
    interval: Bounds | None
    """Of the effect, at the claim's level: what decided. An end that the pairs do not bound is None; so is
    all of it if neither end is bounded, and for counts."""
    n: int | None
    """Pairs that the verdict rests on, of seeds or of rounds; None where two counts decide, and no pair."""
    test: TestName | None
    level: float
    """The chance of a wrong verdict on this claim is at most this."""
    family_size: int
    """Claims that share 5 %; 1 where this one has 5 % of its own."""
    p_support: float | None
    """One-sided, exact: the claim is supported where it is at most half the level."""
    p_refute: float | None
    failed: Shares | None
    """Networks that failed; None where no networks of one pair of variants are compared."""
    lost_classes: Shares | None
    """Networks that never predict some class."""
    trade_off: bool
    """Whether failures point against the verdict: what it calls better, or as good, fails more often."""
    post_hoc: bool
    """Whether the claim was written or changed after its networks were trained."""
    early: bool
    """Whether fewer cells than planned have ended."""
    reason: str | None
    """Why it is not testable."""
    by_round: bool
    """Whether pairs are rounds of measuring."""
    pairs: list[int]
    """The seeds, or rounds counted from 1, that it rests on."""
    missing: list[MissingCell]
    """Planned cells that cannot be compared, and why."""
    seeds_added: list[int]
    """Seeds that were added after the claim was locked, and do not count."""
    values: tuple[float, float] | None = None
    """The two counts, where counts decide."""
    minus: tuple[str, str] | None = None
    """Two more variants: the claim is about the difference within `compare`, less the difference within these."""
    kinds: tuple[str, str] | None = None
    """Two kinds of one variant's layers, of which the shares are compared."""
    over: str | None = None
    """The axis over whose values the effect is a mean."""
    points: tuple["PointVerdict", ...] = ()
    """The claim at each of these values."""
    look: LookNumber | None = None
    """Where seeds are trained until claims are decided: the look that it was judged at; the first, if none was
    taken yet."""

    @property
    def unit(self) -> Unit:
        """The unit of its effect, unless a factor is claimed."""
        return "share" if self.kinds else METRICS[self.metric].unit

    @property
    def is_counted(self) -> bool:
        """Whether it is about counts, which no seed changes."""
        return METRICS[self.metric].deterministic

    @property
    def ends(self) -> Interval | None:
        """The interval; an end that the pairs do not bound is infinite, or 0 for a factor."""
        return ends_of(self.interval, is_factor=self.factor is not None)


@dataclass(frozen=True)
class PointVerdict:
    """What the records say on a claim at one value of its axis."""

    value: Any
    verdict: Outcome
    effect: float | None
    interval: Bounds | None
    """At `level`."""
    level: float
    """The claim's level divided by the number of values, so that their intervals hold together."""
    n: int | None
    test: TestName | None
    reason: str | None


@dataclass(frozen=True)
class _Bench:
    """All that verdicts on a grid's hypotheses rest on."""

    lock: Lock
    levels: Mapping[str, Level]
    """The level of each hypothesis, by its id."""
    evidence: Evidence

    @classmethod
    def of(cls, results: Results) -> "_Bench":
        lock, hypotheses = Lock.read(results.grid), results.grid.hypotheses
        by_id = dict(zip((entry.id for entry in hypotheses), levels(lock, hypotheses), strict=True))
        return cls(lock, by_id, Evidence.of(results))

    def judge(self, entry: Hypothesis, seeds: Sequence[int], level: Level, added: Sequence[int] = ()) -> Verdict:
        """The verdict by some seeds, at some level; other seeds may have been added since the claim was locked."""
        post_hoc = not self.lock.holds(entry)
        verdict = _judge(self.evidence.test(entry, seeds), level, post_hoc=post_hoc, added=added)
        return replace(verdict, points=_judge_points(entry, seeds, self.evidence, level))

    def judge_look(
        self, entry: Hypothesis, seeds: Sequence[int], claim: WatchedClaim, look: Look, level: float | None = None
    ) -> Verdict:
        """The verdict at a look, at the level given or else at the part of the claim's that the look may spend."""
        whole = self.levels[entry.id]
        spent = replace(whole, alpha=whole.alpha * look.share if level is None else level)
        verdict = self.judge(entry, seeds, spent)
        number = LookNumber(claim.schedule.index(look) + 1, len(claim.schedule), look.n)
        return replace(verdict, look=number, early=verdict.early or claim.next_look is not None)


def judge(results: Results) -> list[Verdict]:
    """Give a verdict on each of the grid's hypotheses, in its order.

    Only seeds that were planned when a hypothesis was locked count. Where seeds are trained until claims are
    decided, a claim is judged as it was at the last look that was taken, whatever has been trained since.
    """
    grid, bench = results.grid, _Bench.of(results)
    schedule = seeds_until_decided(grid)
    watched = {claim.id: claim for claim in schedule.claims} if schedule else {}
    found = []
    for entry in grid.hypotheses:
        seeds = bench.lock.seeds_of(entry)
        if claim := watched.get(entry.id):
            found.append(_judge_last_look(bench, entry, seeds, claim, grid))
        else:
            added = sorted(set(grid.seeds) - set(seeds))
            found.append(bench.judge(entry, seeds, bench.levels[entry.id], added))
    return found


def judge_look(results: Results, claim: WatchedClaim) -> Verdict:
    """The verdict on a claim at its next look, by the records as they stand."""
    bench, look = _Bench.of(results), claim.next_look
    assert look is not None
    entry = next(one for one in results.grid.hypotheses if one.id == claim.id)
    return bench.judge_look(entry, bench.lock.seeds_of(entry)[: look.n], claim, look)


def _judge_last_look(
    bench: _Bench, entry: Hypothesis, seeds: Sequence[int], claim: WatchedClaim, grid: ResolvedGrid
) -> Verdict:
    """What was decided when the claim's last look was taken, whatever the records say today."""
    look = claim.schedule[max(claim.num_taken, 1) - 1]
    taken = claim.taken[-1] if claim.taken else None
    if taken is None:
        return bench.judge_look(entry, seeds[: look.n], claim, look)
    verdict = bench.judge_look(entry, taken.seeds, claim, look, taken.level)
    if taken.level is None:  # of an older run, which did not keep all of it
        return verdict
    labels = {variant.variant_id: variant.label for variant in grid.variants}
    return replace(
        verdict,
        verdict=taken.verdict,
        level=taken.level,
        effect=taken.effect,
        interval=taken.interval,
        n=0 if taken.verdict == "not testable" else len(taken.seeds),
        early=claim.next_look is not None,
        reason=taken.reason,
        pairs=list(taken.seeds),
        missing=[
            MissingCell(labels[cell.variant_id], cell.seed, cell.reason)
            for cell in taken.missing
            if cell.variant_id in labels
        ],
    )


def _judge(case: HypothesisTest, level: Level, *, post_hoc: bool, added: Sequence[int]) -> Verdict:
    entry, pairs, test = case.entry, case.pairs, case.test
    found = case.find(level.alpha)
    failed, lost = (pairs.shares(name) if pairs else None for name in ("failed", "lost_classes"))
    return Verdict(
        id=entry.id,
        claim=entry.claim,
        primary=entry.primary,
        metric=case.metric.name,
        compare=entry.compare,
        expect=entry.expect,
        margin=entry.margin,
        factor=entry.factor,
        n=case.n,
        level=level.alpha,
        family_size=level.family_size,
        failed=Shares.of(failed) if failed else None,
        lost_classes=Shares.of(lost) if lost else None,
        trade_off=_is_trade_off(case, found.verdict, [failed, lost]),
        post_hoc=post_hoc,
        early=pairs is not None and pairs.num_ended < pairs.num_planned,
        reason=test if isinstance(test, str) else None,
        by_round=case.by_round,
        pairs=pairs.seeds if pairs else list(range(1, (case.n or 0) + 1)),
        missing=pairs.missing if pairs else [],
        seeds_added=list(added) if pairs else [],
        values=test.values if isinstance(test, Counts) else None,
        minus=entry.minus,
        kinds=entry.kinds,
        over=entry.over,
        **vars(found),
    )


def _judge_points(
    entry: Hypothesis, seeds: Sequence[int], evidence: Evidence, level: Level
) -> tuple[PointVerdict, ...]:
    found = []
    for point in entry.points:
        case, alpha = evidence.test(entry, seeds, contrast_of(point)), level.alpha / len(entry.points)
        one, reason = case.find(alpha), case.test if isinstance(case.test, str) else None
        found.append(
            PointVerdict(point.value, one.verdict, one.effect, one.interval, alpha, case.n, one.test, reason)
        )
    return tuple(found)


def _is_trade_off(case: HypothesisTest, verdict: Outcome, failures: Sequence[PairedShares | None]) -> bool:
    if verdict not in ("supported", "refuted", "undecided") or not isinstance(case.test, PairedTest):
        return False
    return any(
        shares is not None
        and points_against(
            shares, verdict, case.claim, case.test.estimate, higher_is_better=case.metric.higher_is_better
        )
        for shares in failures
    )
