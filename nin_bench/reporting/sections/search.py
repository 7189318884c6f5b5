"""The page of a search: what is best for each variant, how easily each is tuned, what it took."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nin_bench.analysis.search.analysis import Choice, SearchAnalysis
from nin_bench.analysis.search.budget import Budget
from nin_bench.analysis.search.rates import Axis, Chance, RateCurve, Width
from nin_bench.analysis.tables import Spread
from nin_bench.errors import counted
from nin_bench.reporting import blocks as page
from nin_bench.reporting import text
from nin_bench.reporting.sections.setting import (
    arguments,
    differing,
    left_out,
    machine_and_software,
    recipe_fields,
)
from nin_bench.results.studies import Range


def best(analysis: SearchAnalysis) -> list[page.Block]:
    """The question, how it was searched, and the best recipe of each variant."""
    settings = analysis.settings
    objective = settings.objective_title
    trials = counted(settings.trials, "trial")
    seeds = counted(len(settings.seeds), "seed")
    most = "" if settings.pruner == "none" else "at most "
    how = (
        f"Every variant had {trials} of {most}{_epochs(settings.epochs)} on {seeds}, sampler "
        f"{settings.sampler}, pruner {settings.pruner}. The best has the {_extreme(analysis)} {objective}, mean "
        "over its seeds; a seed that diverged or ended at chance level counts as "
        f"{'0' if settings.in_points else 'ten times the loss of a guess'}. No test image was read."
    )
    if any(choice.tuned not in (None, choice.params) for choice in analysis.choices):
        how += (
            " The tuned grid takes the top of a curve through these means, and keeps away from values at which a "
            "network failed."
        )
    headings = (
        "variant", "best trial", f"{objective}, {_unit(analysis)}", "tuned grid takes", "complete trials",
        "warnings of its own",
    )  # fmt: skip
    rows = tuple(
        (
            choice.name, _params(choice), _spread(analysis, choice.value), _listed(choice.tuned),
            f"{choice.num_trials} of {settings.trials}",
            "; ".join(choice.warnings) or "none",
        )
        for choice in analysis.choices
    )  # fmt: skip
    found: list[page.Block] = [
        page.Paragraph((page.Strong("Question."), f" {text.sentence(analysis.question) or 'Not stated.'}")),
        _leader(analysis),
        page.Table(headings, rows, "llrlrl"),
        page.Paragraph(f"{how} Mean ± standard deviation over the n seeds of the best trial that learned."),
    ]
    if analysis.warnings:
        items = tuple(warning.sentence for warning in analysis.warnings)
        found.append(page.Section("Warnings", (page.Bullets(items),)))
    return found


def _leader(analysis: SearchAnalysis) -> page.Block:
    leader = analysis.leader
    if leader is None:
        return page.Paragraph((page.Strong("No trial has learned anything yet: there is nothing to choose."),))
    found = f"{_spread(analysis, leader.value)} with {_params(leader)}"
    best = f"the {_extreme(analysis)} {analysis.settings.objective_title} in {_unit(analysis)}"
    said = f"{leader.name} has {best}, {found}"
    if any(warning.kind == "seeds disagree" for warning in analysis.warnings):
        said += ", but seeds disagree more than variants do, so that their order may be luck"
    return page.Paragraph(f"{said}.")


def ease(analysis: SearchAnalysis) -> list[page.Block]:
    """How easily each variant is tuned over the axis that was searched."""
    axis = analysis.axis
    if axis is None or not any(curve.points for curve in analysis.curves):
        return []
    needed = {budget.variant_id: budget.trials_needed for budget in analysis.budgets}
    columns: list[page.Column[RateCurve]] = [
        ("parameters", lambda curve: page.NOT_KNOWN if curve.num_params is None else f"{curve.num_params:,}"),
        (f"peak at {axis.name}", lambda curve: _shown(curve.peak.rate) if curve.peak else page.NOT_KNOWN),
        (
            "validation accuracy there, %",
            lambda curve: text.percent_spread(curve.peak.accuracy) if curve.peak else page.NOT_KNOWN,
        ),
        ("width within one point", lambda curve: curve.width.shown(axis) if curve.width else page.NOT_KNOWN),
        (f"learns at a random {axis.name} (95 % interval)", lambda curve: _learns(curve.chance)),
        ("values tried", lambda curve: str(curve.chance.num_rates) if curve.chance else page.NOT_KNOWN),
        ("trials to come within one point", lambda curve: str(needed.get(curve.variant_id) or page.NOT_KNOWN)),
    ]
    least = analysis.least_learned
    lowest = "" if least is None else f" The least accurate network that learned reached {100 * least:.1f} %."
    how = (
        "Width: the stretch around the peak whose accuracy lies within one point of it, "
        f"interpolated{f' over the logarithm of the {axis.title}' if axis.log else ''}; ≥ if it reaches the "
        "outermost value tried. A value at which a seed failed ends the stretch: the width is then given from "
        f"the least to the most that it can be. A network learns if it did not fail.{lowest} At random: drawn "
        f"{'log-uniformly' if axis.log else 'uniformly'} from {_shown(axis.low)} to {_shown(axis.high)}, each "
        "value tried standing for the part of that range nearest to it; the interval is Wilson's."
    )
    found: list[page.Block] = (
        [page.Bullets(tuple(said))] if (said := list(ease_of_tuning(axis, analysis.curves))) else []
    )
    found += page.table_of(columns, analysis.curves, [curve.name for curve in analysis.curves])
    figures = (page.Figure("search_curves"), page.Figure("search_learning"))
    return [page.Section("How easy each is to tune", (*found, page.Paragraph(how), *figures))]


def ease_of_tuning(axis: Axis, curves: Sequence[RateCurve]) -> Iterator[str]:
    """Which variants take the widest choice of rates and which the narrowest, and which learn most surely."""
    wide = [(curve.width, curve.name) for curve in curves if curve.width and curve.connected]
    if len(wide) > 1:
        # one that is surely wider than another is not the narrowest, and the other not the widest
        widest = [pair for pair in wide if pair[0].bound >= max(width.size for width, _ in wide)]
        narrowest = [pair for pair in wide if pair[0].size <= min(width.bound for width, _ in wide)]
        yield f"{_named(axis, 'widest', widest)} {_named(axis, 'narrowest', narrowest)}"
    sure = [(curve.chance, curve.name) for curve in curves if curve.chance]
    if len(sure) > 1:
        (least, rarest), (most, surest) = (end(sure, key=lambda pair: pair[0].share) for end in (min, max))
        if least.share == most.share:
            yield f"At a random {axis.title} all are as likely to learn: {_learns(most)}."
        else:
            overlap = most.interval[0] <= least.interval[1]
            verdict = "overlap: so few values do not tell which is surer" if overlap else "do not overlap"
            yield (
                f"At a random {axis.title}, {surest} is the likeliest to learn, {_learns(most)}, and {rarest} "
                f"the least likely, {_learns(least)}. The two intervals {verdict}."
            )


def _named(axis: Axis, extreme: str, curves: Sequence[tuple[Width, str]]) -> str:
    listed = "; ".join(f"{name}, {width.shown(axis)}" for width, name in curves)
    if len(curves) == 1:
        return f"The {extreme} curve within one point of its peak: {listed}."
    return f"Which curve is the {extreme} is not known; it may be that of {listed}."


def budget(analysis: SearchAnalysis) -> list[page.Block]:
    """What the trials took, and what fewer of them would have found."""
    found: list[page.Block] = [page.Figure("search_budget")]
    most = max((len(one.expected_best) for one in analysis.budgets), default=0)
    if most:
        sizes = [*(2**power for power in range(most.bit_length()) if 2**power < most), most]
        rows = tuple(
            (one.name, *(_worth(analysis, one.expected_best, size) for size in sizes)) for one in analysis.budgets
        )
        how = (
            f"Expected best {analysis.settings.objective_title}, {_unit(analysis)}, of k trials drawn at random "
            "without replacement from those that ran to their end (Tang et al., ACL 2020)."
        )
        found += [page.Table(("variant", *(f"k = {size}" for size in sizes)), rows), page.Paragraph(how)]
    spent: list[page.Column[Budget]] = [
        ("complete", lambda one: f"{one.complete} of {one.asked}"),
        ("pruned", lambda one: str(one.pruned)),
        ("crashed", lambda one: str(one.failed)),
        ("diverged", lambda one: str(one.diverged)),
        ("at chance level", lambda one: str(one.at_chance)),
        ("epochs", lambda one: f"{'≥ ' if one.num_unknown else ''}{one.epochs:,}"),
        ("device minutes", lambda one: f"{'≥ ' if one.num_unknown else ''}{one.device_seconds / 60:,.1f}"),
        ("overhead per trial, ms", _overhead),
    ]
    found += page.table_of(spent, analysis.budgets, [one.name for one in analysis.budgets])
    how = (
        "A crashed trial is replaced by another with the same parameters. Diverged and at chance level: "
        "complete trials with such a seed. Epochs and device minutes of training and evaluating are summed "
        "over seeds; ≥ if a trial died before it could tell. Overhead: the rest of a trial's time, median."
    )
    return [page.Section("Budget", (*found, page.Paragraph(how)))]


def _worth(analysis: SearchAnalysis, values: Sequence[float], size: int) -> str:
    if size > len(values):
        return page.NOT_KNOWN
    return f"{100 * values[size - 1]:.1f}" if analysis.settings.in_points else f"{values[size - 1]:.3f}"


def _overhead(one: Budget) -> str:
    found = one.overhead
    if found is None:
        return page.NOT_KNOWN
    return f"{1000 * found.median_seconds:,.0f} (at most {1000 * found.max_seconds:,.0f}, n={found.n})"


def importance(analysis: SearchAnalysis) -> list[page.Block]:
    """How much of the difference between trials each parameter explains."""
    if not analysis.importances:
        return []
    names = list(analysis.settings.space)

    def shares(found: dict[str, float] | None) -> tuple[str, ...]:
        if found is None:
            return (page.NOT_KNOWN,) * (len(names) + 1)
        return tuple(
            f"{100 * share:.0f} %" for share in (*(found[name] for name in names), 1 - sum(found.values()))
        )

    rows = tuple(
        (
            one.name, str(one.num_trials), *shares(one.shares), str(one.num_learned),
            *shares(one.shares_given_learned),
        )
        for one in analysis.importances
    )  # fmt: skip
    headings = ("variant", "complete trials", *names, "together", "that learned", *names, "together")
    how = (
        "Functional ANOVA (Hutter et al., ICML 2014): the part of the variance that a parameter explains "
        "alone, and what parameters do together. Over all complete trials this is mostly what makes a network "
        "learn; over those of which every seed learned, what makes one better. With fewer than some dozens of "
        "trials it is a hint."
    )
    blocks = (page.Figure("search_importances"), page.Table(headings, rows), page.Paragraph(how))
    return [page.Section("Importance of each parameter", blocks)]


def setting(analysis: SearchAnalysis) -> list[page.Block]:
    """What was searched and held fixed, what to bear in mind, how to look further."""
    settings, found = analysis.settings, analysis.setting
    searched = page.fields({name: _values(values) for name, values in settings.space.items()})
    search = page.fields({
        "trials": str(settings.trials), "seeds": text.number_ranges(settings.seeds),
        "epochs": _epochs(settings.epochs),
        "sampler": f"{settings.sampler}, seed {settings.sampler_seed}", "pruner": settings.pruner,
        settings.direction: settings.objective_title,
    })  # fmt: skip
    rows = [
        ("Searched", searched),
        ("Search", search),
        ("Data", page.fields({name: text.field_value(value, name) for name, value in found.data.items()})),
        ("Recipe of a run", recipe_fields(found.recipe)),
        *((title, page.fields(values)) for title, values in machine_and_software(found.environment).items()),
    ]
    blocks: list[page.Block] = [page.Table(("", ""), tuple(rows), "ll")]
    if found.differing:
        blocks += differing(found.differing, analysis.names)
    blocks += [page.Bullets(tuple(caveats(analysis)))]
    if items := tuple(arguments(analysis.names)):
        blocks.append(page.Details("What the names say", (page.Bullets(items),)))
    return [page.Section("Setting", tuple(blocks)), *left_out(analysis.left_out), *_again(analysis)]


def _again(analysis: SearchAnalysis) -> list[page.Block]:
    local = analysis.storage == "sqlite"
    address = "sqlite:///RESULTS_DIR/studies.db" if local else "STORAGE"
    lines = [f"optuna-dashboard {address}", "python -m nin_bench report RESULTS_DIR"]
    where = "" if local else f" STORAGE is the {analysis.storage} address that the search was given by --storage."
    said = (
        f"RESULTS_DIR is the search's results folder.{where} The same studies give the same page; ",
        page.Link("search.json", "search.json"),
        " holds everything on it, unrounded. The studies are named:",
    )
    studies = tuple(f"{study.name}: {study.study_name}" for study in analysis.studies)
    return [
        page.Section(
            "Look at the studies yourself",
            (page.CodeBlock("\n".join(lines)), page.Paragraph(said), page.Bullets(studies)),
        )
    ]


def caveats(analysis: SearchAnalysis) -> list[str]:
    """What to bear in mind beside the warnings."""
    settings, axis = analysis.settings, analysis.axis
    found = [
        "The best of several is chosen and shown by the same validation images, which flatters it: run the "
        "tuned grid with fresh seeds, and believe its test accuracy.",
        "Deviations are over the search's seeds; they say nothing of other values of what was searched.",
        "Device time was taken beside whatever else was training: no claim about speed follows from it.",
    ]
    if settings.sampler == "tpe":
        found.append(
            "The tpe sampler looks where it has found something: the best of k of its trials, drawn at random, "
            "understates what the sampler finds with k."
        )
    if any(one.pruned for one in analysis.budgets):
        found.append(
            "Pruned trials are on no curve, and not in the expected best: the others are those which the "
            "pruner let through. Whether a pruned one would have left chance level is not known."
        )
    if len(settings.space) > 1 and axis:
        found.append(
            f"At each {axis.title} the curve takes the best of the other parameters' values, and the chance to "
            "learn is over those that were tried there."
        )
    if axis and any(curve.peak and not curve.connected for curve in analysis.curves):
        found.append(
            "Other parameters vary from trial to trial too, so that no line joins the trials, and a curve is "
            "at least as wide as the stretch between the values that came within one point of the peak."
        )
    if any(curve.num_params is None for curve in analysis.curves):
        found.append("What is searched changes the number of parameters.")
    return found


def _unit(analysis: SearchAnalysis) -> str:
    return "%" if analysis.settings.in_points else "nats"


def _extreme(analysis: SearchAnalysis) -> str:
    return "highest" if analysis.settings.direction == "maximize" else "lowest"


def _spread(analysis: SearchAnalysis, spread: Spread) -> str:
    return text.percent_spread(spread) if analysis.settings.in_points else text.quantity_spread(spread)


def _learns(chance: Chance | None) -> str:
    if chance is None:
        return page.NOT_KNOWN
    low, high = chance.interval
    return f"{100 * chance.share:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"


def _params(choice: Choice) -> str:
    shown = _listed(choice.params)
    return shown if choice.value.n or not choice.params else f"{shown} (arbitrary)"


def _listed(params: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in params.items()) if params else page.NOT_KNOWN


def _epochs(epochs: int | None) -> str:
    """How long trials train."""
    return "as many epochs as a run" if epochs is None else counted(epochs, "epoch")


def _shown(value: Any) -> str:
    """A parameter's value to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else text.field_value(value)


def _values(searched: Any) -> str:
    """What is tried of a parameter."""
    if isinstance(searched, Range):
        return f"{searched.low:g} to {searched.high:g}{' on a log scale' if searched.log else ''}"
    return ", ".join(_shown(value) for value in searched)
