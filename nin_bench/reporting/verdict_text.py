"""A verdict in words: a headline, the numbers it rests on, and what a reader has to know of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from nin_bench.analysis.costs import KINDS
from nin_bench.analysis.hypothesis_tests import Bounds, ends_of
from nin_bench.analysis.names import Names
from nin_bench.analysis.verdicts import Shares, Verdict
from nin_bench.errors import counted
from nin_bench.metrics import METRICS, Metric, Unit
from nin_bench.reporting.blocks import NOT_KNOWN
from nin_bench.reporting.text import human_bytes, named_seeds, number_ranges
from nin_bench.reporting.units import Quantity, as_cells
from nin_bench.stats.paired_test import least_pairs

CAVEATS = {
    "generalisation_gap": "A smaller gap can also mean that the network learned less; compare the accuracies.",
}
"""What else a better value can mean, by metric."""


@dataclass(frozen=True)
class VerdictText:
    """How one verdict is said."""

    verdict: Verdict
    names: Names

    @property
    def headline(self) -> str:
        """What came of the claim, in a sentence; and at which values of an axis it came out otherwise."""
        others: dict[str, list[str]] = {}
        for point in self.verdict.points:
            if point.verdict != self.verdict.verdict:
                others.setdefault(point.verdict, []).append(str(point.value))
        alone = (f" At {self._axis} {' and '.join(at)} alone: {came_out}." for came_out, at in others.items())
        return "".join([self._found, *alone])

    @property
    def _found(self) -> str:
        verdict, title = self.verdict, self.title
        if verdict.verdict == "not testable":
            return f"Not testable: {verdict.reason}."
        if verdict.verdict == "undecided" or verdict.minus is not None or verdict.effect is None:
            return f"{self._range()}."
        a, b = self.sides
        has, has_not = ("have", "do not have") if verdict.kinds else ("has", "does not have")
        if verdict.verdict == "refuted" and verdict.expect != "equivalent" and verdict.factor is None:
            more = self._more(
                self._margin if verdict.margin else "", "more" if verdict.expect == "greater" else "less"
            )
            return f"{a} {has_not} {more} than {b}{self._where}: {self._difference()}."
        if verdict.expect == "equivalent" and verdict.verdict == "supported" and verdict.factor is None:
            return f"{a} and {b} differ by less than {self._margin} in {title}{self._where}."
        if verdict.factor is not None:
            return f"{a} {has} {self._quantity.number(verdict.effect)} times the {title} of {b}{self._where}."
        if self._quantity.is_zero(verdict.effect):
            return f"{a} and {b} have the same {title}{self._where}."
        return f"{a} {has} {self._more(*self._size(verdict.effect))} than {b}{self._where}."

    @property
    def compared(self) -> str:
        """What the effect is of: the metric, and A less or over B."""
        verdict = self.verdict
        of = f"{self.names[verdict.compare[0]]}, " if verdict.kinds else ""
        return f"{of}{self.title}: {self.contrast}{self._mean}"

    @property
    def contrast(self) -> str:
        """A less or over B; of a claim about two differences, the one less the other."""
        a, b = map(layers_of, self.verdict.kinds) if self.verdict.kinds else self.sides
        if self.verdict.minus is not None:
            return "({} − {}) − ({} − {})".format(a, b, *self.names.contrast(*self.verdict.minus))
        return f"{a} {'−' if self.verdict.factor is None else '/'} {b}"

    @property
    def effect(self) -> str:
        """The estimate, with its unit."""
        return self._cells(self.verdict.effect, self.verdict.interval)[0]

    @property
    def interval(self) -> str:
        """The interval with its level."""
        shown = self._cells(self.verdict.effect or 0.0, self.verdict.interval)[1]
        if shown is None:
            return NOT_KNOWN
        return f"{shown.removesuffix(self._quantity.name)} ({100 * (1 - self.verdict.level):.4g} %)"

    @property
    def claimed(self) -> str:
        """What the claim says of the effect."""
        factor, expect = self.verdict.factor, self.verdict.expect
        if factor is not None:
            return {
                "greater": f"above ×{factor:g}",
                "less": f"below ×1/{factor:g}",
                "equivalent": f"×1/{factor:g} to ×{factor:g}",
            }[expect]
        sign = "−" if self.verdict.margin else ""
        size = self._margin
        return {"greater": f"above {size}", "less": f"below {sign}{size}", "equivalent": f"within ±{size}"}[expect]

    @property
    def counts(self) -> tuple[str, str]:
        """The two numbers, where counts decide."""
        values = self.verdict.values
        return (self._number(values[0]), self._number(values[1])) if values else (NOT_KNOWN, NOT_KNOWN)

    @property
    def rests_on(self) -> str:
        """The number of pairs, and the test."""
        verdict = self.verdict
        if verdict.verdict == "not testable" or verdict.n is None:
            return NOT_KNOWN
        return f"{verdict.n}{' rounds' if verdict.by_round else ''}, {verdict.test}"

    @property
    def points(self) -> str | None:
        """A claim over an axis, value by value."""
        points = self.verdict.points
        if not points:
            return None
        said = []
        for point in points:
            effect, interval = self._cells(point.effect, point.interval)
            found = f"{effect} ({interval})" if interval else effect
            said.append(f"{point.value}: {point.verdict}, {point.reason or found}, n={point.n}")
        level = f"{100 * (1 - points[0].level):.4g} %"
        return f"By {self._axis}, intervals of {level}: {'; '.join(said)}."

    def remarks(self) -> Iterator[str]:
        """What a reader has to know of the numbers, a sentence each."""
        verdict = self.verdict
        if verdict.verdict == "not testable":
            yield self.headline
        elif verdict.metric in CAVEATS:
            yield CAVEATS[verdict.metric]
        if verdict.effect is None and verdict.ends is None and verdict.verdict == "undecided":
            yield self.headline
        if differing := self.names.also_differing(*verdict.compare):
            also = "" if self.names.are_labelled(*verdict.compare) else "also "
            yield f"The two variants {also}differ in {', '.join(differing)}."
        if verdict.trade_off:
            yield "Trade-off: failures point the other way; read both."
        if verdict.post_hoc:
            yield "Post hoc: the claim was written or changed after training; test it anew."
        if look := verdict.look:
            which = f"look {look.number} of {look.total}, with the first {look.num_seeds} seeds"
            yield f"{'Not decided yet' if verdict.early else 'Judged'} at {which}."
        elif verdict.early:
            yield "An early look: some planned cells have not ended."
        if verdict.by_round:
            yield "Measured on this machine, at this size; other machines can differ."
        groups: dict[tuple[str, str], list[int]] = {}
        for cell in verdict.missing:
            groups.setdefault((cell.label, cell.reason), []).append(cell.seed)
        for (label, reason), seeds in groups.items():
            yield f"Missing: {named_seeds(seeds)} of {self.names[label]} ({reason})."
        if verdict.seeds_added:
            added = number_ranges(verdict.seeds_added)
            yield f"Seeds added after the claim was locked do not count: {added}."

    @property
    def sides(self) -> tuple[str, str]:
        """What tells A from B."""
        if self.verdict.kinds is None:
            return self.names.contrast(*self.verdict.compare, over=self.verdict.over)
        first, second = map(layers_of, self.verdict.kinds)
        return f"{self.names[self.verdict.compare[0]]}'s {first}", f"its {second}"

    @property
    def title(self) -> str:
        """What the effect is of, as a sentence names it."""
        return f"share of the {self._metric.title}" if self.verdict.kinds else self._metric.title

    @property
    def _metric(self) -> Metric:
        return METRICS[self.verdict.metric]

    @property
    def _unit(self) -> Unit | None:
        """The effect's unit; None for a factor."""
        return None if self.verdict.factor is not None else self.verdict.unit

    @property
    def _held_against(self) -> tuple[float, float]:
        factor, margin = self.verdict.factor, self.verdict.margin or 0.0
        return (margin, -margin) if factor is None else (factor, 1 / factor)

    @property
    def _quantity(self) -> Quantity:
        return Quantity.of(self._unit, self.verdict.effect or 0.0, self.verdict.ends, self._held_against)

    @property
    def _margin(self) -> str:
        margin, quantity = self.verdict.margin or 0.0, Quantity(self.verdict.unit, 0)
        scaled = quantity.scale * margin
        name = quantity.name if scaled else ""
        if scaled == 1 and name in {" points", " epochs"}:
            name = name.removesuffix("s")
        return f"{scaled:,.6g}{name}"

    @property
    def _mean(self) -> str:
        return f", on average over {self._axis}" if self.verdict.over else ""

    @property
    def _axis(self) -> str:
        return (self.verdict.over or "").rpartition(".")[2]

    @property
    def _where(self) -> str:
        return f"{' on this machine' if self.verdict.by_round else ''}{self._mean}"

    def _cells(self, effect: float | None, interval: Bounds | None) -> tuple[str, str | None]:
        if effect is None:
            return "no finite estimate" if self.verdict.verdict != "not testable" else NOT_KNOWN, None
        return as_cells(self._unit, effect, ends_of(interval, is_factor=self._unit is None), self._held_against)

    def _range(self) -> str:
        """What the pairs leave possible."""
        verdict, least = self.verdict, least_pairs(self.verdict.level)
        n, what = verdict.n or 0, "round" if verdict.by_round else "seed"
        pairs = counted(n, what)
        if verdict.ends is not None:
            of = "ratio" if verdict.factor is not None else "difference"
            of = of if verdict.minus is None else "difference between the two differences"
            return f"The {of} in {self.title} is {self._between()}{self._where}"
        if n < least:
            return f"{pairs} can decide nothing at a level of {100 * verdict.level:.3g} %; it takes {least}"
        return f"So many networks failed that {pairs} bound nothing"

    def _difference(self) -> str:
        """The difference, by its interval if it has one."""
        effect = self.verdict.effect or 0.0
        if self.verdict.ends is None:
            return "the same" if self._quantity.is_zero(effect) else " ".join(self._size(effect))
        return f"the difference is {self._between()}"

    def _between(self) -> str:
        low, high = (self._end(end) for end in self.verdict.ends or ())
        return f"between {low} and {high}{self._quantity.name}"

    def _end(self, end: float) -> str:
        if math.isinf(end):
            return "−∞" if end < 0 else "∞"
        return f"×{self._quantity.number(end)}" if self.verdict.factor is not None else self._quantity.signed(end)

    def _size(self, effect: float) -> tuple[str, str]:
        """A difference and its direction."""
        size = f"{self._quantity.number(abs(effect))}{self._quantity.name}"
        return size, "more" if effect > 0 else "fewer" if self._unit == "count" else "less"

    def _more(self, size: str, direction: str) -> str:
        """More, or less, of what the effect is of."""
        if self.verdict.kinds:
            larger = "larger" if direction == "more" else "smaller"
            return f"a {larger} {self.title}{f', by {size},' if size else ''}"
        return f"{size} {direction} {self.title}".lstrip()

    def _number(self, value: float) -> str:
        """A count, a size or a share."""
        match self.verdict.unit:
            case "count":
                return f"{value:,.0f}"
            case "share":
                return f"{100 * value:.3g} %"
        return human_bytes(value)


def layers_of(kind: str) -> str:
    """The layers of a kind, in words."""
    title = KINDS[kind]
    return f"{title}s" if title.endswith("convolution") else f"{title} layers"


def shares_of(shares: Shares | None) -> str:
    """How many networks of A and of B failed, or lost a class."""
    return NOT_KNOWN if shares is None else f"{shares.counts[0]} / {shares.counts[1]}"
