"""A verdict in words: what was claimed, what was found, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nin_bench.analysis.hypothesis_tests import Counts
from nin_bench.analysis.verdicts import Needed, Verdict
from nin_bench.report.sentences import Wording, left_out
from nin_bench.report.text import number_ranges
from nin_bench.stats import PairedDifference, PairedShares, ThreeParts


@dataclass(frozen=True)
class VerdictText:
    """A verdict in words; plain text, that whoever sets it on a page escapes."""

    claim: str
    """What was claimed, in numbers."""
    finding: str
    """What was found, in a few words: the effect with its interval, or in how many pairs the claim held."""
    answer: str
    """What came of it, in a plain sentence."""
    sentence: str
    """The evidence."""
    stricter: str | None
    """The verdict, if networks that lost a class counted as failed."""


def describe_verdict(verdict: Verdict) -> VerdictText:
    """Put a verdict and its evidence into words."""
    wording = _wording(verdict)
    return VerdictText(
        claim=wording.claim(),
        finding=_finding(verdict, wording),
        answer=_answer(verdict, wording),
        sentence=" ".join([_evidence(verdict, wording), *_remarks(verdict, wording)]),
        stricter=_stricter(verdict),
    )


def verdict_as_dict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as report.json holds it: its values and its words."""
    text, plain = describe_verdict(verdict), verdict.as_dict()
    stricter = plain["stricter"] and {**plain["stricter"], "sentence": text.stricter}
    words = {"claim": text.claim, "finding": text.finding, "answer": text.answer, "sentence": text.sentence}
    return {**plain, **words, "stricter": stricter}


def _wording(verdict: Verdict) -> Wording:
    case, (a, b) = verdict.case, verdict.compare
    contrast = case.names.contrast(a, b)
    return Wording(
        metric=case.metric,
        names=(case.names[a], case.names[b]),
        a=contrast[0],
        b=contrast[1],
        expect=verdict.expect,
        margin=verdict.margin or 0.0,
        factor=verdict.factor,
    )


def _evidence(verdict: Verdict, wording: Wording) -> str:
    test, level, effect, interval = verdict.case.test, verdict.level, verdict.effect, verdict.interval
    match test:
        case str():
            return f"Not testable: {test}."
        case Counts():
            return wording.counts(test.a, test.b, verdict.verdict)
        case PairedShares():
            return wording.shares(test, level, verdict.verdict)
        case PairedDifference():
            assert effect is not None, verdict
            return wording.difference(test, effect, interval, level, verdict.verdict)
        case ThreeParts():
            given: Mapping[str, Any] = verdict.details["given_healthy"] or {"effect": None, "interval": None}
            by_rank = verdict.details["ranking"]["verdict"]
            return wording.parts(test, given["effect"], given["interval"], level, by_rank, verdict.verdict)


def _remarks(verdict: Verdict, wording: Wording) -> list[str]:
    pairs = verdict.case.pairs
    remarks = []
    if wording.caveat and not isinstance(verdict.case.test, str):
        remarks.append(wording.caveat)
    if verdict.post_hoc:
        remarks.append("Post hoc: no such claim was locked before the run, so this one is a finding to test anew.")
    if verdict.early:
        remarks.append(f"An early look: {pairs.num_ended} of {pairs.num_planned} planned pairs have ended.")
    if verdict.by_round and len(pairs.numbers) > 1:
        remarks.append(
            "Here n counts rounds of measuring, in each of which both have a fresh process; the verdict is of "
            "this machine, and of networks and images of this size."
        )
    if verdict.by_seed and pairs.left_out:
        remarks.append(left_out(pairs.left_out))
    if verdict.by_seed and verdict.seeds_added:
        remarks.append(f"Added after the first run, so not counted: seeds {number_ranges(verdict.seeds_added)}.")
    return remarks


def _finding(verdict: Verdict, wording: Wording) -> str:
    match verdict.case.test:
        case str() as why:
            return why
        case ThreeParts() as test:
            held, health = test.ranking.num_holding(verdict.case.claim), test.health
            failed = health.only_a + health.only_b + 2 * health.neither
            networks = "1 network" if failed == 1 else f"{failed} networks"
            return f"held in {held} of {health.n} pairs of seeds (counted, as {networks} failed)"
        case _:
            assert verdict.effect is not None, verdict
            num_pairs = len(verdict.case.pairs.numbers)
            return wording.finding(verdict.verdict, verdict.effect, verdict.interval, verdict.level, num_pairs)


def _answer(verdict: Verdict, wording: Wording) -> str:
    needed = None
    if verdict.seeds_needed is not None and verdict.likely_verdict is not None:
        needed = Needed(verdict.seeds_needed, verdict.likely_verdict)
    match verdict.case.test:
        case str():
            return "Not known: these records cannot answer it."
        case ThreeParts() as test:
            held = test.ranking.num_holding(verdict.case.claim)
            return wording.answer_by_rank(verdict.verdict, test, held, verdict.level, needed)
        case _:
            assert verdict.effect is not None, verdict
            num_pairs = len(verdict.case.pairs.numbers)
            return wording.answer(verdict.verdict, verdict.effect, verdict.interval, num_pairs, needed)


def _stricter(verdict: Verdict) -> str | None:
    if (strict := verdict.stricter) is None:
        return None
    count, ranking = strict.num_networks, strict.ranking
    networks = f"the {count} healthy networks" if count > 1 else "the one healthy network"
    counted = f"{networks} here that never {'predict' if count > 1 else 'predicts'} some class counted as failed"
    by_rank = (
        f" (by rank: {ranking['wins']} won, {ranking['ties']} tied, {ranking['losses']} lost)" if ranking else ""
    )
    would_be = "a trade-off" if strict.verdict == "trade-off" else strict.verdict
    if strict.verdict == verdict.verdict:
        return f"Were {counted}, the verdict would be the same{by_rank}."
    return f"It hinges on what counts as failed: were {counted}, it would be {would_be}{by_rank}."
