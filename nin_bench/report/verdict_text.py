"""A verdict in words: a headline, and its evidence in a line. Plain text: whoever sets it on a page escapes it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nin_bench.analysis.names import Names
from nin_bench.analysis.pairs import MissingCell
from nin_bench.analysis.verdicts import Shares, Verdict, ends_of
from nin_bench.metrics import METRICS, Metric, Unit
from nin_bench.report.text import human_bytes, number_ranges
from nin_bench.report.units import Quantity, as_cells
from nin_bench.stats import least_pairs

CAVEATS = {
    "generalisation_gap": "A smaller gap can also mean that the network learned less; compare the accuracies.",
}
"""By metric, what a better value may come of beside what is meant."""


@dataclass(frozen=True)
class VerdictText:
    """A verdict in words."""

    headline: str
    """What came of the claim, in a sentence."""
    evidence: str
    """The numbers that it rests on."""
    remarks: list[str]
    """What a reader has to know of these numbers, a sentence each."""


def describe_verdict(verdict: Verdict, names: Names) -> VerdictText:
    """Put a verdict and its evidence into words."""
    wording = _Wording(verdict, METRICS[verdict.metric], *(verdict.kinds or names.contrast(*verdict.compare)))
    less = "" if verdict.minus is None else " less {} − {}".format(*names.contrast(*verdict.minus))
    evidence = [wording.evidence(less), *wording.points()]
    return VerdictText(wording.headline(), " ".join(evidence), _remarks(verdict, names))


@dataclass(frozen=True)
class _Wording:
    """How one verdict is said."""

    verdict: Verdict
    metric: Metric
    a: str
    """What tells A from B."""
    b: str

    def headline(self) -> str:
        verdict = self.verdict
        if verdict.verdict == "not testable":
            return f"Not testable: {verdict.reason}."
        if verdict.verdict == "undecided" or verdict.minus is not None or verdict.effect is None:
            return self._range()
        if verdict.factor is None and self._quantity.is_zero(verdict.effect):
            return f"{self.a} and {self.b} have {self._side(verdict.effect)}{self._where()}."
        apart = " of" if verdict.factor is not None else " than"
        return f"{self.a} has {self._side(verdict.effect)}{apart} {self.b}{self._where()}."

    def _range(self) -> str:
        """What the pairs leave possible, in a sentence."""
        verdict, least = self.verdict, least_pairs(self.verdict.level)
        if verdict.ends is not None:
            low, high = map(self._end, verdict.ends)
            what = "ratio" if verdict.factor is not None else "difference"
            title = self.title.removeprefix("of the ")
            return f"The {what} in {title} is between {low} and {high}{self._quantity.name}{self._where()}."
        if (verdict.n or 0) < least:
            return (
                f"{self._pairs()} can decide nothing at a level of {100 * verdict.level:.3g} %; it takes {least}."
            )
        return f"So many networks failed that {self._pairs()} bound nothing."

    def _side(self, effect: float) -> str:
        """An effect with its direction and the metric's name."""
        title, quantity = self.title, self._quantity
        if self.verdict.factor is not None:
            return f"{quantity.number(effect)} times the {title}"
        if quantity.is_zero(effect):
            return f"the same {title}"
        size = f"{quantity.number(abs(effect))}{quantity.name}"
        if self.metric.kind == "rate":
            return f"a {title} {size} {'higher' if effect > 0 else 'lower'}"
        return f"{size} {'more' if effect > 0 else 'fewer' if self.unit == 'count' else 'less'} {title}"

    @property
    def title(self) -> str:
        """What the effect is of, as a sentence names it."""
        return f"of the {self.metric.title}" if self.verdict.kinds else self.metric.title

    @property
    def unit(self) -> Unit | None:
        """The effect's unit; None for a factor."""
        return None if self.verdict.factor is not None else self.verdict.unit

    def points(self) -> list[str]:
        """A claim over an axis, value by value."""
        verdict = self.verdict
        if not verdict.points:
            return []
        said = []
        for point in verdict.points:
            found = point.reason or "no finite estimate"
            if point.effect is not None:
                effect, interval = as_cells(
                    self.unit, point.effect, ends_of(point.interval, is_factor=self.unit is None), self._margins
                )
                found = f"{effect} ({interval})" if interval else effect
            said.append(f"{point.value}: {point.verdict}, {found}, n={point.n}")
        level = f"{100 * (1 - verdict.points[0].level):.4g} %"
        return [f"By {verdict.over}, intervals of {level}: {'; '.join(said)}."]

    def evidence(self, less: str) -> str:
        verdict, sign = self.verdict, "/" if self.verdict.factor is not None else "−"
        mean = "" if verdict.over is None else f", mean over {verdict.over}"
        compared = f"{self.title.removeprefix('of the ')}, {self.a} {sign} {self.b}{less}{mean}"
        if verdict.verdict == "not testable":
            return f"{compared}; claimed: {self._claimed()}."
        if verdict.values is not None:
            a, b = map(self._number, verdict.values)
            return f"{compared}: {a} against {b}, {self._effect()}; claimed: {self._claimed()}."
        said = [f"{compared}: {self._effect()}", f"n={verdict.n}", f"{verdict.test} test"]
        said.append(f"claimed: {self._claimed()}")
        for title, shares in (("failed", verdict.failed), ("lost a class", verdict.lost_classes)):
            if shares is not None and any(shares.counts):
                said.append(f"{title}: {self._shares(shares)}")
        return "; ".join(said) + "."

    def _effect(self) -> str:
        """The estimate with its interval."""
        verdict = self.verdict
        if verdict.effect is None:
            shown = "no finite estimate"
        else:
            shown, _ = as_cells(self.unit, verdict.effect, verdict.ends, self._margins)
        if verdict.ends is None:
            return shown
        low, high = map(self._end, verdict.ends)
        return f"{shown} ({100 * (1 - verdict.level):.4g} % interval {low} to {high})"

    def _number(self, value: float) -> str:
        """A count, a size or a share."""
        match self.verdict.unit:
            case "count":
                return f"{value:,.0f}"
            case "share":
                return f"{100 * value:.3g} %"
        return human_bytes(value)

    def _claimed(self) -> str:
        factor, expect = self.verdict.factor, self.verdict.expect
        if factor is not None:
            return {
                "greater": f"above ×{factor:g}",
                "less": f"below ×1/{factor:g}",
                "equivalent": f"between ×1/{factor:g} and ×{factor:g}",
            }[expect]
        margin = self.verdict.margin or 0.0
        quantity = Quantity(self.verdict.unit, 0)
        scaled = quantity.scale * margin
        name = " point" if quantity.name == " points" and scaled == 1 else quantity.name if scaled else ""
        size = f"{scaled:,.6g}{name}"
        sign = "−" if margin else ""
        return {"greater": f"above {size}", "less": f"below {sign}{size}", "equivalent": f"within ±{size}"}[expect]

    def _shares(self, shares: Shares) -> str:
        a, b = shares.counts
        low, high = (f"{100 * end:+.0f}".replace("-", "−") for end in shares.interval)
        return (
            f"{a} of {shares.n} against {b} of {shares.n} (difference {low} to {high} points, exact McNemar "
            f"p = {shares.mcnemar_p:.2g})"
        )

    def _end(self, end: float) -> str:
        """An end of the interval, without its unit."""
        if math.isinf(end):
            return "−∞" if end < 0 else "∞"
        return f"×{self._quantity.number(end)}" if self.verdict.factor is not None else self._quantity.signed(end)

    def _pairs(self) -> str:
        n, what = self.verdict.n or 0, "round" if self.verdict.by_round else "seed"
        return f"{n} {what}{'' if n == 1 else 's'}"

    def _where(self) -> str:
        return ", on this machine, at this size" if self.verdict.by_round else ""

    @property
    def _margins(self) -> tuple[float, float]:
        factor, margin = self.verdict.factor, self.verdict.margin or 0.0
        return (margin, -margin) if factor is None else (factor, 1 / factor)

    @property
    def _quantity(self) -> Quantity:
        return Quantity.of(self.unit, self.verdict.effect or 0.0, self.verdict.ends, self._margins)


