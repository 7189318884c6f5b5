"""Build a report: a pure function of grid.json and records, so that the same records give the same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nin_bench.analysis import tables
from nin_bench.analysis.costs import MachineCosts, compare_costs
from nin_bench.analysis.curves import chance_level, known_epochs, learning_curves
from nin_bench.analysis.estimates import compare_foretold
from nin_bench.analysis.interactions import Product, find_interactions
from nin_bench.analysis.lock import Lock
from nin_bench.analysis.lost_classes import LosingNetworks, LostClasses, find_lost_classes
from nin_bench.analysis.names import Names
from nin_bench.analysis.predictions import MOST_VARIANTS, Confusion, Stored, count_confusions, image_errors
from nin_bench.analysis.references import compare_references
from nin_bench.analysis.setting import caveats, describe_setting
from nin_bench.analysis.tables import VariantRow
from nin_bench.analysis.target import Reached, Target, find_escapes, find_target
from nin_bench.analysis.verdicts import Verdict, judge
from nin_bench.files import to_json, write_atomically
from nin_bench.report import cost_plots, plots
from nin_bench.report.captions import ALL_FIGURES, describe_figure
from nin_bench.report.effects import draw_effects, effect_rows, not_drawn
from nin_bench.report.export import write_tables
from nin_bench.report.filters import filters_of
from nin_bench.report.glossary import explain_arguments
from nin_bench.report.grid_plots import draw_confusions, draw_interactions, notable
from nin_bench.report.html.data import page_data
from nin_bench.report.html.page import render_html
from nin_bench.report.in_short import in_short
from nin_bench.report.look import Picture
from nin_bench.report.page import digest_of, machine_and_software, plain, render_page, write_figures
from nin_bench.report.reached_plot import draw_reached
from nin_bench.report.verdict_text import verdict_as_dict
from nin_bench.results import Results, load_results

SCHEMA = 1

CURVES = ("validation_accuracy", "train_loss")
"""The history columns that are shown epoch by epoch."""


@dataclass(frozen=True)
class Findings:
    """What both the page and its figures say."""

    results: Results
    names: Names
    verdicts: list[Verdict]
    rows: list[VariantRow]
    """The comparison table."""
    epochs: dict[str, pd.DataFrame]
    """`known_epochs` of validation accuracy and training loss."""
    curves: dict[str, pd.DataFrame]
    """`learning_curves` of the same."""
    escapes: list[Reached]
    """`find_escapes`."""
    target: Target | None
    """`find_target`."""
    interactions: list[Product]
    """`find_interactions`."""
    stored: Stored
    """Predictions."""
    lost_classes: list[LostClasses]
    losing_networks: list[LosingNetworks]
    """`find_lost_classes`."""
    confusions: list[Confusion]
    """`count_confusions`."""
    fronts: dict[str, list[VariantRow]]
    """The Pareto front over all variants, by cost."""
    chance: dict[str, float | None]
    """`loss` and `accuracy` of a guess that never looks at the image."""
    costs: list[MachineCosts]
    """`compare_costs`."""

    @property
    def notable_confusions(self) -> list[Confusion]:
        """Those that are drawn."""
        return notable(self.confusions, self.rows)

    @classmethod
    def of(cls, results: Results) -> "Findings":
        """Look for them in a results folder as read."""
        rows, stored = tables.compare_variants(results), Stored(results)
        names = Names.of(results.grid.variants)
        epochs = {name: known_epochs(results, name) for name in CURVES}
        looked_at = {row.label for row in rows[:MOST_VARIANTS]}
        looked_at |= {label for hypothesis in results.grid.hypotheses for label in hypothesis.compare}
        lost_classes, losing_networks = find_lost_classes(stored, looked_at)
        return cls(
            results=results,
            names=names,
            verdicts=judge(results),
            rows=rows,
            epochs=epochs,
            curves={name: learning_curves(results, known) for name, known in epochs.items()},
            escapes=find_escapes(results),
            target=find_target(results, epochs["validation_accuracy"]),
            interactions=find_interactions(results, names),
            stored=stored,
            lost_classes=lost_classes,
            losing_networks=losing_networks,
            confusions=count_confusions(stored, rows),
            fronts={cost: tables.pareto_front(rows, cost) for cost in ("num_params", "num_macs", "train_seconds")},
            chance={name: chance_level(results, f"chance_{name}") for name in ("loss", "accuracy")},
            costs=compare_costs(results),
        )


def build_report(folder: Path, out: Path) -> Path:
    """Write report.md, report.html, report.json, figures/ and tables/; each file is seen whole or not at all.

    Args:
        folder: a results folder, `<root>/<grid>/<profile>`.
        out: where the report goes. Figures of an earlier report that this one lacks are removed.

    Returns:
        The path of report.md.

    Raises:
        ResultsError: there is no readable grid.json, or `out` cannot be written.
    """
    findings = Findings.of(load_results(folder))
    pictures = draw_figures(findings)
    report = describe(findings, list(pictures))
    content, markdown = to_json(report), render_markdown(report)
    digest = digest_of(content, *findings.epochs.values())
    write_figures(pictures, out / "figures", ALL_FIGURES, digest)
    write_tables(report, out / "tables")
    write_atomically(out / "report.json", content)
    write_atomically(out / "report.html", _render_html(report, markdown, findings))
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

    def draw_curves(name: str, axis_label: str, level: tuple[float, str] | None) -> Picture | None:
        epochs, curves = findings.epochs[name], findings.curves[name]
        return plots.draw_learning_curves(results, rows, epochs, curves, name, axis_label, level)

    drawn = {
        "effects": draw_effects(findings.verdicts, findings.names),
        "learning_curves": draw_curves("validation_accuracy", "validation accuracy", guess),
        "training_loss": draw_curves("train_loss", "training loss (nats)", loss_of_guess),
        "accuracy_against_costs": plots.draw_accuracy_against_costs(results, rows, findings.fronts),
        "escape": draw_reached(rows, findings.escapes, "escaped"),
        "epochs_to_target": draw_reached(rows, findings.target.rows, "reached") if findings.target else None,
    }
    drawn["interactions"] = draw_interactions(findings.interactions)
    drawn["confusions"] = draw_confusions(findings.notable_confusions, findings.names)
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
    planned = {cell.cell_id: cell.model_dump() for cell in grid.cells}
    said: dict[str, Any] = plain({
        "schema": SCHEMA,
        "name": grid.name,
        "profile": grid.profile,
        "question": grid.question,
        "num_cells": len(results.cells),
        "outcomes": tables.count_outcomes(results),
        "num_collapsed": sum(trouble.collapsed for trouble in troubles),
        "lock": {"intact": lock.intact, "given_up": lock.given_up(grid.hypotheses)},
        "hypotheses": [verdict_as_dict(verdict, findings.names) for verdict in findings.verdicts],
        "in_short": (short := in_short(findings.verdicts, findings.names)) and asdict(short),
        "arguments": explain_arguments(findings.names),
        "effects_not_drawn": not_drawn(findings.verdicts),
        "names": findings.names.by_label,
        "not_repeated": findings.names.not_repeated,
        "open_claims": [{"says": one.claim, "reason": one.reason} for one in grid.open_claims],
        "setting": asdict(setting),
        "chance": findings.chance,
        "matches": [{"label": one.label, **one.match.model_dump()} for one in grid.variants if one.match],
        "comparison": [asdict(row) for row in rows],
        "references": [asdict(compared) for compared in compare_references(results)],
        "costs": [costs.as_dict() for costs in findings.costs],
        "foretold": [asdict(row) for row in compare_foretold(results)],
        "pareto_front": {cost: [row.label for row in front] for cost, front in findings.fronts.items()},
        "learning_curves": {name: curves.to_dict("records") for name, curves in findings.curves.items()},
        "escapes": [reached.as_dict() for reached in findings.escapes],
        "target": findings.target and findings.target.as_dict(),
        "cells": [
            {
                **planned[record.cell_id],
                "outcome": record.outcome,
                "metrics": record.metrics.model_dump(exclude={"confusion"}),
            }
            for record in results.records
        ],
        "figures": [describe_figure(name, len(rows), len(grid.seeds)) for name in figures],
        "test_set_errors": image_errors(findings.stored, findings.verdicts),
        "interactions": [asdict(product) for product in findings.interactions],
        "confusions": [asdict(confusion) for confusion in findings.confusions],
        "lost_classes": [asdict(lost) for lost in findings.lost_classes],
        "losing_networks": [asdict(networks) for networks in findings.losing_networks],
        "troubles": [asdict(trouble) for trouble in troubles],
        "missing": tables.missing_seeds(results),
        "left_out": [*results.left_out, *findings.stored.left_out],
        "caveats": caveats(results, rows, setting),
    })  # fmt: skip
    return said


def render_markdown(report: Mapping[str, Any]) -> str:
    """The page, from what report.json holds."""
    environment = machine_and_software(report["setting"]["environment"])
    context = {**report, "report": report, "environment": environment}
    return render_page("report.md.j2", context, filters_of(report))


def _render_html(report: Mapping[str, Any], markdown: str, findings: Findings) -> str:
    data = page_data(
        report,
        epochs=findings.epochs,
        costs=findings.costs,
        effects=effect_rows(findings.verdicts),
        products=findings.interactions,
        confusions=findings.notable_confusions,
        names=findings.names,
    )
    return render_html(report, markdown, data)
