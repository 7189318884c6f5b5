"""Build a report: a pure function of grid.json and records, so that the same records give the same bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nin_bench.files import to_json, write_atomically
from nin_bench.metrics import METRICS
from nin_bench.report import cost_plots, plots, tables, text
from nin_bench.report.cost_text import cost_tables, describe_machine, describe_settings
from nin_bench.report.costs import MachineCosts, compare_costs
from nin_bench.report.curves import chance_level, escape_curves, known_epochs, learning_curves
from nin_bench.report.foretold import compare_foretold
from nin_bench.report.grid_file import check_grid_file
from nin_bench.report.html.page import render_html
from nin_bench.report.hypotheses import judge
from nin_bench.report.lock import Lock
from nin_bench.report.look import Picture
from nin_bench.report.page import digest_of, machine_and_software, plain, render_page, write_figures
from nin_bench.report.setting import caveats, describe_setting
from nin_bench.report.tables import VariantRow
from nin_bench.results import Results, load_results

SCHEMA = 1

CURVES = ("validation_accuracy", "train_loss")
"""The history columns that are shown epoch by epoch."""

FIGURES = {
    "learning_curves": (
        "Validation accuracy by epoch",
        "One panel per variant: the thick line is the mean of its healthy seeds, the band their range, thin "
        "lines are single seeds, dashed ones those that failed or collapsed; the other variants' means stand "
        "in grey behind.",
    ),
    "training_loss": (
        "Training loss by epoch",
        "Panels, lines and bands as for validation accuracy; a line that stays on the dotted one has "
        "learned no more than how often each class occurs.",
    ),
    "accuracy_against_costs": (
        "Accuracy against parameters and MACs",
        "Up and to the left is better: large marks are means of healthy seeds with ± one standard deviation, "
        "small ones single seeds, hollow triangles at the bottom seeds that end below the axis, and "
        "the dashed line joins the variants that no other of the grid beats at the same cost.",
    ),
    "escape": (
        "When cells leave chance level",
        "Each strip fills from nothing to all of a variant's cells as they escape; one that never fills has "
        "cells that learned nothing, and the count on the right says how many did.",
    ),
}
"""Title and how to read it, of each figure that records fill, by name, in the page's order."""

COST_FIGURES = {
    "cost_shares": (
        "Where parameters, MACs and time sit",
        "Percent of each variant's total, which stands on the right, by kind of layer; where a kind's share of "
        "the time is larger than its share of the MACs, its MACs are dear.",
    ),
    "roofline": (
        "Roofline",
        "Each mark is a layer in its forward pass, the larger the more time it takes. The line is what the "
        "machine can do at most: below its slope a layer waits for memory, below its flat part for arithmetic; "
        "how far a mark lies under the line is what is left to gain. A mark above it worked in caches that are "
        "faster than memory. Layers without MACs are not drawn.",
    ),
}
"""Likewise, of those that costs fill; they follow after the others."""


@dataclass(frozen=True)
class Findings:
    """What both the page and its figures say."""

    results: Results
    rows: list[VariantRow]
    """The comparison table."""
    epochs: dict[str, pd.DataFrame]
    """`known_epochs` of validation accuracy and training loss."""
    curves: dict[str, pd.DataFrame]
    """`learning_curves` of the same."""
    escapes: pd.DataFrame
    """`escape_curves`."""
    fronts: dict[str, list[VariantRow]]
    """The Pareto front over all variants, by cost."""
    chance: dict[str, float | None]
    """`loss` and `accuracy` of a guess that never looks at the image."""
    costs: list[MachineCosts]
    """`compare_costs`."""

    @classmethod
    def of(cls, results: Results) -> "Findings":
        """Look for them in a results folder as read."""
        rows = tables.compare_variants(results)
        return cls(
            results=results,
            rows=rows,
            epochs={name: known_epochs(results, name) for name in CURVES},
            curves={name: learning_curves(results, name) for name in CURVES},
            escapes=escape_curves(results),
            fronts={cost: tables.pareto_front(rows, cost) for cost in ("num_params", "num_macs")},
            chance={name: chance_level(results, f"chance_{name}") for name in ("loss", "accuracy")},
            costs=compare_costs(results),
        )


def build_report(folder: Path, out: Path) -> Path:
    """Write report.md, report.json, report.html and figures/*.svg and *.png; each is seen whole or not at all.

    Args:
        folder: a results folder, `<root>/<grid>/<profile>`.
        out: where the report goes. Figures of an earlier report that this one lacks are removed.

    Returns:
        The path of report.md.

    Raises:
        ResultsError: there is no readable grid.json, or `out` cannot be written.
    """
    check_grid_file(folder)
    findings = Findings.of(load_results(folder))
    pictures = draw_figures(findings)
    report = describe(findings, list(pictures))
    content, markdown = to_json(report), render_markdown(report)
    digest = digest_of(content, *findings.epochs.values())
    write_figures(pictures, out / "figures", FIGURES | COST_FIGURES, digest)
    write_atomically(out / "report.json", content)
    drawn = {name: picture.png for name, picture in pictures.items()}
    write_atomically(out / "report.html", render_html(report, markdown, drawn, findings.epochs, findings.costs))
    page = out / "report.md"
    write_atomically(page, markdown)
    return page


