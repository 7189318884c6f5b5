"""What the Markdown page makes of values of an analysis: the filters of its templates."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.interactions import Interaction
from nin_bench.analysis.lost_classes import LostClasses
from nin_bench.analysis.references import Comparison
from nin_bench.analysis.verdicts import Verdict
from nin_bench.metrics import METRICS
from nin_bench.report import text
from nin_bench.report.captions import EFFECTS, IN_SECTIONS
from nin_bench.report.comparison import SHOWN_HERE, comparison_tables
from nin_bench.report.cost_text import batches_tried, cost_tables, describe_machine, describe_settings
from nin_bench.report.remarks import describe_measuring, describe_reference, describe_trouble
from nin_bench.report.units import as_cells
from nin_bench.report.verdict_text import describe_verdict


def filters_of(analysis: Analysis) -> dict[str, Callable[..., Any]]:
    """The filters of a report's own templates."""
    return {
        "effect": _effect,
        "interval": _interval,
        "num_pairs": text.num_pairs,
        "in_words": lambda verdict: describe_verdict(verdict, analysis.names),
        "named": lambda label: analysis.names[label],
        "under_verdicts": lambda figures: [figure for figure in figures if figure["name"] in EFFECTS],
        "named_figures": lambda figures, name: [figure for figure in figures if figure["name"] == name],
        "others": lambda figures: [figure for figure in figures if figure["name"] not in EFFECTS | IN_SECTIONS],
        "picture": _picture,
        "percent": lambda share: f"{100 * share:.1f} %",
        "percent_value": lambda share: text.NOT_KNOWN if share is None else f"{100 * share:.1f}",
        "own_markdown": text.Markdown,
        "hundredths": lambda share: text.NOT_KNOWN if share is None else f"{100 * share:.2f}",
        "points": lambda share: text.NOT_KNOWN if share is None else _points([share]),
        "contrast_interval": _contrast_interval,
        "taken_for": _taken_for,
        "died": _died,
        "yes_or_no": lambda value: text.NOT_KNOWN if value is None else "yes" if value else "no",
        "listed": lambda names: text.NOT_KNOWN if names is None else ", ".join(names) or "none",
        "three_digits": text.three_digits,
        "residue": text.residue,
        "beside_published": _beside_published,
        "metric_spread": lambda spread, metric: text.metric_spread(spread, METRICS[metric].unit),
        "metric_title": lambda metric: METRICS[metric].title,
        "machine_line": describe_machine,
        "settings": describe_settings,
        "cause": describe_trouble,
        "reference_words": describe_reference,
        "measuring_words": describe_measuring,
        "comparison_tables": comparison_tables,
        "batches_tried": lambda costs: any(batches_tried(machine.rows) for machine in costs),
        "machine_tables": lambda costs: cost_tables(costs.rows, SHOWN_HERE if costs.of_grid else ()),
        "cells": lambda cells: text.Markdown(" | ".join(map(text.escape_markdown, cells))),
    }


def _picture(figure: Mapping[str, str]) -> text.Markdown:
    """The figure, which leads to the one that can be enlarged; title and name are ours."""
    title, name = figure["title"], figure["name"]
    return text.Markdown(f"[![{title}](figures/{name}.png)](figures/{name}.svg)")


def _effect(verdict: Verdict) -> str:
    return _shown(verdict)[0]


def _interval(verdict: Verdict) -> str:
    return _shown(verdict)[1]


def _shown(verdict: Verdict) -> tuple[str, str]:
    """Effect and interval, in the metric's unit or as a factor."""
    if verdict.effect is None:
        return text.NOT_KNOWN, text.NOT_KNOWN
    factor, margin = verdict.factor, verdict.margin or 0.0
    unit = None if factor else verdict.unit
    held_against = (factor, 1 / factor) if factor else (margin, -margin)
    effect, interval = as_cells(unit, verdict.effect, verdict.ends, held_against)
    return effect, interval or text.NOT_KNOWN


def _beside_published(entry: Comparison) -> tuple[str, str]:
    """Measured less published, and its interval."""
    if entry.difference is None:
        return text.NOT_KNOWN, text.NOT_KNOWN
    effect, interval = as_cells(METRICS[entry.metric].unit, entry.difference, entry.interval)
    return effect, interval or text.NOT_KNOWN


def _points(shares: Sequence[float]) -> str:
    return " to ".join(f"{100 * share:+.1f}" for share in shares).replace("-", "−")


def _contrast_interval(contrast: Interaction) -> str:
    if contrast.interval is None:
        return text.NOT_KNOWN
    return f"{_points(contrast.interval)} ({100 * (1 - contrast.level):.3g} %)"


def _taken_for(pairs: Sequence[tuple[str, str, float]]) -> str:
    return "; ".join(f"{true} for {predicted}, {100 * share:.0f}" for true, predicted, share in pairs) or "none"


def _died(row: LostClasses) -> str:
    """When, class by class; one number where all died together."""
    epochs = row.died_after
    if not epochs:
        return text.NOT_KNOWN
    if len(set(epochs.values())) == 1 and len(epochs) == len(row.dead_maps or []):
        return str(next(iter(epochs.values())))
    return ", ".join(f"{name} {epoch}" for name, epoch in epochs.items())
