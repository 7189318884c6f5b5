"""A verdict in words: a headline, and its evidence in a line. Plain text: whoever sets it on a page escapes it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nin_bench.analysis.names import Names
from nin_bench.analysis.pairs import MissingCell
from nin_bench.analysis.verdicts import Shares, Verdict
from nin_bench.metrics import METRICS, Metric
from nin_bench.report.text import human_bytes, number_ranges
from nin_bench.report.units import Quantity, as_cells
from nin_bench.stats import least_pairs

_OPENINGS = {"supported": "Yes", "refuted": "No", "undecided": "Not decided"}

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
    wording = _Wording(verdict, METRICS[verdict.metric], *names.contrast(*verdict.compare))
    return VerdictText(wording.headline(), wording.evidence(), _remarks(verdict, names))


def verdict_as_dict(verdict: Verdict, names: Names) -> dict[str, Any]:
    """A verdict as report.json holds it: its values and its words."""
    text = describe_verdict(verdict, names)
    return {**verdict.as_dict(), "headline": text.headline, "evidence": text.evidence, "remarks": text.remarks}


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
        return f"{_OPENINGS[verdict.verdict]}: {self._found()}{self._where()}."

    def _found(self) -> str:
        verdict = self.verdict
        if verdict.verdict != "undecided":
            if verdict.effect is None:
                return "most networks failed"
            apart = " of" if verdict.factor is not None else " than"
            same = "" if verdict.factor is None and self._quantity.is_zero(verdict.effect) else f"{apart} {self.b}"
            return self._side(verdict.effect) + same
        if verdict.interval is not None:
            low, high = map(self._end, verdict.interval)
            return (
                f"anything from {low} to {high}{self._quantity.name} {self.metric.title} fits the {self._pairs()}"
            )
        least = least_pairs(verdict.level)
        if (verdict.n or 0) < least:
            return (
                f"{self._pairs()} can decide nothing at a level of {100 * verdict.level:.3g} %; it takes {least}"
            )
        return f"so many networks failed that the {self._pairs()} bound nothing"

    def _side(self, effect: float) -> str:
        """An effect with its direction and the metric's name."""
        title, quantity = self.metric.title, self._quantity
        if self.verdict.factor is not None:
            return f"{quantity.number(effect)} times the {title}"
        if quantity.is_zero(effect):
            return f"the same {title}"
        size = f"{quantity.number(abs(effect))}{quantity.name}"
        if self.metric.kind == "rate":
            return f"a {title} {size} {'higher' if effect > 0 else 'lower'}"
        return f"{size} {'more' if effect > 0 else 'fewer' if self.metric.unit == 'count' else 'less'} {title}"

    def evidence(self) -> str:
        verdict, sign = self.verdict, "/" if self.verdict.factor is not None else "−"
        compared = f"{self.metric.title}, {self.a} {sign} {self.b}"
        if verdict.verdict == "not testable":
            return f"{compared}; claimed: {self._claimed()}."
        if verdict.values is not None:
            a, b = (f"{n:,.0f}" if self.metric.unit == "count" else human_bytes(n) for n in verdict.values)
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
            unit = None if verdict.factor is not None else self.metric.unit
            shown, _ = as_cells(unit, verdict.effect, verdict.interval, self._margins)
        if verdict.interval is None:
            return shown
        low, high = map(self._end, verdict.interval)
        return f"{shown} ({100 * (1 - verdict.level):.4g} % interval {low} to {high})"

    def _claimed(self) -> str:
        factor, expect = self.verdict.factor, self.verdict.expect
        if factor is not None:
            return {
                "greater": f"above ×{factor:g}",
                "less": f"below ×1/{factor:g}",
                "equivalent": f"between ×1/{factor:g} and ×{factor:g}",
            }[expect]
        margin = self.verdict.margin or 0.0
        scaled = Quantity(self.metric.unit, 0).scale * margin
        size = f"{scaled:,.6g}{Quantity(self.metric.unit, 0).name}"
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
        unit = None if self.verdict.factor is not None else self.metric.unit
        return Quantity.of(unit, self.verdict.effect or 0.0, self.verdict.interval, self._margins)


def _remarks(verdict: Verdict, names: Names) -> list[str]:
    said = []
    if verdict.trade_off:
        said.append("Trade-off: failures point the other way; read both.")
    if verdict.metric in CAVEATS and verdict.verdict != "not testable":
        said.append(CAVEATS[verdict.metric])
    if verdict.post_hoc:
        said.append("Post hoc: the claim was written or changed after training; test it anew.")
    if verdict.early:
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
