"""Build a report: a pure function of grid.json and records, so that the same records give the same bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nin_bench.files import to_json, write_atomically
from nin_bench.metrics import METRICS
from nin_bench.report import cost_plots, plots, tables, text
from nin_bench.report.captions import ALL_FIGURES, EFFECTS, describe_figure
from nin_bench.report.comparison import SHOWN_HERE, comparison_tables
from nin_bench.report.cost_text import cost_tables, describe_machine, describe_settings
from nin_bench.report.costs import MachineCosts, compare_costs
from nin_bench.report.curves import chance_level, learning_curves
from nin_bench.report.effects import draw_effects, not_drawn
from nin_bench.report.foretold import compare_foretold
from nin_bench.report.grid_file import check_grid_file
from nin_bench.report.hypotheses import Verdict, judge
from nin_bench.report.in_short import in_short
from nin_bench.report.lock import Lock
from nin_bench.report.look import Picture
from nin_bench.report.names import Names
from nin_bench.report.page import machine_and_software, plain, render_page, write_figures
from nin_bench.report.reached_plot import draw_reached
from nin_bench.report.setting import caveats, describe_setting
from nin_bench.report.tables import VariantRow
from nin_bench.report.target import Reached, Target, find_escapes, find_target
from nin_bench.results import Results, load_results

SCHEMA = 1


@dataclass(frozen=True)
class Findings:
    """What both the page and its figures say."""

    results: Results
    names: Names
    verdicts: list[Verdict]
    rows: list[VariantRow]
    """The comparison table."""
    curves: dict[str, pd.DataFrame]
    """`learning_curves` of validation accuracy and training loss."""
    escapes: list[Reached]
    """`find_escapes`."""
    target: Target | None
    """`find_target`."""
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
            names=Names.of([variant["label"] for variant in results.grid["variants"]]),
            verdicts=judge(results),
            rows=rows,
            curves={name: learning_curves(results, name) for name in ("validation_accuracy", "train_loss")},
            escapes=find_escapes(results),
            target=find_target(results),
            fronts={cost: tables.pareto_front(rows, cost) for cost in ("num_params", "num_macs", "train_seconds")},
            chance={name: chance_level(results, f"chance_{name}") for name in ("loss", "accuracy")},
            costs=compare_costs(results),
        )


def build_report(folder: Path, out: Path) -> Path:
    """Write report.md, report.json and figures/*.svg and *.png; each is seen whole or not at all.

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
    write_figures(pictures, out / "figures", ALL_FIGURES)
    write_atomically(out / "report.json", to_json(report))
    page = out / "report.md"
    write_atomically(page, render_markdown(report))
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
    drawn = {
        "effects": draw_effects(findings.verdicts, findings.names),
        "learning_curves": plots.draw_learning_curves(
            results, rows, accuracies, "validation_accuracy", "validation accuracy", guess
        ),
        "training_loss": plots.draw_learning_curves(
            results, rows, losses, "train_loss", "training loss (nats)", loss_of_guess
        ),
        "accuracy_against_costs": plots.draw_accuracy_against_costs(results, rows, findings.fronts),
        "escape": draw_reached(rows, findings.escapes, "escaped"),
        "epochs_to_target": draw_reached(rows, findings.target.rows, "reached") if findings.target else None,
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
        "hypotheses": [asdict(verdict) for verdict in findings.verdicts],
        "in_short": in_short(findings.verdicts),
        "effects_not_drawn": not_drawn(findings.verdicts),
        "names": findings.names.by_label,
        "not_repeated": findings.names.not_repeated,
        "setting": asdict(setting),
        "chance": findings.chance,
        "comparison": [asdict(row) for row in rows],
        "costs": [costs.as_dict() for costs in findings.costs],
        "foretold": [asdict(row) for row in compare_foretold(results)],
        "pareto_front": {cost: [row.label for row in front] for cost, front in findings.fronts.items()},
        "learning_curves": {name: curves.to_dict("records") for name, curves in findings.curves.items()},
        "escapes": [reached.as_dict() for reached in findings.escapes],
        "target": findings.target and findings.target.as_dict(),
        "cells": [
            {**planned[record["cell_id"]], "outcome": record["outcome"], "metrics": record["metrics"]}
            for record in results.records
        ],
        "figures": [describe_figure(name, len(rows)) for name in figures],
        "troubles": [asdict(trouble) for trouble in troubles],
        "missing": tables.missing_seeds(results),
        "left_out": results.left_out,
        "caveats": caveats(results, rows, setting),
    })  # fmt: skip
    return said


def render_markdown(report: Mapping[str, Any]) -> str:
    """The page, from what report.json holds."""
    filters: dict[str, Callable[..., Any]] = {
        "effect": _effect,
        "interval": _interval,
        "under_verdicts": lambda figures: [figure for figure in figures if figure["name"] in EFFECTS],
        "others": lambda figures: [figure for figure in figures if figure["name"] not in EFFECTS],
        "picture": _picture,
        "three_digits": text.three_digits,
        "machine_line": describe_machine,
        "settings": describe_settings,
        "comparison_tables": comparison_tables,
        "machine_tables": lambda costs: cost_tables(costs["rows"], SHOWN_HERE if costs["of_grid"] else ()),
        "named": lambda label: report["names"].get(label, label),
        "percent": lambda share: f"{100 * share:.1f} %",
        "cells": lambda cells: text.Markdown(" | ".join(map(text.escape_markdown, cells))),
    }
    context = {**report, "report": report, "environment": machine_and_software(report["setting"]["environment"])}
    return render_page("report.md.j2", context, filters)


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
        shown, name = [f"{100 * value:+.1f}" for value in known], " points"
    else:
        shown = [f"{value:+,.3g}" if abs(value) < 1000 else f"{value:+,.0f}" for value in known]
        name = "" if unit == "count" else f" {unit}"
    return " to ".join(shown).replace("-", "−") + name
