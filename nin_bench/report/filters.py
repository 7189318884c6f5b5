"""What the Markdown page makes of values of report.json: the filters of its templates."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nin_bench.metrics import METRICS
from nin_bench.report import text
from nin_bench.report.captions import EFFECTS, IN_SECTIONS
from nin_bench.report.comparison import SHOWN_HERE, comparison_tables
from nin_bench.report.cost_text import batches_tried, cost_tables, describe_machine, describe_settings
from nin_bench.report.tables import Spread


def filters_of(report: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """The filters of a report's own templates."""
    return {
        "effect": _effect,
        "interval": _interval,
        "num_pairs": text.num_pairs,
        "named": lambda label: report["names"].get(label, label),
        "under_verdicts": lambda figures: [figure for figure in figures if figure["name"] in EFFECTS],
        "named_figures": lambda figures, name: [figure for figure in figures if figure["name"] == name],
        "others": lambda figures: [figure for figure in figures if figure["name"] not in EFFECTS | IN_SECTIONS],
        "picture": _picture,
        "percent": lambda share: f"{100 * share:.1f} %",
        "percent_value": lambda share: text.NOT_KNOWN if share is None else f"{100 * share:.1f}",
        "points": lambda share: text.NOT_KNOWN if share is None else _points([share]),
        "contrast_interval": _contrast_interval,
        "taken_for": _taken_for,
        "died": _died,
        "yes_or_no": lambda value: text.NOT_KNOWN if value is None else "yes" if value else "no",
        "listed": lambda names: text.NOT_KNOWN if names is None else ", ".join(names) or "none",
        "test_set_error": _test_set_error,
        "three_digits": text.three_digits,
        "residue": text.residue,
        "in_unit": lambda value, metric: _in_unit(
            value if isinstance(value, list) else [value], {"metric": metric, "factor": None}
        ),
        "metric_spread": lambda spread, metric: text.metric_spread(Spread(**spread), METRICS[metric].unit),
        "metric_title": lambda metric: METRICS[metric].title,
        "machine_line": describe_machine,
        "settings": describe_settings,
        "comparison_tables": comparison_tables,
        "batches_tried": lambda costs: any(batches_tried(machine["rows"]) for machine in costs),
        "machine_tables": lambda costs: cost_tables(costs["rows"], SHOWN_HERE if costs["of_grid"] else ()),
        "cells": lambda cells: text.Markdown(" | ".join(map(text.escape_markdown, cells))),
    }


def _picture(figure: Mapping[str, str]) -> text.Markdown:
    """The figure, which leads to the one that can be enlarged; title and name are ours."""
    title, name = figure["title"], figure["name"]
    return text.Markdown(f"[![{title}](figures/{name}.png)](figures/{name}.svg)")


def _effect(verdict: Mapping[str, Any]) -> str:
    """What decided: an effect in the metric's unit, or who did better how often."""
    if ranking := verdict["details"].get("ranking"):
        return f"by rank: {ranking['wins']} won, {ranking['ties']} tied, {ranking['losses']} lost"
    return _in_unit([verdict["effect"]], verdict)


def _interval(verdict: Mapping[str, Any]) -> str:
    """Of the effect; of the share of pairs in which the claim holds, where ranks decided."""
    if ranking := verdict["details"].get("ranking"):
        low, high = ranking["held_interval"]
        return f"holds in {100 * low:.0f} to {100 * high:.0f} % of pairs"
    return _in_unit(verdict["interval"], verdict)


def _in_unit(values: Sequence[float | None] | None, verdict: Mapping[str, Any]) -> str:
    """An effect, or both ends of its interval, in the metric's unit or as a factor."""
    known = [value for value in values or () if value is not None]
    if not known:
        return text.NOT_KNOWN
    unit = METRICS[verdict["metric"]].unit
    if verdict["factor"] is not None:
        shown, name = [f"×{value:.3g}" for value in known], ""
    elif unit == "share":
        return f"{_points(known)} points"
    else:
        shown = [f"{value:+,.3g}" if abs(value) < 1000 else f"{value:+,.0f}" for value in known]
        name = "" if unit == "count" else f" {unit}"
    return " to ".join(shown).replace("-", "−") + name


def _points(shares: Sequence[float]) -> str:
    return " to ".join(f"{100 * share:+.1f}" for share in shares).replace("-", "−")


def _contrast_interval(contrast: Mapping[str, Any]) -> str:
    if contrast["interval"] is None:
        return text.NOT_KNOWN
    return f"{_points(contrast['interval'])} ({100 * (1 - contrast['level']):.3g} %)"


def _taken_for(pairs: Sequence[tuple[str, str, float]]) -> str:
    return "; ".join(f"{true} for {predicted}, {100 * share:.0f}" for true, predicted, share in pairs) or "none"


def _died(row: Mapping[str, Any]) -> str:
    """When, class by class; one number where all died together."""
    epochs = row["died_after"]
    if not epochs:
        return text.NOT_KNOWN
    if len(set(epochs.values())) == 1 and len(epochs) == len(row["dead_maps"]):
        return str(next(iter(epochs.values())))
    return ", ".join(f"{name} {epoch}" for name, epoch in epochs.items())


def _test_set_error(error: Mapping[str, Any]) -> str:
    """What the images leave open, beside what the seeds do."""
    images = f"The {error['num_images']:,} test images leave a standard error of their own"
    of_images = f"{100 * error['images_error']:.2f} points"
    if error["seeds_error"] is None:
        return f"{images}: {of_images}, over one pair of healthy networks."
    return (
        f"{images}: {of_images}, where the {error['num_seeds']} pairs of healthy networks leave "
        f"{100 * error['seeds_error']:.2f}; both together {100 * error['both_error']:.2f}."
    )
