"""How often the paired test errs and how often it decides, by simulation; `python tests/error_rates.py` prints it.

Everything is in percentage points. A claim's truth is the median of A − B by seed, failures included. Where errors
are counted it lies at the margin itself: there every verdict is wrong, and is given most often.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from nin_bench.stats.looks import Look, looks
from nin_bench.stats.paired_test import MAX_SPREAD, TestName, end_rank

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

REPEATS = 10_000
MARGIN = 1.0
STEP = 0.01
"""One of 10,000 test images."""


def _gamma(skewness: float) -> Draw:
    shape = 4 / skewness**2
    return lambda draw, size: (draw.gamma(shape, size=size) - shape) / np.sqrt(shape)


SHAPES: dict[str, Draw] = {
    "normal": lambda draw, size: draw.normal(size=size),
    "heavy-tailed": lambda draw, size: draw.standard_t(3, size=size) / np.sqrt(3),
    "skewed": _gamma(1.0),
    "strongly skewed": _gamma(1.75),
}
"""Shapes of differences between healthy networks, with deviation 1."""


@dataclass(frozen=True)
class Setting:
    """What the networks of two variants do."""

    shape: str = "normal"
    failing: tuple[float, float] = (0.0, 0.0)
    """Share of A's and of B's networks that fail, or lose classes."""
    cost: float = 75.0
    """Points that those lose; 75 takes them to chance."""
    flagged: bool = True
    """Whether records tell that they failed; they do not tell of soft losses."""
    step: float = STEP
    """What differences are whole multiples of."""
    deviation: float = 1.0
    """Of differences between healthy networks."""


HEALTHY = {
    "normal": Setting(),
    "heavy-tailed (t, 3 degrees of freedom)": Setting("heavy-tailed"),
    "heavily tied (steps of half a point)": Setting(step=0.5),
    "skewed (skewness 1)": Setting("skewed"),
    "strongly skewed (skewness 1.75)": Setting("strongly skewed"),
}


@dataclass(frozen=True)
class Networks:
    """Accuracies in points, and who failed; shape (experiments, seeds)."""

    accuracies: Array
    failed: Flags

    def first(self, n: int) -> "Networks":
        """The first n seeds."""
        return Networks(self.accuracies[:, :n], self.failed[:, :n])


def draw_networks(
    setting: Setting, shift: float, size: tuple[int, int], draw: np.random.Generator, num_variants: int = 1
) -> tuple[list[Networks], Networks]:
    """Networks of several variants A and of their baseline B; A is better by `shift` and the shape's median.

    One variant and its baseline have half of the noise each, as two independent variants have.
    """
    healthy = np.round((86 + draw.normal(scale=setting.deviation / 2, size=size)) / STEP) * STEP
    noises = [setting.deviation * SHAPES[setting.shape](draw, size) for _ in range(num_variants)]
    if num_variants == 1:
        healthy = healthy - np.round(noises[0] / 2 / STEP) * STEP
    better = [healthy + np.round((shift + noise) / setting.step) * setting.step for noise in noises]
    variants = [_failing(one, setting, setting.failing[0], draw) for one in better]
    return variants, _failing(healthy, setting, setting.failing[1], draw)


def _failing(healthy: Array, setting: Setting, share: float, draw: np.random.Generator) -> Networks:
    fails = draw.random(healthy.shape) < share
    failed = 10.0 if setting.cost >= 75 else healthy - setting.cost
    return Networks(np.where(fails, failed, healthy), fails & setting.flagged)


@cache
def shift_to(setting: Setting, truth: float) -> float:
    """The shift of healthy networks that puts the median difference at a truth."""
    unrounded, low, high = replace(setting, step=1e-6), truth - 8.0, truth + 8.0
    for _ in range(20):
        middle = (low + high) / 2
        (a,), b = draw_networks(unrounded, middle, (1, 400_000), np.random.default_rng(1))
        low, high = (middle, high) if np.median(a.accuracies - b.accuracies) < truth else (low, middle)
    return low


Ends = tuple[Array, Array]
"""Lower and upper ends of intervals, one for each experiment."""
Judge = Callable[[Networks, Networks, float], Ends]


def by_rule(a: Networks, b: Networks, level: float) -> Ends:
    """The interval of the test that judges: signed ranks, or signs."""
    differences = np.round(a.accuracies - b.accuracies, 9)
    spread = np.maximum(np.ptp(a.accuracies, axis=1), np.ptp(b.accuracies, axis=1))
    heavy_tailed = (spread > 100 * MAX_SPREAD + 1e-9) | (a.failed | b.failed).any(axis=1)
    (low, high), (lowest, highest) = ranks(differences, level), signs(differences, level)
    return np.where(heavy_tailed, lowest, low), np.where(heavy_tailed, highest, high)


def by_ranks(a: Networks, b: Networks, level: float) -> Ends:
    """Signed ranks, whatever failed."""
    return ranks(np.round(a.accuracies - b.accuracies, 9), level)


def by_t(a: Networks, b: Networks, level: float) -> Ends:
    """The paired t-interval, whatever failed."""
    differences = a.accuracies - b.accuracies
    n = differences.shape[1]
    half = stats.t.isf(level / 2, n - 1) * differences.std(axis=1, ddof=1) / np.sqrt(n)
    mean = differences.mean(axis=1)
    return mean - half, mean + half


def signs(differences: Array, level: float) -> Ends:
    """Intervals of the sign test alone."""
    return _cut(np.sort(differences, axis=1), "sign", differences.shape[1], level)


def ranks(differences: Array, level: float) -> Ends:
    """Intervals of the signed-rank test alone."""
    n = differences.shape[1]
    k = end_rank("signed-rank", n, level)
    first, second = np.triu_indices(n)
    found = []
    for part in np.array_split(differences, 20):
        averages = np.round((part[:, first] + part[:, second]) / 2, 10)
        if k:
            averages.partition([k - 1, averages.shape[1] - k], axis=1)
        found.append(averages if k == 0 else averages[:, [k - 1, averages.shape[1] - k]])
    ends = np.concatenate(found)
    return (ends[:, 0], ends[:, 1]) if k else _cut(ends, "signed-rank", n, level)


def _cut(counted: Array, test: TestName, n: int, level: float) -> Ends:
    k = end_rank(test, n, level)
    if k:
        return counted[:, k - 1], counted[:, -k]
    return np.full(len(counted), -np.inf), np.full(len(counted), np.inf)


def verdicts(ends: Ends, expect: str, margin: float) -> tuple[Flags, Flags]:
    """Which experiments support a claim, and which refute it."""
    low, high = ends
    if expect == "greater":
        return low > margin, high < margin
    return (low > -margin) & (high < margin), (low > margin) | (high < -margin)


@dataclass(frozen=True)
class Rates:
    """Of all experiments, in shares."""

    supported: float
    refuted: float
    expected_seeds: float

    @property
    def decided(self) -> float:
        """Supported or refuted."""
        return self.supported + self.refuted


def judge(
    a: Networks, b: Networks, at: Sequence[Look], expect: str, *, margin: float, level: float, by: Judge = by_rule
) -> tuple[Flags, Flags, Array]:
    """Which experiments support a claim, which refute it, and after how many seeds; no verdict is retaken."""
    num = len(a.accuracies)
    supported, refuted, seeds = np.zeros(num, dtype=bool), np.zeros(num, dtype=bool), np.full(num, float(at[-1].n))
    for look in at:
        holds, fails = verdicts(by(a.first(look.n), b.first(look.n), level * look.share), expect, margin)
        is_open = ~(supported | refuted)
        supported |= is_open & holds
        refuted |= is_open & fails
        seeds[is_open & (holds | fails)] = look.n
    return supported, refuted, seeds


def fixed(n: int) -> list[Look]:
    """One look, at all seeds."""
    return [Look(n, 1.0)]


EXPECTATIONS = ("greater", "equivalent")


def wrong(
    setting: Setting, at: Sequence[Look], *, num_claims: int = 1, repeats: int = REPEATS, by: Judge = by_rule
) -> float:
    """How often any claim of a family is decided wrongly, in percent, the truth of each lying at its margin.

    One claim: the worse of a directional and an equivalence claim. Several: both kinds in turn, one baseline.
    """
    n, level = at[-1].n, 0.05 / num_claims
    draw = np.random.default_rng([n, num_claims])
    variants, baseline = draw_networks(setting, shift_to(setting, MARGIN), (repeats, n), draw, num_claims)
    kinds = EXPECTATIONS * num_claims
    if num_claims == 1:
        variants = variants * 2
    decided = [
        np.logical_or(*judge(a, baseline, at, expect, margin=MARGIN, level=level, by=by)[:2])
        for a, expect in zip(variants, kinds, strict=False)
    ]
    if num_claims == 1:
        return 100 * max(float(one.mean()) for one in decided)
    return 100 * float(np.any(decided, axis=0).mean())


def power(
    expect: str, truth: float, at: Sequence[Look], level: float, *, repeats: int = REPEATS, by: Judge = by_rule
) -> tuple[float, float]:
    """The chance of a verdict in percent and the seeds until then, for normal differences without failures."""
    draw = np.random.default_rng(at[-1].n)
    (a,), b = draw_networks(Setting(), truth, (repeats, at[-1].n), draw)
    supported, refuted, seeds = judge(a, b, at, expect, margin=MARGIN, level=level, by=by)
    return 100 * float((supported | refuted).mean()), float(seeds.mean())


# The tables of docs/statistics.md

SEEDS = (6, 8, 12, 16, 20, 24)
FAILING = [(share, one, cost) for cost in (7.0, 75.0) for share in (0.05, 0.1, 0.2, 0.3) for one in (True, False)]
SOFT = [(share, cost, deviation) for deviation in (0.5, 1.0) for share in (0.1, 0.25) for cost in (2.0, 4.0)]


def failing_settings() -> Iterable[tuple[str, Setting]]:
    """Settings with failures and normal differences, by name."""
    for share, one, cost in FAILING:
        who = "A" if one else "A and B"
        failing = (share, 0.0 if one else share)
        lose = "loses" if one else "lose"
        yield f"{who} {lose} {cost:g} points in {100 * share:g} %", Setting(failing=failing, cost=cost)


def tables(repeats: int = REPEATS) -> list[str]:
    """All tables, as Markdown; some minutes."""
    return [
        _errors_when_healthy(repeats),
        _errors_when_failing(repeats),
        _errors_of_soft_losses(repeats),
        _errors_of_families(repeats),
        _power(repeats),
        _seeds(repeats),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plans() -> list[tuple[str, list[Look]]]:
    return [*((f"n = {n}", fixed(n)) for n in SEEDS), ("looks, 12", looks(12)), ("looks, 24", looks(24))]


def _errors_when_healthy(repeats: int) -> str:
    plans = _plans()
    rows = [
        [name, *(f"{wrong(setting, at, repeats=repeats):.1f}" for _, at in plans)]
        for name, setting in HEALTHY.items()
    ]
    return _table(["differences", *(name for name, _ in plans)], rows)


def _errors_when_failing(repeats: int) -> str:
    """The worst of normal, heavy-tailed and tied differences, and what two other tests would do at 24 seeds."""
    plans, rows = _plans(), []
    for name, setting in failing_settings():
        each = [setting, replace(setting, shape="heavy-tailed"), replace(setting, step=0.5)]
        ours = [max(wrong(one, at, repeats=repeats) for one in each) for _, at in plans]
        others = [wrong(setting, fixed(24), repeats=repeats, by=by) for by in (by_ranks, by_t)]
        rows.append([name, *(f"{value:.1f}" for value in (*ours, *others))])
    return _table(["failures", *(name for name, _ in plans), "signed ranks alone, 24", "t-test, 24"], rows)


def _errors_of_soft_losses(repeats: int) -> str:
    plans, rows = _plans(), []
    for share, cost, deviation in SOFT:
        own = Setting(failing=(share, 0.0), cost=cost, flagged=False, deviation=deviation)
        rows.append([f"A loses {cost:g} points in {100 * share:g} %, deviation {deviation:g}"])
        rows[-1] += [f"{wrong(own, at, repeats=repeats):.1f}" for _, at in plans]
    return _table(["losses that no record flags", *(name for name, _ in plans)], rows)


def _errors_of_families(repeats: int) -> str:
    settings = {
        "no failures, normal": Setting(),
        "no failures, heavy-tailed": Setting("heavy-tailed"),
        "A and B lose 7 points in 10 %": Setting(failing=(0.1, 0.1), cost=7.0),
        "A and B lose 75 points in 20 %": Setting(failing=(0.2, 0.2)),
    }
    rows = [
        [name, plan, *(f"{wrong(setting, at, num_claims=m, repeats=repeats):.1f}" for m in range(1, 7))]
        for name, setting in settings.items()
        for plan, at in (("n = 12", fixed(12)), ("n = 24", fixed(24)), ("looks, 24", looks(24)))
    ]
    return _table(["networks", "seeds", *(f"{m} claims" if m > 1 else "1 claim" for m in range(1, 7))], rows)


POWER = [("greater", 2.0), ("greater", 1.75), ("greater", 0.4), ("equivalent", 0.0)]


def _power(repeats: int) -> str:
    rows = []
    for expect, truth in POWER:
        for level in (0.05, 0.0125):
            row = [f"{expect}, truth {truth:g}, level {100 * level:g} %"]
            for n in (12, 20, 24):
                pair = [power(expect, truth, fixed(n), level, repeats=repeats, by=by)[0] for by in (by_rule, by_t)]
                row.append(" / ".join(f"{chance:.0f}" for chance in pair))
            rows.append(row)
    return _table(["claim with a margin of 1 point", "n = 12", "n = 20", "n = 24"], rows)


def _seeds(repeats: int) -> str:
    rows = []
    for expect, truth in [*POWER, ("greater", 3.0), ("greater", -0.5)]:
        row = [f"{expect}, truth {truth:g}"]
        for level in (0.05, 0.0125):
            chance, seeds = power(expect, truth, looks(24), level, repeats=repeats)
            at_once, _ = power(expect, truth, fixed(24), level, repeats=repeats)
            row += [f"{seeds:.1f}", f"{chance:.0f} / {at_once:.0f}"]
        rows.append(row)
    head = ["claim with a margin of 1 point", "seeds, 5 %", "decided, 5 %", "seeds, 1.25 %", "decided, 1.25 %"]
    return _table(head, rows)


if __name__ == "__main__":
    print("\n\n".join(tables()))  # noqa: T201
