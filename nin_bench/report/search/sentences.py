"""What a search's page says in words beside its tables. Plain text: whoever sets it on a page escapes it."""

import math
from collections.abc import Sequence

from nin_bench.analysis.search.budget import Budget
from nin_bench.analysis.search.rates import Axis, Chance, RateCurve, Width
from nin_bench.analysis.search.studies import Search
from nin_bench.report.search.size import LEAST_VARIANTS, SizeAndEase
from nin_bench.stats import ALPHA


def ease_of_tuning(axis: Axis, curves: Sequence[RateCurve], sizes: Sequence[SizeAndEase]) -> list[str]:
    """Whether variants with fewer parameters take a wider choice of rates, and learn more surely.

    And which variants do, the widest and the narrowest, the surest and the least sure.
    """
    said = [_size_and_ease(axis, sizes)] if len(curves) > 1 else []
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


def claim_of_ease(axis: Axis, curves: Sequence[RateCurve], search: Search) -> str | None:
    """What the notebooks claim of NiN, "with few parameters it is easy to tune", by the grid's baseline.

    It is set beside the larger variants of other models, by width and by chance to learn. None where the baseline
    is no NiN, or there are none.
    """
    by_id = {curve.variant_id: curve for curve in curves}
    models = {variant.variant_id: variant.model.name for variant in search.variants}
    ours = by_id.get(search.baseline or "")
    if ours is None or ours.num_params is None or models[ours.variant_id] != "nin":
        return None
    size = ours.num_params
    larger = [
        curve
        for curve in curves
        if models[curve.variant_id] != "nin" and curve.num_params and curve.num_params > size
    ]
    if not larger:
        return None
    beside = "; ".join(_ease(axis, curve) for curve in larger)
    return (
        f"“With few parameters it is easy to tune,” the notebooks say of NiN. The baseline here is "
        f"{_ease(axis, ours)}, the larger networks of other kinds are {beside}. {_easier_by_width(ours, larger)} "
        f"{_easier_by_chance(ours, larger)}"
    )


def _ease(axis: Axis, curve: RateCurve) -> str:
    """A curve's size, width and chance to learn, in words."""
    told = [f"{curve.num_params:,} parameters"] if curve.num_params else []
    if curve.width:
        told.append(f"{curve.width.shown(axis)} wide")
    if curve.chance:
        low, high = curve.chance.interval
        share = f"{100 * curve.chance.share:.0f} %"
        told.append(f"learns at {share} of the range, 95 % interval {100 * low:.0f} to {100 * high:.0f}")
    return f"{curve.name} ({', '.join(told)})"


def _easier_by_width(ours: RateCurve, others: Sequence[RateCurve]) -> str:
    if ours.width is None:
        return "Its width is not known."
    known = [curve.width for curve in others if curve.width]
    wider = sum(ours.width.size > width.bound for width in known)
    narrower = sum(ours.width.bound < width.size for width in known)
    return f"Its curve is wider than that of {wider} of these {len(known)}, and narrower than that of {narrower}."


def _easier_by_chance(ours: RateCurve, others: Sequence[RateCurve]) -> str:
    if ours.chance is None:
        return "Its chance to learn is not known."
    known = [curve.chance for curve in others if curve.chance]
    more = sum(ours.chance.share > chance.share for chance in known)
    less = sum(ours.chance.share < chance.share for chance in known)
    low, high = ours.chance.interval
    apart = sum(chance.interval[1] < low or chance.interval[0] > high for chance in known)
    verdict = (
        f"from {apart} of them the intervals part it"
        if apart
        else "the intervals overlap: so few rates do not tell"
    )
    return (
        f"It is likelier to learn at a rate drawn at random than {more}, and less likely than {less}; {verdict}."
    )


def _named(axis: Axis, extreme: str, curves: Sequence[tuple[Width, str]]) -> str:
    """The widest or narrowest curve, or the several that may be."""
    listed = "; ".join(f"{name}, {width.shown(axis)}" for width, name in curves)
    if len(curves) == 1:
        return f"The {extreme} curve within one point of its peak is that of {listed}."
    return f"Which curve is the {extreme} within one point of its peak is not known; it may be that of {listed}."


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
    untold = f"; {found.untold} are open, as widths are known within bounds" if found.untold else ""
    return (
        f"Of {math.comb(found.num_variants, 2)} pairs of variants, the one with fewer {more} in {found.easier} "
        f"and {less} in {found.harder}{untold} (Kendall's τ {tau}, {p}, n={found.num_variants}): {verdict}."
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
            "Pruned trials are on no curve, and not in the expected best: that is of trials that ran to their "
            "end, which the pruner let through, so that trials drawn at random would do worse. Where a pruned one "
            "was at chance level nobody knows whether it would have left it."
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
