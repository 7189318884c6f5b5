"""What a hypothesis's test amounts to: its verdict, the effect with its interval, and the evidence."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nin_bench.analysis.hypothesis_tests import Case, Counts
from nin_bench.stats import Claim, Interval, PairedDifference, PairedShares, ThreeParts, share_interval

Outcome = Literal["supported", "refuted", "undecided", "trade-off", "not testable"]


@dataclass(frozen=True)
class Finding:
    """What a test amounts to at its level."""

    verdict: Outcome
    effect: float | None
    interval: Interval | None
    details: dict[str, Any]


def find(case: Case, level: float) -> Finding:
    """What a case's test amounts to at a level.

    Args:
        case: a hypothesis, and what there is on it.
        level: what is left for a wrong verdict, after correction.
    """
    test, evidence, ratio = case.test, case.evidence, bool(case.entry.factor)
    verdict = evidence.decide(level)
    weighed = {"support_p": evidence.support_p, "refute_p": evidence.refute_p}
    match test:
        case str():
            return Finding("not testable", None, None, {"test": None})
        case Counts():
            return _find_counts(test, case.claim, ratio=ratio)
        case PairedShares():
            details = {"test": "paired shares", **weighed, **_shares_as_dict(test, level)}
            return Finding(verdict, test.difference, test.interval(level), details)
        case PairedDifference():
            effect, interval = _scaled(test.mean, ratio), _scaled_interval(test.interval(level), ratio)
            details = {"test": "paired t", **weighed, **_difference_as_dict(test)}
            return Finding(verdict, effect, interval, details)
        case ThreeParts():
            return _find_parts(test, case.claim, level, ratio, weighed)


def _find_counts(counts: Counts, claim: Claim, *, ratio: bool) -> Finding:
    a, b = counts.a, counts.b
    effect = a / b if ratio else a - b
    distance = math.log(effect) if ratio else effect
    holds = {
        "greater": distance > claim.margin,
        "less": distance < -claim.margin,
        "equivalent": abs(distance) < claim.margin,
    }[claim.expect]
    verdict: Outcome = "supported" if holds else "refuted"
    return Finding(verdict, effect, None, {"test": None, "values": [a, b]})


def _find_parts(test: ThreeParts, claim: Claim, level: float, ratio: bool, weighed: dict[str, float]) -> Finding:
    verdict, given = test.decide(claim, level), test.given_healthy
    effect = _scaled(given.mean, ratio) if given else None
    interval = _scaled_interval(given.interval(level), ratio) if given else None
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
        "selection_bounds": _scaled_interval(test.bounds, ratio),
    }
    return Finding(verdict, None, None, details)


def _scaled(value: float, ratio: bool) -> float:
    return math.exp(value) if ratio else value


def _scaled_interval(interval: Interval | None, ratio: bool) -> Interval | None:
    return interval and (_scaled(interval[0], ratio), _scaled(interval[1], ratio))


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
