"""What a report comes to, claim by claim in a line each."""

from collections.abc import Sequence
from dataclasses import dataclass

from nin_bench.analysis.names import Names
from nin_bench.analysis.verdicts import Verdict
from nin_bench.report.verdict_text import CAVEATS, describe_verdict

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
    caveats: list[str]
    """What to bear in mind with some of them."""


def in_short(verdicts: Sequence[Verdict], names: Names) -> InShort | None:
    """Sum up verdicts, by rule.

    Returns:
        None without a verdict.
    """
    if not verdicts:
        return None
    counted = [verdict for verdict in verdicts if verdict.is_counted]
    tested = [verdict for verdict in verdicts if not verdict.is_counted]
    in_order = sorted(tested, key=lambda verdict: not verdict.primary) + counted
    told = in_order[:MOST_LINES]

    def lines(of: list[Verdict]) -> list[Line]:
        return [_line(verdict, names) for verdict in told if verdict in of]

    return InShort(
        primary=lines([verdict for verdict in tested if verdict.primary]),
        secondary=lines([verdict for verdict in tested if not verdict.primary]),
        counted=lines(counted),
        num_left_out=len(in_order) - len(told),
        caveats=[CAVEATS[name] for name in dict.fromkeys(verdict.metric for verdict in told) if name in CAVEATS],
    )


def _line(verdict: Verdict, names: Names) -> Line:
    marks = {"trade-off": verdict.trade_off, "post hoc": verdict.post_hoc, "early look": verdict.early}
    found = describe_verdict(verdict, names).headline.removesuffix(".")
    return Line(
        says=verdict.says.strip().rstrip("."),
        verdict=verdict.verdict,
        found="; ".join([*(mark for mark, holds in marks.items() if holds), found]),
    )