def _remarks(verdict: Verdict, names: Names) -> list[str]:
    said = []
    if verdict.trade_off:
        said.append("Trade-off: failures point the other way; read both.")
    if verdict.metric in CAVEATS and verdict.verdict != "not testable":
        said.append(CAVEATS[verdict.metric])
    if verdict.post_hoc:
        said.append("Post hoc: the claim was written or changed after training; test it anew.")
    if look := verdict.look:
        which = f"look {look.number} of {look.total}, with the first {look.num_seeds} seeds"
        said.append(f"{'Not decided yet' if verdict.early else 'Judged'} at {which}.")
    elif verdict.early:
        said.append("An early look: some planned cells have not ended.")
    if verdict.missing:
        said.append(_missing(verdict.missing, names))
    if verdict.seeds_added:
        said.append(f"Seeds added after the claim was locked do not count: {number_ranges(verdict.seeds_added)}.")
    return said


def _missing(cells: Sequence[MissingCell], names: Names) -> str:
    """Name the cells that cannot be compared, by variant and reason."""
    groups: dict[tuple[str, str], list[int]] = {}
    for cell in cells:
        groups.setdefault((cell.label, cell.reason), []).append(cell.seed)
    named = (
        f"seed{'s' if len(seeds) > 1 else ''} {number_ranges(seeds)} of {names[label]} ({reason})"
        for (label, reason), seeds in groups.items()
    )
    return f"Missing: {'; '.join(named)}."
