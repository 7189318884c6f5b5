"""What a search's page says in words beside its tables. Plain text: whoever sets it on a page escapes it."""

import math
from collections.abc import Sequence

from nin_bench.report.search.budget import Budget
from nin_bench.report.search.rates import Axis, Chance, RateCurve
from nin_bench.report.search.size import LEAST_VARIANTS, SizeAndEase
from nin_bench.report.search.studies import Search
from nin_bench.stats import ALPHA


def ease_of_tuning(axis: Axis, curves: Sequence[RateCurve], sizes: Sequence[SizeAndEase]) -> list[str]:
    """Which variants take the widest and the narrowest choice of rates, and which learn most and least surely.

    And whether those with fewer parameters do.
    """
    said = []
    wide = [(curve.width, curve.name) for curve in curves if curve.width and curve.connected]
    if len(wide) > 1:
        (narrow, narrowest), (broad, widest) = (end(wide, key=lambda pair: pair[0].size) for end in (min, max))
        said.append(
            f"The widest curve is that of {widest}: {broad.shown(axis)} within one point of its peak. "
            f"The narrowest is that of {narrowest}: {narrow.shown(axis)}."
        )
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
    if len(curves) > 1:
        said.append(_size_and_ease(axis, sizes))
    return said


def _size_and_ease(axis: Axis, sizes: Sequence[SizeAndEase]) -> str:
    """Whether few parameters make tuning easy, as far as ranks over these variants tell."""
    asked = "Do few parameters make tuning easy?"
    if not sizes:
        return (
            f"{asked} Not to be told: it takes {LEAST_VARIANTS} variants or more that differ in their number of "
            "parameters and in how easy they are to tune."
        )
    open_ones = " These variants do not tell." if all(found.p > ALPHA for found in sizes) else ""
    parts = " ".join(_in_pairs(axis, found) for found in sizes)
    return (
        f"{asked}{open_ones} {parts} The variants differ in more than their number of parameters, and are no "
        "sample of networks: this tells of them alone."
    )


def _in_pairs(axis: Axis, found: SizeAndEase) -> str:
    more, less = {
        "width": ("has the wider curve", "the narrower"),
        "chance": (f"is likelier to learn at a {axis.title} drawn at random", "less likely"),
    }[found.measure]
    tau = f"{found.tau:+.2f}".replace("-", "−")
    p = f"p = {found.p:.2f}" if found.p >= 0.01 else "p < 0.01"
    verdict = "no more than luck would often give"
    if found.p <= ALPHA:
        size = "few" if found.tau > 0 else "many"
        verdict = f"more than luck would often give, so that here {size} parameters go with ease"
    bounds = f", with {found.num_at_least} of the widths lower bounds" if found.num_at_least else ""
    return (
        f"Of {math.comb(found.num_variants, 2)} pairs of variants, the one with fewer {more} in {found.easier} "
        f"and {less} in {found.harder} (Kendall's τ {tau}, {p}, n={found.num_variants}{bounds}): {verdict}."
    )


def caveats(
    search: Search, budgets: Sequence[Budget], axis: Axis | None, curves: Sequence[RateCurve]
) -> list[str]:
    """What a reader has to know before believing the page, beside its warnings."""
    settings = search.settings
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
    if any(budget.pruned for budget in budgets):
        found.append(
            "Pruned trials count with the value they had reached, which understates them; they are not on the "
            "curves, and where one was at chance level nobody knows whether it would have left it."
        )
    if len(settings.space) > 1 and axis:
        found.append(
            f"At each {axis.title} the curve takes the best of the other parameters' values, and the chance to "
            "learn is over those that were tried there."
        )
    if axis and any(curve.peak and not curve.connected for curve in curves):
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
