"""What each verdict would be if every network that lost a class counted as failed.

Healthy is what was written down before the run: escaped, and no class map dead. A network that never predicts a
class has failed by another reading, and a reader should know which verdicts hold under both.
"""

from collections.abc import Sequence
from dataclasses import replace

from nin_bench.analysis.lost_classes import LostClasses
from nin_bench.analysis.verdicts import Stricter, Verdict, judge
from nin_bench.metrics import METRICS
from nin_bench.results import Results


def judge_stricter(
    results: Results, verdicts: Sequence[Verdict], lost_classes: Sequence[LostClasses]
) -> list[Verdict]:
    """The verdicts, with `stricter` wherever one rests on healthy networks that lost a class."""
    failed = {(lost.label, lost.seed) for lost in lost_classes if lost.healthy and lost.classes}
    if not failed:
        return list(verdicts)
    return [
        replace(verdict, stricter=_stricter(verdict, strict, failed))
        for verdict, strict in zip(verdicts, judge(results, failed), strict=True)
    ]


def _stricter(verdict: Verdict, strict: Verdict, failed: set[tuple[str, int]]) -> Stricter | None:
    if METRICS[verdict.metric].kind != "quality":
        return None
    seeds = verdict.details.get("seeds", [])
    count = sum((label, seed) in failed for label in verdict.compare for seed in seeds)
    if count == 0:
        return None
    return Stricter(strict.verdict, count, strict.details.get("ranking"))
