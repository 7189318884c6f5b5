"""What should keep a careful reader from believing a search, in sentences. Plain text: a page escapes it."""

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from nin_bench.analysis.search.budget import budgets
from nin_bench.analysis.search.rates import Axis, RateCurve, axis_of, rate_curves, search_axis
from nin_bench.analysis.search.studies import Search, Study, Trial
from nin_bench.results.studies import SearchSettings

EDGE = 0.05
"""A value lies on the edge of its range within this part of it, on the range's own scale."""

Kind = Literal[
    "no trial completed",
    "nothing learned",
    "a seed failed",
    "on the edge",
    "best rates apart",
    "fewer trials",
    "one seed",
    "seeds disagree",
    "other epochs",
    "budgets differ",
]
"""What is wrong, in as many words as a table has room for."""


@dataclass(frozen=True)
class SearchWarning:
    """One reason for doubt."""

    kind: Kind
    variant_ids: list[str]
    """Whose best is in doubt; none where the search itself is."""
    sentence: str


def find_warnings(search: Search) -> list[SearchWarning]:
    """Every reason to doubt what a search found: of single variants first, in the grid's order."""
    axis, curves = search_axis(search.settings), rate_curves(search)
    by_study = itertools.zip_longest(search.studies, curves)
    found = [warning for study, curve in by_study for warning in _of_study(search.settings, study, axis, curve)]
    return [*found, *_of_all(search)]


def _of_study(
    settings: SearchSettings, study: Study, axis: Axis | None, curve: RateCurve | None
) -> Iterator[SearchWarning]:
    def warning(kind: Kind, sentence: str) -> SearchWarning:
        return SearchWarning(kind, [study.variant_id], f"{study.name}: {sentence}")

    best, complete = study.best_trial, study.complete
    if complete and not any(trial.learned_runs for trial in complete):
        num_diverged = sum(trial.diverged for trial in complete)
        ends = {"diverged": num_diverged, "at chance level": len(complete) - num_diverged}
        how = ", ".join(f"{count} {end}" for end, count in ends.items() if count)
        yield warning(
            "nothing learned",
            f"none of its {len(complete)} complete trials learned ({how}), so its best is arbitrary; search other "
            "values.",
        )
    elif best is not None and (num_lost := len(best.runs) - len(best.learned_runs)):
        yield warning(
            "a seed failed",
            f"{num_lost} of the {len(best.runs)} seeds of its best trial diverged or ended at chance level, so "
            "that it is no safe choice; search other values.",
        )
    if best is not None and best.learned_runs:
        for name in settings.space:
            if sentence := _on_the_edge(settings, best, name):
                yield warning("on the edge", sentence)
    if axis and curve and (sentence := _rates_apart(axis, curve)):
        yield warning("best rates apart", sentence)
    if 0 < len(study.counted) < settings.trials:
        yield warning(
            "fewer trials",
            f"{len(study.counted)} of {settings.trials} trials are there; search again, and the rest is done.",
        )


def _on_the_edge(settings: SearchSettings, best: Trial, name: str) -> str | None:
    axis = axis_of(settings, name)
    if axis is None:
        return None
    value = axis.of(best)
    low, high = axis.scaled(axis.low), axis.scaled(axis.high)
    place = (axis.scaled(value) - low) / (high - low)
    # no field of a recipe goes below 0, so that an end there is none that can be moved
    if place <= EDGE and axis.low != 0:
        end = "lower"
    elif place >= 1 - EDGE:
        end = "upper"
    else:
        return None
    return (
        f"its best {axis.title}, {value:.3g}, lies at the {end} end of what was searched, {axis.low:g} to "
        f"{axis.high:g}: a better one may lie beyond; widen the range."
    )


