"""How well a variant does over the range of one parameter, the learning rate where it is searched.

The curve's peak, its width, and the chance to learn at a rate drawn at random: how easy the variant is to tune.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from statsmodels.stats.proportion import proportion_confint

from nin_bench.analysis.search.studies import Search, Study, Trial, is_number
from nin_bench.analysis.tables import Spread, Tally
from nin_bench.results.studies import Range, SearchSettings
from nin_bench.stats.claims import ALPHA, Interval

NEAR = 0.01
"""A rate is near the peak where the accuracy lies within this of it: one percentage point."""


@dataclass(frozen=True)
class Axis:
    """The parameter that curves are drawn over."""

    name: str
    low: float
    high: float
    log: bool

    @property
    def title(self) -> str:
        """What an axis label and a sentence call it."""
        return "learning rate" if self.name == "lr" else self.name.replace("_", " ")

    def scaled(self, value: float) -> float:
        """Where a value lies on the axis: its decimal logarithm on a log scale."""
        return math.log10(value) if self.log else value

    def value(self, place: float) -> float:
        """The value at a place on the axis."""
        return 10**place if self.log else place

    def of(self, trial: Trial) -> float:
        """The value that a trial was given."""
        value = trial.params[self.name]
        assert is_number(value), value
        return value


@dataclass(frozen=True)
class RatePoint:
    """What was tried at one rate, whatever the other parameters."""

    rate: float
    num_complete: int
    """Trials that ran to their end; of pruned ones nobody knows where they would have ended."""
    accuracy: Spread
    """Validation accuracy over the seeds of the best trial that learned; without a mean where none did."""
    escaped: Tally
    """Seeds that left chance level, of those of which it is known."""
    learned: Tally
    """Seeds that left it, were not back there at the end, and did not diverge."""


@dataclass(frozen=True)
class Width:
    """The stretch of rates around the peak whose accuracy lies within `NEAR` of it."""

    low: float
    high: float
    size: float
    """How far it is seen to go, in decades on a log scale, else in the parameter's own unit."""
    at_most: float | None
    """How wide it can be: a rate at which a seed failed ends it, nobody knows how far before.

    None where it reaches the outermost rate tried, so that it may go on.
    """

    @property
    def bound(self) -> float:
        """How wide it can be, as a number."""
        return math.inf if self.at_most is None else self.at_most

    def shown(self, axis: Axis) -> str:
        """The width in words."""
        digits, unit = (".2f", " decades") if axis.log else (".2g", "")
        size = f"{self.size:{digits}}"
        if self.at_most is None:
            return f"≥ {size}{unit}"
        most = f"{self.at_most:{digits}}"
        return f"{size}{unit}" if size == most else f"{size}–{most}{unit}"


@dataclass(frozen=True)
class Chance:
    """The chance that a network learns at a rate drawn at random from the range."""

    share: float
    interval: Interval
    """Wilson's, 95 %."""
    num_rates: int
    effective: float
    """How many rates drawn at random would tell as much."""


@dataclass(frozen=True)
class RateCurve:
    """One variant over the axis."""

    variant_id: str
    name: str
    num_params: int | None
    """Parameters of the network; None if what is searched changes them."""
    points: list[RatePoint]
    """What was tried at each rate, ascending."""
    connected: bool
    """Whether neighbouring points differ in the rate alone, so that a line may join them."""
    peak: RatePoint | None
    """The most accurate; None where no trial learned."""
    width: Width | None
    """The width around the peak; None without a peak, or if nothing on either side tells of it."""
    chance: Chance | None
    """The chance to learn at a random rate; None if of no rate it is known who learned."""


def search_axis(settings: SearchSettings) -> Axis | None:
    """The learning rate, else the first parameter that is searched over numbers; None where none is."""
    axes = {name: found for name in settings.space if (found := axis_of(settings, name))}
    return axes.get("lr") or next(iter(axes.values()), None)


def axis_of(settings: SearchSettings, name: str) -> Axis | None:
    """Where a parameter is searched, if it is a number; three or more numbers to choose from count as a range."""
    searched = settings.space[name]
    if isinstance(searched, Range):
        return Axis(name, float(searched.low), float(searched.high), searched.log)
    numbers = [float(value) for value in searched if is_number(value)]
    if len(numbers) < max(3, len(searched)) or len(set(numbers)) == 1:
        return None
    low, high = min(numbers), max(numbers)
    return Axis(name, low, high, log=low > 0 and high >= 10 * low)


def rate_curves(search: Search) -> list[RateCurve]:
    """Each variant's curve, in the grid's order; empty where no parameter is a number."""
    axis = search_axis(search.settings)
    if axis is None:
        return []
    variants = zip(search.config.variants, search.studies, strict=True)
    return [_rate_curve(search.settings, variant.num_params, study, axis) for variant, study in variants]


