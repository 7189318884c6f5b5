"""Judge the grid's hypotheses by records and costs: for each a verdict, its evidence and a sentence."""

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nin_bench.report.cases import Case, Counts, Known
from nin_bench.report.lock import Level, Lock, levels
from nin_bench.report.sentences import Needed, Wording, left_out
from nin_bench.report.text import number_ranges
from nin_bench.results import Results
from nin_bench.stats import (
    Claim,
    Decision,
    Expectation,
    Interval,
    PairedDifference,
    PairedShares,
    ThreeParts,
    chances,
    pairs_needed,
    seeds_needed,
    share_interval,
)

Outcome = Literal["supported", "refuted", "undecided", "trade-off", "not testable"]


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


@dataclass(frozen=True)
class _Finding:
    """What a test amounts to at its level."""

    verdict: Outcome
    effect: float | None
    interval: Interval | None
    sentence: str
    details: dict[str, Any]


def _close(case: Case, level: Level, *, post_hoc: bool, added: list[int]) -> Verdict:
    entry, pairs = case.entry, case.pairs
    found = _find(case, level.alpha)
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


def _finding(case: Case, found: _Finding, level: float) -> str:
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


def _answer(case: Case, found: _Finding, level: float, needed: Needed | None) -> str:
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


def _find(case: Case, level: float) -> _Finding:
    test, evidence, wording = case.test, case.evidence, case.wording
    verdict = evidence.decide(level)
    weighed = {"support_p": evidence.support_p, "refute_p": evidence.refute_p}
    match test:
        case str():
            return _Finding("not testable", None, None, f"Not testable: {test}.", {"test": None})
        case Counts():
            return _find_counts(test, case.claim, wording)
        case PairedShares():
            sentence = wording.shares(test, level, verdict)
            details = {"test": "paired shares", **weighed, **_shares_as_dict(test, level)}
            return _Finding(verdict, test.difference, test.interval(level), sentence, details)
        case PairedDifference():
            effect, interval = _scaled(test.mean, wording), _scaled_interval(test.interval(level), wording)
            sentence = wording.difference(test, effect, interval, level, verdict)
            details = {"test": "paired t", **weighed, **_difference_as_dict(test)}
            return _Finding(verdict, effect, interval, sentence, details)
        case ThreeParts():
            return _find_parts(test, case.claim, level, wording, weighed)


def _find_counts(counts: Counts, claim: Claim, wording: Wording) -> _Finding:
    a, b = counts.a, counts.b
    effect = a / b if wording.factor else a - b
    distance = math.log(effect) if wording.factor else effect
    holds = {
        "greater": distance > claim.margin,
        "less": distance < -claim.margin,
        "equivalent": abs(distance) < claim.margin,
    }[claim.expect]
    verdict: Outcome = "supported" if holds else "refuted"
    return _Finding(verdict, effect, None, wording.counts(a, b, verdict), {"test": None, "values": [a, b]})


def _find_parts(
    test: ThreeParts, claim: Claim, level: float, wording: Wording, weighed: dict[str, float]
) -> _Finding:
    verdict, given = test.decide(claim, level), test.given_healthy
    effect = _scaled(given.mean, wording) if given else None
    interval = _scaled_interval(given.interval(level), wording) if given else None
    ranking = test.ranking
    by_rank = claim.evidence(ranking).decide(level)
    held, num_pairs = ranking.num_holding(claim), len(ranking.differences)
    details = {
        "test": "three parts",
        **weighed,
        "ranking": {
            "wins": ranking.wins,
            "ties": ranking.ties,
            "held": held,
            "held_interval": share_interval(held, num_pairs, level),
            "losses": ranking.losses,
            "chance": ranking.chance,
            "sign_test_p": ranking.sign_test_p,
            "verdict": by_rank,
        },
        "health": _shares_as_dict(test.health, level),
        "given_healthy": given and {"effect": effect, "interval": interval, **_difference_as_dict(given)},
        "selection_bounds": _scaled_interval(test.bounds, wording),
    }
    return _Finding(verdict, None, None, wording.parts(test, effect, interval, level, by_rank, verdict), details)


def _scaled(value: float, wording: Wording) -> float:
    return math.exp(value) if wording.factor else value


def _scaled_interval(interval: Interval | None, wording: Wording) -> Interval | None:
    return interval and (_scaled(interval[0], wording), _scaled(interval[1], wording))


def _difference_as_dict(test: PairedDifference) -> dict[str, Any]:
    return {
        "num_pairs": test.n,
        "sd": test.sd,
        "correlation": test.correlation,
        "pairing_pays": test.pairing_pays,
        "sign_flip_p": test.sign_flip_p,
    }


def _shares_as_dict(test: PairedShares, level: float) -> dict[str, Any]:
    return {
        **asdict(test),
        "difference": test.difference,
        "interval": test.interval(level),
        "mcnemar_p": test.mcnemar_p,
    }