def draw_figures(findings: Findings) -> dict[str, Picture]:
    """The figures that records and costs can fill, by name."""
    results, rows, chance = findings.results, findings.rows[: plots.MAX_DRAWN], findings.chance
    guess = loss_of_guess = None
    if chance["accuracy"] is not None:
        guess = (chance["accuracy"], f"chance, {100 * chance['accuracy']:.3g} %: always the commonest class")
    if chance["loss"] is not None:
        loss_of_guess = (chance["loss"], f"chance, {chance['loss']:.3f} nats")
    accuracies, losses = findings.curves["validation_accuracy"], findings.curves["train_loss"]
    epochs = max((variant["recipe"]["epochs"] for variant in results.grid["variants"]), default=1)
    drawn = {
        "learning_curves": plots.draw_learning_curves(
            results, rows, accuracies, "validation_accuracy", "validation accuracy", guess
        ),
        "training_loss": plots.draw_learning_curves(
            results, rows, losses, "train_loss", "training loss (nats)", loss_of_guess
        ),
        "accuracy_against_costs": plots.draw_accuracy_against_costs(results, rows, findings.fronts),
        "escape": plots.draw_escape(rows, findings.escapes, epochs),
    }
    for costs in findings.costs:
        if costs.of_grid:
            drawn["cost_shares"] = cost_plots.draw_cost_shares(costs.rows[: plots.MAX_DRAWN])
            drawn["roofline"] = cost_plots.draw_roofline(costs.rows[: plots.MAX_DRAWN])
    return {name: picture for name, picture in drawn.items() if picture is not None}


def describe(findings: Findings, figures: Sequence[str]) -> dict[str, Any]:
    """Everything the page says, as plain data, raw and unrounded: the content of report.json.

    Args:
        findings: what there is to say.
        figures: names of the figures that could be drawn.
    """
    results, rows = findings.results, findings.rows
    grid, lock = results.grid, Lock.read(results.grid)
    setting = describe_setting(results)
    troubles = tables.troubles(results)
    planned = {cell["cell_id"]: cell for cell in grid["cells"]}
    said: dict[str, Any] = plain({
        "schema": SCHEMA,
        "name": grid["name"],
        "profile": grid["profile"],
        "question": grid["question"],
        "num_cells": len(results.cells),
        "outcomes": tables.count_outcomes(results),
        "num_collapsed": sum(trouble.collapsed for trouble in troubles),
        "lock": {"intact": lock.intact, "given_up": lock.given_up(grid["hypotheses"])},
        "hypotheses": [asdict(verdict) for verdict in judge(results)],
        "setting": asdict(setting),
        "chance": findings.chance,
        "comparison": [asdict(row) for row in rows],
        "costs": [costs.as_dict() for costs in findings.costs],
        "foretold": [asdict(row) for row in compare_foretold(results)],
        "pareto_front": {cost: [row.label for row in front] for cost, front in findings.fronts.items()},
        "learning_curves": {name: curves.to_dict("records") for name, curves in findings.curves.items()},
        "escape_curves": findings.escapes.to_dict("records"),
        "cells": [
            {**planned[record["cell_id"]], "outcome": record["outcome"], "metrics": record["metrics"]}
            for record in results.records
        ],
        "figures": [_caption(name, len(rows)) for name in figures],
        "troubles": [asdict(trouble) for trouble in troubles],
        "missing": tables.missing_seeds(results),
        "left_out": results.left_out,
        "caveats": caveats(results, rows, setting),
    })  # fmt: skip
    return said


def _caption(name: str, num_variants: int) -> dict[str, str]:
    title, caption = (FIGURES | COST_FIGURES)[name]
    if num_variants > plots.MAX_DRAWN:
        caption += f" Drawn are the first {plots.MAX_DRAWN} of {num_variants} variants, in the grid's order."
    return {"name": name, "title": title, "caption": caption}


def render_markdown(report: Mapping[str, Any]) -> str:
    """The page, from what report.json holds."""
    filters: dict[str, Callable[..., Any]] = {
        "effect": _effect,
        "interval": lambda verdict: _in_unit(verdict["interval"], verdict),
        "out_of": lambda part, whole: f"{part}/{whole}" if whole else text.NOT_KNOWN,
        "tally": lambda tally: f"{tally['count']}/{tally['of']}" if tally["of"] else text.NOT_KNOWN,
        "human_count": text.human_count,
        "three_digits": text.three_digits,
        "machine_line": describe_machine,
        "settings": describe_settings,
        "cost_tables": cost_tables,
        "cells": lambda cells: text.Markdown(" | ".join(map(text.escape_markdown, cells))),
    }
    context = {**report, "environment": machine_and_software(report["setting"]["environment"])}
    return render_page("report.md.j2", context, filters)


def _effect(verdict: Mapping[str, Any]) -> str:
    """What decided: an effect in the metric's unit, or who did better how often."""
    if ranking := verdict["details"].get("ranking"):
        return f"by rank: {ranking['wins']} won, {ranking['ties']} tied, {ranking['losses']} lost"
    return _in_unit([verdict["effect"]], verdict)


def _in_unit(values: Sequence[float | None] | None, verdict: Mapping[str, Any]) -> str:
    """An effect, or both ends of its interval, in the metric's unit or as a factor."""
    known = [value for value in values or () if value is not None]
    if not known:
        return text.NOT_KNOWN
    unit = METRICS[verdict["metric"]].unit
    if verdict["factor"] is not None:
        shown, name = [f"×{value:.3g}" for value in known], ""
    elif unit == "share":
        shown, name = [f"{100 * value:+.1f}" for value in known], " points"
    else:
        shown = [f"{value:+,.3g}" if abs(value) < 1000 else f"{value:+,.0f}" for value in known]
        name = "" if unit == "count" else f" {unit}"
    return " to ".join(shown).replace("-", "−") + name