def _rate_curve(settings: SearchSettings, num_params: int | None, study: Study, axis: Axis) -> RateCurve:
    groups: dict[float, list[Trial]] = {}
    for trial in sorted(study.counted, key=axis.of):
        groups.setdefault(axis.of(trial), []).append(trial)
    points = [_point(rate, trials) for rate, trials in groups.items()]
    connected = len(settings.space) == 1 or settings.sampler == "grid"
    complete = [point for point in points if point.num_complete]
    peak = max(
        (point for point in points if point.accuracy.n), key=lambda point: point.accuracy.mean or 0, default=None
    )
    return RateCurve(
        variant_id=study.variant_id,
        name=study.name,
        num_params=num_params,
        points=points,
        connected=connected,
        peak=peak,
        width=_width(axis, complete, peak, connected) if peak else None,
        chance=chance_to_learn(axis, points),
    )


def _point(rate: float, trials: Sequence[Trial]) -> RatePoint:
    spreads = [
        Spread.of([at for run in trial.runs if (at := run.measured("validation_accuracy")) is not None])
        for trial in trials
        if trial.learned
    ]
    known = [
        (run, learned) for trial in trials for run in trial.runs if (learned := trial.has_learned(run)) is not None
    ]
    return RatePoint(
        rate=rate,
        num_complete=sum(trial.state == "complete" for trial in trials),
        accuracy=max(spreads, key=lambda spread: spread.mean or 0, default=Spread.of([])),
        escaped=Tally(sum(run.escaped is True for run, _ in known), len(known)),
        learned=Tally(sum(learned for _, learned in known), len(known)),
    )


def _width(axis: Axis, points: Sequence[RatePoint], peak: RatePoint, connected: bool) -> Width | None:
    """How far the curve stays near its peak.

    Between two rates the accuracy is interpolated linearly over the axis. A rate at which a seed failed has none:
    the stretch ends somewhere between the rate before it and that one. Where other parameters differ from point to
    point, the stretch goes from the first to the last rate that came near, and may be wider.
    """
    xs = [axis.scaled(point.rate) for point in points]
    ys = [point.accuracy.mean for point in points]
    top = points.index(peak)
    level = (ys[top] or 0.0) - NEAR
    if connected:
        low, lowest = _reach(xs[top::-1], ys[top::-1], level)
        high, highest = _reach(xs[top:], ys[top:], level)
    else:
        near = [x for x, y in zip(xs, ys, strict=True) if y is not None and y >= level]
        low, high, lowest, highest = near[0], near[-1], None, None
    at_most = None if lowest is None or highest is None else highest - lowest
    if high == low and at_most is None:
        return None
    return Width(axis.value(low), axis.value(high), high - low, at_most)


def _reach(xs: Sequence[float], ys: Sequence[float | None], level: float) -> tuple[float, float | None]:
    """How far a curve stays above a level, going away from its first point: as is seen, and at most.

    At most is None where it never falls below.
    """
    known, near = xs[0], ys[0] or 0.0
    for x, y in zip(xs[1:], ys[1:], strict=True):
        if y is None:
            return known, x
        if y < level:
            end = known + (x - known) * (near - level) / (near - y)
            return end, end
        known, near = x, y
    return known, None


def chance_to_learn(axis: Axis, points: Sequence[RatePoint]) -> Chance | None:
    """The share of the axis at which networks learn, each rate standing for the part that lies nearest to it.

    So rates that a sampler preferred do not count for more. The interval is Wilson's for as many rates as would
    tell as much if drawn at random, (Σw)² / Σw² for weights w (Kish, Survey Sampling, 1965); it takes
    seeds of one rate for one observation, and is too wide rather than too narrow for rates spread evenly.
    """
    found = nearest_parts(axis, points)
    if not found:
        return None
    whole = axis.scaled(axis.high) - axis.scaled(axis.low)
    weights = [(axis.scaled(high) - axis.scaled(low)) / whole for _, low, high in found]
    learned = [point.learned.count / point.learned.of for point, _, _ in found]
    share = min(math.fsum(weight * rate for weight, rate in zip(weights, learned, strict=True)), 1.0)
    effective = 1 / math.fsum(weight**2 for weight in weights)
    lower, upper = proportion_confint(share * effective, effective, ALPHA, method="wilson")
    return Chance(share, (float(lower), float(upper)), len(found), effective)


def nearest_parts(axis: Axis, points: Sequence[RatePoint]) -> list[tuple[RatePoint, float, float]]:
    """The part of the axis that is nearest to each rate of which it is known who learned.

    Returns:
        The rate's point, and the low and high end of its part.
    """
    known = [point for point in points if point.learned.of]
    low, high = axis.scaled(axis.low), axis.scaled(axis.high)
    places = [min(max(axis.scaled(point.rate), low), high) for point in known]
    borders = [low, *((a + b) / 2 for a, b in itertools.pairwise(places)), high]
    return [
        (point, axis.value(left), axis.value(right))
        for point, (left, right) in zip(known, itertools.pairwise(borders), strict=False)
    ]