def _rates_apart(axis: Axis, curve: RateCurve) -> str | None:
    ranked = sorted(
        (point for point in curve.points if point.accuracy.n), key=lambda point: -(point.accuracy.mean or 0)
    )
    if not axis.log or len(ranked) < 2:
        return None
    low, high = sorted(point.rate for point in ranked[:2])
    decades = math.log10(high / low)
    if decades < 1 - 1e-9:
        return None
    between = sum(low < point.rate < high for point in curve.points)
    why = (
        f"and {between} between them did worse: the curve has two peaks, or luck made one of them"
        if between
        else "and none was tried between them: the steps are too coarse to find the peak"
    )
    values = f"{low:.3g} and {high:.3g}"
    return f"its two best values of the {axis.title}, {values}, lie {decades:.1f} decades apart, {why}."


def _of_all(search: Search) -> Iterator[SearchWarning]:
    settings = search.settings
    everyone = [variant.variant_id for variant in search.config.variants]
    if unknown := [study for study in search.studies if not study.complete]:
        names = ", ".join(study.name for study in unknown)
        ids = [study.variant_id for study in unknown]
        yield SearchWarning("no trial completed", ids, f"{names}: no trial ran to its end; search again.")
    if len(settings.seeds) == 1:
        yield SearchWarning(
            "one seed",
            [],
            "Every trial trained one seed: a better value may only be a lucky one; search with more.",
        )
    if sentence := _seeds_disagree(search):
        yield SearchWarning("seeds disagree", [], sentence)
    others = [key for key in everyone if settings.run_epochs.get(key, settings.epochs) != settings.epochs]
    if settings.epochs is not None and others:
        yield SearchWarning("other epochs", others, _other_epochs(search, others))
    if settings.pruner != "none" and (sentence := _budgets_differ(search)):
        yield SearchWarning("budgets differ", [], sentence)


def _other_epochs(search: Search, variant_ids: Sequence[str]) -> str:
    settings = search.settings
    names = [study.name for study in search.studies if study.variant_id in variant_ids]
    whose = "" if len(names) == len(search.studies) else f" of {'; '.join(names)}"
    lengths = sorted({settings.run_epochs[key] for key in variant_ids})
    return (
        f"Trials train for {settings.epochs} epochs, and the run{whose} for {' or '.join(map(str, lengths))}: "
        "what is best for one length need not be for the other."
    )


def _budgets_differ(search: Search) -> str | None:
    spent = [(budget.epochs, budget.name) for budget in budgets(search) if budget.epochs]
    if not spent:
        return None
    (least, frugal), (most, lavish) = min(spent), max(spent)
    if least == most:
        return None
    return (
        f"The {search.settings.pruner} pruner stops trials early, so that the epochs spent differ: from {least:,} "
        f"({frugal}) to {most:,} ({lavish}), a factor of {most / least:.2g}."
    )


def _seeds_disagree(search: Search) -> str | None:
    """Whether the deviation over seeds, pooled over the best trials, is larger than that of the best values.

    One variant that lies apart says nothing of the others' order, so of four or more the one farthest from their
    median is left out.
    """
    best = [trial for study in search.studies if (trial := study.best_trial) is not None]
    seeds = [[run.measured(search.settings.objective) for run in trial.learned_runs] for trial in best]
    values = [known for found in seeds if (known := [value for value in found if value is not None])]
    deviations = [(len(found) - 1, statistics.variance(found)) for found in values if len(found) > 1]
    if len(values) < 2 or not deviations:
        return None
    freedom = sum(n for n, _ in deviations)
    over_seeds = math.sqrt(math.fsum(n * variance for n, variance in deviations) / freedom)
    means = [statistics.fmean(found) for found in values]
    centre = statistics.median(means)
    compared = sorted(means, key=lambda mean: abs(mean - centre))[: max(3, len(means) - 1)]
    over_variants = statistics.stdev(compared)
    if over_seeds <= over_variants:
        return None
    which = f"{len(compared)} of the {len(means)} variants, one lying apart"
    if len(compared) == len(means):
        which = f"the {len(means)} variants"
    scale, unit = (100, "points") if search.settings.in_points else (1, "nats")
    return (
        f"Seeds disagree more than variants do: the best trials' {search.settings.objective_title} "
        f"deviates by {scale * over_seeds:.2g} {unit} over seeds ({freedom} degrees of freedom), and by "
        f"{scale * over_variants:.2g} over {which}: their order may be luck."
    )
