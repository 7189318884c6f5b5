"""What a search's page says in words beside its tables. Plain text: whoever sets it on a page escapes it."""

from collections.abc import Sequence

from nin_bench.analysis.search.analysis import SearchAnalysis
from nin_bench.analysis.search.rates import Axis, Chance, RateCurve, Width


def ease_of_tuning(axis: Axis, curves: Sequence[RateCurve]) -> list[str]:
    """Which variants take the widest choice of rates and which the narrowest, and which learn most surely."""
    said = []
    wide = [(curve.width, curve.name) for curve in curves if curve.width and curve.connected]
    if len(wide) > 1:
        # one that is surely wider than another is not the narrowest, and the other not the widest
        widest = [pair for pair in wide if pair[0].bound >= max(width.size for width, _ in wide)]
        narrowest = [pair for pair in wide if pair[0].size <= min(width.bound for width, _ in wide)]
        said.append(f"{_named(axis, 'widest', widest)} {_named(axis, 'narrowest', narrowest)}")
    sure = [(curve.chance, curve.name) for curve in curves if curve.chance]
    if len(sure) > 1:
        (least, rarest), (most, surest) = (end(sure, key=lambda pair: pair[0].share) for end in (min, max))
        if least.share == most.share:
            said.append(f"At a {axis.title} drawn at random all are as likely to learn: {_chance(most)}.")
        else:
            verdict = (
                "The two intervals overlap: so few values do not tell which is surer."
                if most.interval[0] <= least.interval[1]
                else "The two intervals do not overlap."
            )
            said.append(
                f"At a {axis.title} drawn at random, {surest} is the likeliest to learn, {_chance(most)}, and "
                f"{rarest} the least likely, {_chance(least)}. {verdict}"
            )
    return said


def _named(axis: Axis, extreme: str, curves: Sequence[tuple[Width, str]]) -> str:
    """The widest or narrowest curve, or the several that may be."""
    listed = "; ".join(f"{name}, {width.shown(axis)}" for width, name in curves)
    if len(curves) == 1:
        return f"The {extreme} curve within one point of its peak is that of {listed}."
    return f"Which curve is the {extreme} within one point of its peak is not known; it may be that of {listed}."


def caveats(analysis: SearchAnalysis) -> list[str]:
    """What a reader has to know before believing the page, beside its warnings."""
    settings, axis = analysis.settings, analysis.axis
    found = [
        "The best of several is chosen and shown by the same validation images, which flatters it, the more so "
        "the more trials there are: run the tuned grid with fresh seeds, and believe its test accuracy.",
        "Deviations are over the search's seeds; they say nothing of other values of what was searched.",
        "Device time was taken beside whatever else was training: no claim about speed follows from it.",
    ]
    if settings.sampler == "tpe":
        found.append(
            "The tpe sampler looks where it has found something: its trials are no draws at random, and the best "
            "of k of them, drawn at random, understates what the sampler finds with k."
        )
    if any(budget.pruned for budget in analysis.budgets):
        found.append(
            "Pruned trials are on no curve, and not in the expected best: that is of trials that ran to their "
            "end, which the pruner let through, so that trials drawn at random would do worse. Where a pruned one "
            "was at chance level nobody knows whether it would have left it."
        )
    if len(settings.space) > 1 and axis:
        found.append(
            f"At each {axis.title} the curve takes the best of the other parameters' values, and the chance to "
            "learn is over those that were tried there."
        )
    if axis and any(curve.peak and not curve.connected for curve in analysis.curves):
        found.append(
            "Other parameters vary from trial to trial too, so that no line joins the trials, and a curve is at "
            "least as wide as the stretch from the first to the last that came within one point of the peak."
        )
    return found


def _chance(chance: Chance) -> str:
    low, high = chance.interval
    return (
        f"{100 * chance.share:.0f} % (95 % interval {100 * low:.0f} to {100 * high:.0f} %, "
        f"{chance.num_rates} {'value' if chance.num_rates == 1 else 'values'} tried)"
    )
