"""Judge the grid's hypotheses by records and costs: for each a verdict, its evidence and a sentence."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from nin_bench.report.cases import Case, Counts, Known
from nin_bench.report.findings import Finding, Outcome, find
from nin_bench.report.lock import Level, Lock, levels
from nin_bench.report.sentences import Needed, left_out
from nin_bench.report.text import number_ranges
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
    claim: str
    """What was claimed, in numbers."""
    finding: str
    """What was found, in a few words: the effect with its interval, or in how many pairs the claim held."""
    answer: str
    """What came of it, in a plain sentence."""
    seeds_needed: int | None
    """Of an undecided claim about networks: seeds in all that give a verdict with a chance of 80 %, if effect and
    spread are what they seem, or pairs go on as they did; None where a thousand would not do, or nothing tells."""
    likely_verdict: Decision | None
    """The one that so many seeds would likely bring."""
    sentence: str
    """The evidence."""
    stricter: "Stricter | None"
    """The verdict, if networks that lost a class counted as failed; None where it rests on none of them."""
    details: dict[str, Any]
    """The rest of the evidence, as plain values."""


@dataclass(frozen=True)
class Stricter:
    """A verdict by a stricter reading of what failed."""

    verdict: Outcome
    num_networks: int
    """Healthy networks among those that the verdict rests on that never predict some class."""
    sentence: str


def judge(results: Results, also_failed: Collection[tuple[str, int]] = ()) -> list[Verdict]:
    """Give a verdict on each of the grid's hypotheses, in its order.

    Only seeds that were planned when the hypotheses were locked count.

    Args:
        results: a results folder as read.
        also_failed: label and seed of cells that count as failed, healthy as their records may call them.
    """
    grid, lock = results.grid, Lock.read(results.grid)
    known = Known.of(results, also_failed)
    cases = [known.open_case(entry, lock.seeds) for entry in grid["hypotheses"]]
    added = sorted(set(grid["seeds"]) - set(lock.seeds))
    return [
        _close(case, level, post_hoc=not lock.holds(case.entry), added=added)
        for case, level in zip(cases, levels(lock, [(case.entry, case.evidence.p) for case in cases]), strict=True)
    ]


def _close(case: Case, level: Level, *, post_hoc: bool, added: list[int]) -> Verdict:
    entry, pairs = case.entry, case.pairs
    found = find(case, level.alpha)
    needed = _needed(case, level.alpha) if found.verdict == "undecided" else None
    sentences = [found.sentence]
    if case.wording.caveat and not isinstance(case.test, str):
        sentences.append(case.wording.caveat)
    if post_hoc:
        sentences.append(
            "Post hoc: no such claim was locked before the run, so this one is a finding to test anew."
        )
    by_round = case.metric.kind == "measured"
    by_seed = not (by_round or case.metric.deterministic)
    early = by_seed and pairs.num_ended < pairs.num_planned
    if early:
        sentences.append(f"An early look: {pairs.num_ended} of {pairs.num_planned} planned pairs have ended.")
    if by_round and len(pairs.numbers) > 1:
        sentences.append(
            "Here n counts rounds of measuring, in each of which both have a fresh process; the verdict is of "
            "this machine, and of networks and images of this size."
        )
    if by_seed:
        if pairs.left_out:
            sentences.append(left_out(pairs.left_out))
        if added:
            sentences.append(f"Added after the first run, so not counted: seeds {number_ranges(added)}.")
    return Verdict(
        id=entry["id"],
        says=entry["says"],
        primary=bool(entry["primary"]),
        metric=entry["metric"],
        compare=(entry["compare"][0], entry["compare"][1]),
        expect=entry["expect"],
        margin=entry.get("margin"),
        factor=entry.get("factor"),
        verdict=found.verdict,
        effect=found.effect,
        interval=found.interval,
        n=_num_pairs(case),
        post_hoc=post_hoc,
        early=early,
        claim=case.wording.claim(),
        finding=_finding(case, found, level.alpha),
        answer=_answer(case, found, level.alpha, needed),
        seeds_needed=needed.seeds if needed else None,
        likely_verdict=needed.verdict if needed else None,
        sentence=" ".join(sentences),
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
    )


def _finding(case: Case, found: Finding, level: float) -> str:
    match case.test:
        case str():
            return case.test
        case ThreeParts():
            held, health = case.test.ranking.num_holding(case.claim), case.test.health
            failed = health.only_a + health.only_b + 2 * health.neither
            networks = "1 network" if failed == 1 else f"{failed} networks"
            return f"held in {held} of {health.n} pairs of seeds (counted, as {networks} failed)"
        case _:
            assert found.effect is not None, found
            return case.wording.finding(
                found.verdict, found.effect, found.interval, level, len(case.pairs.numbers)
            )


def _num_pairs(case: Case) -> int | None:
    match case.test:
        case str():
            return 0
        case Counts():
            return None
        case _:
            return len(case.pairs.numbers)


def _answer(case: Case, found: Finding, level: float, needed: Needed | None) -> str:
    match case.test:
        case str():
            return "Not known: these records cannot answer it."
        case ThreeParts():
            held = case.test.ranking.num_holding(case.claim)
            return case.wording.answer_by_rank(found.verdict, case.test, held, level, needed)
        case _:
            assert found.effect is not None, found
            return case.wording.answer(
                found.verdict, found.effect, found.interval, len(case.pairs.numbers), needed
            )


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
