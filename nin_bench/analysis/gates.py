"""Whether B is worse than A in what was asked for: the gates of `report A B --fail-on`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from nin_bench.analysis.matched import Pair, cost_ratio
from nin_bench.metrics import METRICS
from nin_bench.stats.claims import ALPHA, Interval

Asked = Literal["accuracy", "speed", "memory"]
"""What a gate can be about."""
ASKED: tuple[Asked, ...] = get_args(Asked)
_GATED: Mapping[Asked, tuple[str, ...]] = {
    "accuracy": ("test_accuracy",),
    "speed": ("train_images_per_second", "predict_images_per_second"),
    "memory": ("train_tensor_bytes",),
}
"""The metrics that decide each: measured speeds, and memory as it is counted, which has no noise."""


@dataclass(frozen=True)
class Gate:
    """Whether a variant got worse in one metric, of those that were asked for."""

    label: str
    """In B."""
    asked: Asked
    metric: str
    verdict: Literal["worse", "not worse", "the same", "not known"]
    """`worse`: beyond noise. `the same`: every network, bit for bit. `not known`: one of the folders has no value,
    or too few."""
    change: float | None
    """B less A of test accuracy; of costs the ratio B over A."""
    interval: Interval | None
    """At `level`; None where nothing bounds it, and of counts."""
    level: float | None
    """5 % divided by the number of tests that were asked for (Bonferroni); None of counts, which need no test."""


def find_gates(pairs: Sequence[Pair], fail_on: Sequence[Asked]) -> list[Gate]:
    """Judge, for every variant and everything that was asked for, whether B is worse than A."""
    asked = [(one, metric) for one in ASKED if one in fail_on for metric in _GATED[one]]
    num_tests = len(pairs) * sum(not METRICS[metric].deterministic for _, metric in asked)
    level = ALPHA / num_tests if num_tests else ALPHA
    return [_gate(pair, one, metric, level) for pair in pairs for one, metric in asked]


def _gate(pair: Pair, asked: Asked, metric: str, level: float) -> Gate:
    a, b = pair.a, pair.b
    if metric == "test_accuracy" and pair.is_same:
        return Gate(b.label, asked, metric, "the same", 0.0, None, None)
    at: float | None = level
    neutral = 1.0
    if METRICS[metric].deterministic:
        counts = [side.cost.samples(metric) if side.cost else None for side in (a, b)]
        change = counts[1][0] / counts[0][0] if all(counts) else None  # type: ignore[index]
        bounds = None if change is None else (change, change)
        shown, at = None, None
    elif metric == "test_accuracy":
        change, bounds, neutral = pair.estimate, pair.interval(level), 0.0
        shown = bounds
    else:
        ratio = cost_ratio(a.cost, b.cost, metric, level)
        change, bounds = (None, None) if ratio is None else (ratio.estimate, ratio.interval)
        shown = bounds
    if bounds is None:
        return Gate(b.label, asked, metric, "not known", change, None, at)
    is_worse = bounds[1] < neutral if METRICS[metric].higher_is_better else bounds[0] > neutral
    return Gate(b.label, asked, metric, "worse" if is_worse else "not worse", change, shown, at)
