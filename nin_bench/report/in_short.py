"""What a report comes to, claim by claim in a line each: what was found, and what would decide what is open."""

from collections.abc import Sequence
from dataclasses import dataclass

from nin_bench.analysis.verdicts import Verdict
from nin_bench.metrics import METRICS
from nin_bench.report.sentences import NO_MERIT, VERBS
from nin_bench.report.verdict_text import describe_verdict
from nin_bench.stats import MOST_SEEDS

MOST_LINES = 12
"""Claims that are told, primary ones first; the verdicts have them all."""


@dataclass(frozen=True)
class Line:
    """What came of one claim."""

    says: str
    verdict: str
    found: str


@dataclass(frozen=True)
class InShort:
    """What came of all claims."""

    primary: list[Line]
    secondary: list[Line]
    counted: list[Line]
    """Claims on counts, which are known before any training."""
    num_left_out: int
    names_seeds: bool
    """Whether any line says how many seeds it would take."""
    caveats: list[str]
    """What to bear in mind with some of them."""


def in_short(verdicts: Sequence[Verdict]) -> InShort | None:
    """Sum up verdicts, by rule.

    Returns:
        None without a verdict.
    """
    if not verdicts:
        return None
    counted = [verdict for verdict in verdicts if METRICS[verdict.metric].deterministic]
    tested = [verdict for verdict in verdicts if verdict not in counted]
    in_order = sorted(tested, key=lambda verdict: not verdict.primary) + counted
    told = in_order[:MOST_LINES]
    return InShort(
        primary=[_line(verdict) for verdict in told if verdict in tested and verdict.primary],
        secondary=[_line(verdict) for verdict in told if verdict in tested and not verdict.primary],
        counted=[_line(verdict) for verdict in told if verdict in counted],
        num_left_out=len(in_order) - len(told),
        names_seeds=any(verdict.seeds_needed is not None for verdict in told),
        caveats=[NO_MERIT[name] for name in dict.fromkeys(verdict.metric for verdict in told) if name in NO_MERIT],
    )


def _line(verdict: Verdict) -> Line:
    hinges = verdict.stricter is not None and verdict.stricter.verdict != verdict.verdict
    by_mark = {
        "post hoc": verdict.post_hoc,
        "early look": verdict.early,
        "hinges on what counts as failed": hinges,
    }
    marks = [mark for mark, holds in by_mark.items() if holds]
    return Line(
        says=verdict.says.strip().rstrip("."),
        verdict=verdict.verdict,
        found="; ".join([*marks, describe_verdict(verdict).finding, *_takes(verdict)]),
    )


def _takes(verdict: Verdict) -> list[str]:
    if verdict.seeds_needed is not None and verdict.likely_verdict is not None:
        return [f"{verdict.seeds_needed:,} seeds in all would likely {VERBS[verdict.likely_verdict]} it"]
    by_seeds = METRICS[verdict.metric].kind == "quality"
    if verdict.verdict == "undecided" and by_seeds and (verdict.interval or verdict.effect is None):
        return [f"not even {MOST_SEEDS:,} seeds would decide it"]
    return []
