"""Verdicts in words that a student understands. Plain text: whoever sets it on a page escapes it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nin_bench.metrics import Metric
from nin_bench.report.text import number_ranges
from nin_bench.stats import (
    MOST_SEEDS,
    Decision,
    Expectation,
    Interval,
    PairedDifference,
    PairedShares,
    ThreeParts,
    least_pairs,
)

_UNITS = {
    "share": (100, " points"),
    "nats": (1, " nats"),
    "epochs": (1, " epochs"),
    "count": (1, ""),
    "seconds": (1, " s"),
    "images/s": (1, " images/s"),
    "bytes": (1e-6, " MB"),
    "joules": (1, " J"),
}
"""What raw values are multiplied by, and what stands behind them."""

_PLACES = {
    ("greater", "supported"): "above",
    ("greater", "refuted"): "below",
    ("less", "supported"): "below",
    ("less", "refuted"): "above",
    ("equivalent", "supported"): "within",
    ("equivalent", "refuted"): "outside",
}
"""Where the interval lies, by what was expected and what came of it."""

_ANSWERS = {"supported": "Yes", "refuted": "No"}


@dataclass(frozen=True)
class Wording:
    """How the verdict on one hypothesis is said."""

    metric: Metric
    names: tuple[str, str]
    """Of A and B, in full."""
    a: str
    """What tells A from B."""
    b: str
    expect: Expectation
    margin: float
    factor: float | None

    def claim(self) -> str:
        """What was claimed, in numbers."""
        sign = "/" if self.factor else "−"
        place = _PLACES[self.expect, "supported"]
        a, b = self.names
        return f"Claimed: {self.metric.title}, {a} {sign} {b}, {place} {self._line()}."

    def answer(self, verdict: str, effect: float, interval: Interval | None, n: int, needed: int | None) -> str:
        """A verdict that rests on an effect, in a sentence; how many seeds would be needed, where it is open."""
        by = "round" if self.metric.kind == "measured" else "seed"
        if interval is None:
            decimals = 3 if self.factor else _decimals(self._shown(effect), self.metric)
        else:
            decimals = self._decimals(interval)
        if verdict != "undecided":
            of_the = "the " if self.factor else ""
            return f"{_ANSWERS[verdict]}: {self._side(effect, decimals)} {of_the}{self.metric.title}."
        if interval is None:
            return f"Not known: without a spread between {by}s, nobody can tell luck from more."
        low, high = (self._side(end, decimals) for end in interval)
        takes = f" {_takes(needed, by)}" if self.metric.kind == "quality" else ""
        return f"Not known from {_counted(n, by)}: anything from {low} to {high} fits them.{takes}"

    def answer_by_rank(self, verdict: str, test: ThreeParts, held: int, level: float, needed: int | None) -> str:
        """A verdict on networks of which some failed, in a sentence."""
        n = test.health.n
        if verdict == "trade-off":
            return "Neither yes nor no: who does better in one respect does worse in another."
        if verdict != "undecided":
            return f"{_ANSWERS[verdict]}, by rank: it held in {held} of {n} pairs."
        least = least_pairs(level)
        short_of = f", and where networks fail it takes {least} at least" if n < least else ""
        return f"Not known: it held in {held} of {_counted(n, 'pair')}{short_of}. {_takes(needed, 'seed')}"

    def counts(self, a: float, b: float, verdict: str) -> str:
        """Of a metric that needs no test."""
        if self.factor:
            found = f"{_fixed(a / b, _decimals(a / b, self.metric))} times as many"
        else:
            found = self._more(a - b, decimals=0)
        place = _PLACES[self.expect, "supported"]
        lies = f"lies {place}" if verdict == "supported" else f"does not lie {place}"
        return (
            f"{self.a} has {a:,.0f} {self.metric.title}, {self.b} has {b:,.0f}: {found}. "
            f"That {lies} {self._line()}: {verdict}."
        )

    def difference(
        self, test: PairedDifference, effect: float, interval: Interval | None, level: float, verdict: str
    ) -> str:
        """Of a paired t-interval, or of differences that allow none."""
        said = [f"{self._measured(effect, interval, level, test.n)}."]
        if interval is None:
            why = "One pair has no spread" if test.n == 1 else f"All {test.n} differences are the same"
            said.append(f"{why}, and without spread there is no telling: undecided.")
        else:
            said.append(self._conclusion(verdict))
        if test.pairing_pays is False and test.correlation is not None:
            by = "round" if self.metric.kind == "measured" else "seed"
            said.append(f"Pairing by {by} narrows nothing here (correlation {_fixed(test.correlation, 2)}).")
        return " ".join(said)

    def shares(self, test: PairedShares, level: float, verdict: str) -> str:
        """Of how often something happens."""
        interval = test.interval(level)
        decimals = self._decimals(interval)
        conclusion = (
            "The interval and the exact McNemar test together leave the claim open: undecided."
            if verdict == "undecided"
            else self._conclusion(verdict)
        )
        return (
            f"The {self.metric.title} is {test.both + test.only_a} of {test.n} for {self.a} and "
            f"{test.both + test.only_b} of {test.n} for {self.b}: {self._more(test.difference, decimals)} "
            f"({self._interval(interval, level)}, exact McNemar p = {test.mcnemar_p:.2g}). {conclusion}"
        )

    def parts(
        self,
        test: ThreeParts,
        effect: float | None,
        interval: Interval | None,
        level: float,
        by_rank: Decision,
        verdict: str,
    ) -> str:
        """Of a comparison in which some network failed; effect and interval are those of the healthy pairs."""
        ranking, health = test.ranking, test.health
        nothing = f", {health.neither} of them with nothing to compare, as both failed" if health.neither else ""
        said = [
            f"Not every network is healthy: {health.both + health.only_a} of {health.n} of {self.a}, "
            f"{health.both + health.only_b} of {health.n} of {self.b}.",
            f"With failures ranked last, {self.a} does better in {ranking.wins} pairs, {self.b} in "
            f"{ranking.losses}; ties: {ranking.ties}{nothing}.",
        ]
        if effect is not None:
            measured = self._measured(effect, interval, level, health.both)
            said.append(f"Where both are healthy, {measured}, which describes and does not decide.")
        both_ways = "the one that fails less often does worse where both are healthy"
        if verdict == "trade-off":
            disagree = both_ways if test.points_both_ways else "these answers disagree"
            said.append(f"{disagree.capitalize()}: a trade-off.")
        elif verdict != "undecided":
            said.append(f"By the exact sign test the claim is {verdict}.")
        elif by_rank != "undecided":
            said.append(
                f"By rank the claim would be {by_rank}, but one failed where the other did not, and too few pairs "
                "tell whether that is luck: undecided, which is not the same as equal."
            )
        else:
            said.append("The exact sign test leaves the claim open: undecided.")
            least = least_pairs(level)
            if health.n < least:
                said.append(f"It takes at least {least} pairs to decide by ranks.")
            if test.points_both_ways:
                said.append(f"It seems that {both_ways}, but that is not proven.")
        return " ".join(said)

    def _conclusion(self, verdict: str) -> str:
        line = self._line()
        if verdict == "undecided":
            return f"The interval reaches across {line}: undecided, which is not the same as equal."
        return f"The whole interval lies {_PLACES[self.expect, verdict]} {line}: {verdict}."

    def _line(self) -> str:
        """What the interval is held against."""
        if self.factor:
            factor = f"{self.factor:g}"
            return {
                "greater": f"the factor of {factor} that matters",
                "less": f"the factor of 1/{factor} that matters",
                "equivalent": f"the factors of 1/{factor} to {factor} that matter",
            }[self.expect]
        if self.margin == 0:
            return "zero"
        sign = {"greater": "", "less": "−", "equivalent": "±"}[self.expect]
        scale, unit = _UNITS[self.metric.unit]
        shown = f"{self.margin * scale:,.6f}".rstrip("0")
        shown += "0" if shown.endswith(".") else ""
        if self.metric.unit == "count":
            shown = shown.removesuffix(".0")
        return f"the {sign}{shown}{unit} that matter"

    def _measured(self, effect: float, interval: Interval | None, level: float, n: int) -> str:
        if interval is None:
            decimals = 3 if self.factor else _decimals(self._shown(effect), self.metric)
            return f"{self._effect(effect, decimals)} (n={n})"
        return f"{self._effect(effect, self._decimals(interval))} ({self._interval(interval, level)}, n={n})"

    def _effect(self, effect: float, decimals: int) -> str:
        if self.factor:
            return f"{self.a} has {_fixed(effect, decimals)} times the {self.metric.title} of {self.b}"
        return f"{self.a} has {self._more(effect, decimals)} {self.metric.title} than {self.b}"

    def _side(self, effect: float, decimals: int) -> str:
        return f"{_fixed(effect, decimals)} times" if self.factor else self._more(effect, decimals)

    def _more(self, difference: float, decimals: int) -> str:
        scale, unit = _UNITS[self.metric.unit]
        fewer = "fewer" if self.metric.unit == "count" else "less"
        return f"{_fixed(abs(difference) * scale, decimals)}{unit} {'more' if difference >= 0 else fewer}"

    def _interval(self, interval: Interval, level: float) -> str:
        decimals = self._decimals(interval)
        low, high = (_fixed(self._shown(end), decimals) for end in interval)
        return f"{100 * (1 - level):.3g} % interval {low} to {high}"

    def _decimals(self, interval: Interval) -> int:
        return _decimals(self._shown(interval[1] - interval[0]), self.metric)

    def _shown(self, value: float) -> float:
        return value if self.factor else value * _UNITS[self.metric.unit][0]


def left_out(cells: Sequence[tuple[str, int, str]]) -> str:
    """Name the cells that could not be compared: label, seed and reason of each."""
    groups: dict[tuple[str, str], list[int]] = {}
    for label, seed, reason in cells:
        groups.setdefault((label, reason), []).append(seed)
    named = (
        f"seed{'s' if len(seeds) > 1 else ''} {number_ranges(seeds)} of {label} ({reason})"
        for (label, reason), seeds in groups.items()
    )
    return f"Left out: {'; '.join(named)}."


def _takes(needed: int | None, by: str) -> str:
    """How many it would take for a verdict, if the next fall out like these."""
    number = f"not even {MOST_SEEDS:,} {by}s" if needed is None else f"about {_counted(needed, by)}"
    return f"{number.capitalize()} would tell, if the next fall out like these."


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _decimals(size: float, metric: Metric) -> int:
    """As many as show two digits of the size; points of a share have at least one."""
    least = 1 if metric.unit == "share" else 0
    return least if size == 0 else min(6, max(least, 1 - math.floor(math.log10(abs(size)))))


def _fixed(value: float, decimals: int) -> str:
    """With a proper minus, and no minus before a zero."""
    return f"{value:z,.{decimals}f}".replace("-", "−")
