"""Build the report of a search: a pure function of search.json and studies/, so that they give the same bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nin_bench.analysis.search.budget import Budget, budgets
from nin_bench.analysis.search.importances import Importances, importances
from nin_bench.analysis.search.rates import Axis, RateCurve, Width, rate_curves, search_axis
from nin_bench.analysis.search.studies import Search, read_search
from nin_bench.analysis.setting import compare_sections, environments
from nin_bench.analysis.tables import Spread
from nin_bench.errors import ResultsError
from nin_bench.files import to_json, write_atomically
from nin_bench.report import text
from nin_bench.report.glossary import explain_arguments
from nin_bench.report.look import Picture
from nin_bench.report.page import (
    digest_of,
    field_value,
    machine_and_software,
    plain,
    render_page,
    write_figures,
)
from nin_bench.report.plots import MAX_DRAWN
from nin_bench.report.search import plots
from nin_bench.report.search.plot_curves import draw_curves
from nin_bench.report.search.sentences import caveats, claim_of_ease, ease_of_tuning
from nin_bench.report.search.size import SizeAndEase, size_and_ease
from nin_bench.report.search.warnings import SearchWarning, find_warnings

SCHEMA = 1

FIGURES = {
    "search_curves": (
        "Validation accuracy against {axis}",
        "One panel per variant: the thick line is the mean over seeds, small points and thin lines are single "
        "seeds, the shaded stretch lies within one point of the peak; the other variants stand in grey behind. "
        "Lines break where a seed did not learn; its mark stands at the bottom. Under each name: the peak, where "
        "it lies, and how wide the stretch is: from what is shaded to the most it can be, where a value at which "
        "a seed failed ends it. Pruned seeds are grey, at what they had reached when they were stopped.",
    ),
    "search_learning": (
        "Where each variant learns",
        "A strip is filled to the share of seeds that learned, each {axis} tried standing for the part of the "
        "range that is nearest to it, so that the filled part of a strip is the chance to learn at one drawn at "
        "random, given on the right with its 95 % interval.",
    ),
    "search_budget": (
        "What fewer trials would have found",
        "The thick line is the expected best of k trials drawn at random from those of the search that ran to "
        "their end, the thin steps are the best so far in the order in which they were tried; the other variants' "
        "expected best stand in grey.",
    ),
    "search_importances": (
        "What each parameter decides",
        "Of the variance between trials, the part that each parameter explains alone and the part that they do "
        "together: on the left over all trials, on the right over those that learned.",
    ),
}
"""Title and how to read it, of each figure by name, in the page's order."""


@dataclass(frozen=True)
class Choice:
    """What the search found best of a variant."""

    variant_id: str
    name: str
    params: dict[str, Any] | None
    """None where no trial completed."""
    value: Spread
    """The objective over those of the best trial's seeds that learned; without any, the choice is arbitrary."""
    told: float | None
    """The objective as the search compares it: over all seeds, one that did not learn counting as the worst."""
    num_trials: int
    """Complete ones, of those asked for."""
    warnings: list[str]
    """What is wrong, in a few words each."""


@dataclass(frozen=True)
class Findings:
    """What both the page and its figures say."""

    search: Search
    choices: list[Choice]
    warnings: list[SearchWarning]
    axis: Axis | None
    curves: list[RateCurve]
    sizes: list[SizeAndEase]
    budgets: list[Budget]
    importances: list[Importances]

    @classmethod
    def of(cls, search: Search) -> "Findings":
        """Look for them in a search as read."""
        warnings, curves = find_warnings(search), rate_curves(search)
        return cls(
            search=search,
            choices=_choices(search, warnings),
            warnings=warnings,
            axis=search_axis(search.settings),
            curves=curves,
            sizes=size_and_ease(curves),
            budgets=budgets(search),
            importances=importances(search),
        )


