"""Verdicts in words that a student understands. Plain text: whoever sets it on a page escapes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from nin_bench.analysis.verdicts import Needed
from nin_bench.metrics import Metric
from nin_bench.report.text import human_bytes, number_ranges
from nin_bench.report.units import Quantity
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

_WHERE_MEASURED = "on this machine, at this size"

NO_MERIT = {
    "generalisation_gap": "A network that learned less has a smaller generalisation gap, too, which is no merit: "
    "read both accuracies beside it."
}
"""By metric, what a better value may come of beside what is meant."""


VERBS = {"supported": "support", "refuted": "refute"}


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

    @property
    def caveat(self) -> str | None:
        """What to bear in mind with any verdict on the metric."""
        return NO_MERIT.get(self.metric.name)

    def finding(self, verdict: str, effect: float, interval: Interval | None, level: float, n: int) -> str:
        """An effect in a few words, with its interval."""
        quantity = self._quantity(effect, interval)
        found = self._found(effect, quantity)
        if interval is not None:
            rounds = " rounds" if self.metric.kind == "measured" else ""
            found += f" ({self._interval(interval, level, quantity)}, n={n}{rounds})"
            if verdict == "undecided" and (leaning := self.leaning(interval)):
                found += f": {leaning}"
        return found + self._where()

    def answer(self, verdict: str, effect: float, interval: Interval | None, n: int, needed: Needed | None) -> str:
        """A verdict that rests on an effect, in a sentence; how many seeds would be needed, where it is open."""
        by = "round" if self.metric.kind == "measured" else "seed"
        quantity = self._quantity(effect, interval)
        if verdict != "undecided":
            return f"{_ANSWERS[verdict]}: {self._found(effect, quantity)}{self._where()}."
        if interval is None:
            return f"Not known: without a spread between {by}s, nobody can tell luck from more."
        low, high = (self._side(end, quantity) for end in interval)
        takes = f" {_takes(needed)}" if self.metric.kind == "quality" else ""
        leaning = self.leaning(interval)
        opening = (
            f"{leaning.capitalize()}: from" if leaning else f"Not known from {_counted(n, by)}: anything from"
        )
        return f"{opening} {low} to {high} fits {f'the {_counted(n, by)}' if leaning else 'them'}.{takes}"

    def leaning(self, interval: Interval) -> str | None:
        """Of an undecided claim: what is known all the same, where the interval excludes no difference."""
        none = 1.0 if self.factor else 0.0
        if interval[0] <= none <= interval[1]:
            return None
        side = "more" if interval[0] > none else "fewer" if self.metric.unit == "count" else "less"
        return f"{side}, but perhaps not by as much as matters"

    def answer_by_rank(
        self, verdict: str, test: ThreeParts, held: int, level: float, needed: Needed | None
    ) -> str:
        """A verdict on networks of which some failed, in a sentence."""
        n = test.health.n
        if verdict == "trade-off":
            return "Neither yes nor no: who does better in one respect does worse in another."
        if verdict != "undecided":
            return f"{_ANSWERS[verdict]}, by rank: it held in {held} of {n} pairs."
        least = least_pairs(level)
        short_of = f", and where networks fail it takes {least} at least" if n < least else ""
        return f"Not known: it held in {held} of {_counted(n, 'pair')}{short_of}. {_takes(needed)}"

    def counts(self, a: float, b: float, verdict: str) -> str:
        """Of a metric that needs no test."""
        if self.factor:
            times = Quantity.of(None, a / b).number(a / b)
            found = f"{times} times as {'many' if self.metric.unit == 'count' else 'much'}"
        else:
            found = self._side(a - b, Quantity.of(self.metric.unit, a - b))
        of_a, of_b = (f"{n:,.0f}" if self.metric.unit == "count" else f"{human_bytes(n)} of" for n in (a, b))
        place = _PLACES[self.expect, "supported"]
        lies = f"lies {place}" if verdict == "supported" else f"does not lie {place}"
        return (
            f"{self.a} has {of_a} {self.metric.title}, {self.b} has {of_b.removesuffix(' of')}: {found}. "
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
            said.append(self._conclusion(verdict, interval))
        if test.pairing_pays is False and test.correlation is not None:
            by = "round" if self.metric.kind == "measured" else "seed"
            said.append(
                f"Pairing by {by} narrows nothing here: what pairs share (correlation {_fixed(test.correlation)}) "
                f"saves less than having {test.n - 1} degrees of freedom instead of {2 * test.n - 2} costs."
                if test.correlation > 0
                else f"Pairing by {by} narrows nothing here: the two do not rise and fall together (correlation "
                f"{_fixed(test.correlation)})."
            )
        return " ".join(said)

    def shares(self, test: PairedShares, level: float, verdict: str) -> str:
        """Of how often something happens."""
        interval = test.interval(level)
        quantity = self._quantity(test.difference, interval)
        conclusion = (
            "The interval and the exact McNemar test together leave the claim open: undecided."
            if verdict == "undecided"
            else self._conclusion(verdict, interval)
        )
        return (
            f"The {self.metric.title} is {test.both + test.only_a} of {test.n} for {self.a} and "
            f"{test.both + test.only_b} of {test.n} for {self.b}: {self._side(test.difference, quantity)} "
            f"({self._interval(interval, level, quantity)}, exact McNemar p = {test.mcnemar_p:.2g}). {conclusion}"
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

    def _conclusion(self, verdict: str, interval: Interval) -> str:
        line = self._line()
        if verdict == "undecided":
            if leaning := self.leaning(interval):
                none = "1" if self.factor else "zero"
                return (
                    f"The whole interval lies {'above' if leaning.startswith('more') else 'below'} {none}, but "
                    f"reaches across {line}: {leaning}, so undecided."
                )
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
        quantity = Quantity(self.metric.unit, 6)
        shown = quantity.number(self.margin).rstrip("0")
        shown += "0" if shown.endswith(".") else ""
        if self.metric.unit == "count":
            shown = shown.removesuffix(".0")
        return f"the {sign}{shown}{quantity.name} that matter"

    def _quantity(self, effect: float, interval: Interval | None) -> Quantity:
        if self.factor:
            return Quantity.of(None, effect, interval, (self.factor, 1 / self.factor))
        return Quantity.of(self.metric.unit, effect, interval, (self.margin, -self.margin))

    def _where(self) -> str:
        return f", {_WHERE_MEASURED}" if self.metric.kind == "measured" else ""

    def _measured(self, effect: float, interval: Interval | None, level: float, n: int) -> str:
        quantity = self._quantity(effect, interval)
        spread = "" if interval is None else f"{self._interval(interval, level, quantity)}, "
        return f"{self._effect(effect, quantity)} ({spread}n={n})"

    def _effect(self, effect: float, quantity: Quantity) -> str:
        """With both variants in it."""
        if self.factor:
            return f"{self.a} has {quantity.number(effect)} times the {self.metric.title} of {self.b}"
        if quantity.is_zero(effect):
            return f"{self.a} and {self.b} have {self._found(effect, quantity)}"
        return f"{self.a} has {self._found(effect, quantity)} than {self.b}"

    def _found(self, effect: float, quantity: Quantity) -> str:
        """With the metric's name in it."""
        if self.factor:
            return f"{quantity.number(effect)} times the {self.metric.title}"
        if quantity.is_zero(effect):
            return f"the same {self.metric.title}" + (f", to {quantity.step}" if effect else "")
        return f"{self._side(effect, quantity)} {self.metric.title}"

    def _side(self, effect: float, quantity: Quantity) -> str:
        """The bare number, and which way it points."""
        if self.factor:
            return f"{quantity.number(effect)} times"
        if quantity.is_zero(effect):
            return "no difference"
        fewer = "fewer" if self.metric.unit == "count" else "less"
        return f"{quantity.number(abs(effect))}{quantity.name} {'more' if effect > 0 else fewer}"

    def _interval(self, interval: Interval, level: float, quantity: Quantity) -> str:
        low, high = map(quantity.number, interval)
        return f"{100 * (1 - level):.3g} % interval {low} to {high}"


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


def _takes(needed: Needed | None) -> str:
    """How many it would take for a verdict, and for which, if the next fall out like these."""
    if needed is None:
        return f"Not even {MOST_SEEDS:,} seeds would tell, if the next fall out like these."
    return (
        f"About {_counted(needed.seeds, 'seed')} in all would likely {VERBS[needed.verdict]} it, if the next fall "
        "out like these."
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _fixed(correlation: float) -> str:
    return f"{correlation:z.2f}".replace("-", "−")
