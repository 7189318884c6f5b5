"""What moved between two results folders, as a page shows it."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from nin_bench.analysis.compare import CostRatio, Move
from nin_bench.report import text
from nin_bench.report.page import field_value


def _difference(move: Move) -> str:
    if move.difference is None:
        return text.NOT_KNOWN
    points = [100 * value for value in (move.difference, *(move.interval or ()))]
    mean, *ends = (f"{value:+.2f}".replace("-", "−") for value in points)
    interval = f" ({ends[0]} to {ends[1]})" if ends else ""
    return f"{mean}{interval}, n={move.n}{'' if move.paired else ', not paired'}"


def _failed(move: Move) -> str:
    return " → ".join(f"{tally.count}/{tally.of}" for tally in move.failed)


def _count(pair: Sequence[int | None]) -> str:
    a, b = (text.human_count(count) for count in pair)
    return a if pair[0] == pair[1] else f"{a} → {b}"


def _ratio(found: CostRatio | None) -> str:
    return text.NOT_KNOWN if found is None else text.ratio(found.estimate, found.interval)


COMPARE_FILTERS: dict[str, Callable[..., Any]] = {
    "accuracy_spread": text.percent_spread,
    "difference": _difference,
    "failed": _failed,
    "change": _count,
    "ratio_to_a": _ratio,
    "values": lambda values: " / ".join(map(field_value, values)) if values else "none",
    "tally_verdicts": lambda moves: ", ".join(
        f"{count} {verdict}" for verdict, count in Counter(move.verdict for move in moves).most_common()
    ),
}
"""Of the comparison's template."""