def build_search_report(folder: Path, out: Path) -> Path:
    """Write search.md, search.json and figures/search_*.svg and *.png; each is seen whole or not at all.

    Args:
        folder: a results folder that was searched in, `<root>/<grid>/<profile>`.
        out: where the report goes; a run's report may lie there too.

    Returns:
        The path of search.md.

    Raises:
        ResultsError: there is no readable search.json, or `out` cannot be written or is the folder itself, where
            the report's search.json would take the place of the search's.
    """
    if out.resolve() == folder.resolve():
        raise ResultsError(f"{out}: holds the search itself; give its report another --out")
    findings = Findings.of(read_search(folder))
    pictures = draw_figures(findings)
    report = describe(findings, list(pictures))
    content = to_json(report)
    write_figures(pictures, out / "figures", FIGURES, digest_of(content))
    write_atomically(out / "search.json", content)
    page = out / "search.md"
    write_atomically(page, render_markdown(report))
    return page


def draw_figures(findings: Findings) -> dict[str, Picture]:
    """The figures that the studies can fill, by name."""
    search, axis, curves = findings.search, findings.axis, findings.curves
    drawn = {
        "search_curves": draw_curves(search, axis, curves) if axis else None,
        "search_learning": plots.draw_learning(axis, curves) if axis else None,
        "search_budget": plots.draw_budget(search.settings, findings.budgets),
        "search_importances": plots.draw_importances(list(search.settings.space), findings.importances),
    }
    return {name: picture for name, picture in drawn.items() if picture is not None}


def describe(findings: Findings, figures: Sequence[str]) -> dict[str, Any]:
    """Everything the page says, as plain data, raw and unrounded: the content of the report's search.json.

    Args:
        findings: what there is to say.
        figures: names of the figures that could be drawn.
    """
    search, axis = findings.search, findings.axis
    said: dict[str, Any] = plain({
        "schema": SCHEMA,
        "name": search.name,
        "profile": search.profile,
        "question": search.question,
        "search": search.settings.model_dump(),
        "not_repeated": search.names.not_repeated,
        "arguments": explain_arguments(search.names),
        "leader": asdict(leader) if (leader := _leader(search, findings.choices)) else None,
        "choices": [asdict(choice) for choice in findings.choices],
        "warnings": [asdict(warning) for warning in findings.warnings],
        "axis": axis and asdict(axis),
        "curves": [asdict(curve) for curve in findings.curves],
        "claim_of_ease": claim_of_ease(axis, findings.curves, search) if axis else None,
        "ease_of_tuning": ease_of_tuning(axis, findings.curves, findings.sizes) if axis else [],
        "least_learned": _least_learned(search),
        "size_and_ease": [asdict(found) for found in findings.sizes],
        "budgets": [asdict(budget) for budget in findings.budgets],
        "importances": [asdict(found) for found in findings.importances],
        "studies": [_study(study.model_dump(exclude={"best"})) for study in search.studies],
        "figures": [_caption(name, axis, search) for name in figures],
        "setting": _setting(search),
        "left_out": search.left_out,
        "caveats": caveats(search, findings.budgets, axis, findings.curves),
        "storage": search.storage,
    })  # fmt: skip
    return said


def _choices(search: Search, warnings: Sequence[SearchWarning]) -> list[Choice]:
    choices = []
    objective = search.settings.objective
    for study in search.studies:
        best = study.best_trial
        values = [run.measured(objective) for run in best.learned_runs] if best else []
        mine = [warning.kind for warning in warnings if study.variant_id in warning.variant_ids]
        choices.append(
            Choice(
                variant_id=study.variant_id,
                name=study.name,
                params={name: best.params[name] for name in search.settings.space} if best else None,
                value=Spread.of([value for value in values if value is not None]),
                told=best.value if best else None,
                num_trials=len(study.complete),
                warnings=list(dict.fromkeys(mine)),
            )
        )
    return choices


def _leader(search: Search, choices: Sequence[Choice]) -> Choice | None:
    """The choice that did best, of those that are not arbitrary."""
    sign = 1 if search.settings.higher_is_better else -1
    known = [choice for choice in choices if choice.value.n]
    return max(known, key=lambda choice: sign * (choice.told or 0.0), default=None)


def _study(study: dict[str, Any]) -> dict[str, Any]:
    """A study without its histories, of which the page shows the last epoch alone."""
    for trial in study["trials"]:
        for run in trial["runs"]:
            run["last_epoch"] = (run.pop("history") or [None])[-1]
    return study


def _setting(search: Search) -> dict[str, Any]:
    variants = [{**one.model_dump(), "label": search.names[one.label]} for one in search.variants]
    fixed, differing = compare_sections(variants)
    searched = search.settings.space
    return {
        "data": fixed["data"],
        "recipe": {name: value for name, value in fixed["recipe"].items() if name not in searched},
        "differing": [
            entry for entry in differing if entry["section"] == "data" or entry["field"] not in searched
        ],
        "environment": environments([search.environment]),
    }


def _least_learned(search: Search) -> float | None:
    """The lowest validation accuracy of a seed that counts as having learned; None where none did."""
    trials = (trial for study in search.studies for trial in study.complete)
    learned = [run for trial in trials for run in trial.runs if trial.has_learned(run)]
    accuracies = [run.measured("validation_accuracy") for run in learned]
    return min((accuracy for accuracy in accuracies if accuracy is not None), default=None)


def _caption(name: str, axis: Axis | None, search: Search) -> dict[str, str]:
    title, caption = (words.replace("{axis}", axis.title if axis else "") for words in FIGURES[name])
    num_variants = len(search.variants)
    if name == "search_budget" and search.settings.sampler == "grid":
        caption += (
            " The grid sampler tries values in ascending order, so that the best so far tells where in the range "
            "the best lies, and is flat behind it by construction: read what trials buy off the thick line."
        )
    if num_variants > MAX_DRAWN:
        caption += f" Drawn are the first {MAX_DRAWN} of {num_variants} variants, in the grid's order."
    return {"name": name, "title": title, "caption": caption}


def render_markdown(report: Mapping[str, Any]) -> str:
    """The page, from what the report's search.json holds."""
    by_points = report["search"]["objective"] == "validation_accuracy"

    def spread(value: Mapping[str, Any]) -> str:
        return (text.percent_spread if by_points else text.quantity_spread)(Spread(**value))

    axis = Axis(**report["axis"]) if report["axis"] else None
    filters: dict[str, Callable[..., str]] = {
        "spread": spread,
        "worth": lambda value: f"{100 * value:.1f}" if by_points else f"{value:.3f}",
        "own_markdown": text.Markdown,
        "tenths": lambda share: f"{100 * share:.1f}",
        "params": lambda params: ", ".join(f"{name} {_shown(value)}" for name, value in params.items()),
        "values": _values,
        "shown": _shown,
        "width": lambda width: Width(**width).shown(axis) if axis and width else text.NOT_KNOWN,
        "percent": lambda share: f"{100 * share:.0f} %",
        "interval": lambda ends: f"{100 * ends[0]:.0f}–{100 * ends[1]:.0f} %",
        "minutes": lambda seconds: f"{seconds / 60:,.1f}",
        "milliseconds": lambda seconds: f"{1000 * seconds:,.0f}",
    }
    most = max((len(budget["expected_best"]) for budget in report["budgets"]), default=0)
    context = {
        **report,
        "epochs": _length(report["search"]["epochs"]),
        "axis_title": axis.title if axis else "",
        "environment": machine_and_software(report["setting"]["environment"]),
        "sizes": [*(2**power for power in range(most.bit_length()) if 2**power < most), most] if most else [],
    }
    return render_page("search.md.j2", context, filters)


def _length(epochs: int | None) -> str:
    """How long trials train."""
    return "as many epochs as a run" if epochs is None else f"{epochs} {'epoch' if epochs == 1 else 'epochs'}"


def _shown(value: Any) -> str:
    """A parameter's value to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else field_value(value)


def _values(searched: Any) -> str:
    """Where a parameter is searched."""
    if isinstance(searched, list | tuple):
        return ", ".join(_shown(value) for value in searched)
    return f"{searched['low']:g} to {searched['high']:g}{' on a log scale' if searched['log'] else ''}"
