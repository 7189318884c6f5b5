"""The analysis of a results folder: everything that follows from its files by computing, as one typed artefact.

A section of the report is a function here, or in a module beside this one, and a field of `Analysis`.
"""

from dataclasses import dataclass
from typing import Any

from nin_bench.analysis.artefact import AnalysisArtefact
from nin_bench.analysis.costs import MachineCosts, compare_costs
from nin_bench.analysis.curves import CURVES, Chance, CurvePoint, chance_level, find_histories, learning_curves
from nin_bench.analysis.estimates import EstimateRow, compare_estimates
from nin_bench.analysis.interactions import Product, find_interactions
from nin_bench.analysis.lock import Lock
from nin_bench.analysis.lost_classes import LosingNetworks, LostClasses, find_lost_classes
from nin_bench.analysis.names import Names
from nin_bench.analysis.predictions import MOST_VARIANTS, Confusion, Stored, count_confusions, image_errors
from nin_bench.analysis.probes import ProbeAnswers, find_probes
from nin_bench.analysis.references import Comparison, compare_references
from nin_bench.analysis.setting import Setting, describe_setting
from nin_bench.analysis.tables import (
    MissingSeeds,
    Trouble,
    VariantRow,
    compare_variants,
    count_outcomes,
    missing_seeds,
    pareto_front,
    troubles,
)
from nin_bench.analysis.target import Reached, Target, find_escapes, find_target
from nin_bench.analysis.verdicts import Verdict, judge
from nin_bench.results import Results
from nin_bench.results.schema import OpenClaim, ResolvedGrid
from nin_bench.stats.images import ImageError

COSTS = ("num_params", "num_macs", "train_seconds")
"""What accuracy is held against."""


@dataclass(frozen=True)
class LockState:
    """What became of the hypotheses that were locked."""

    intact: bool
    """Whether seeds and hypotheses still fit the digest that was stored with them."""
    given_up: list[str]
    """Ids of those that were locked and were withdrawn or changed since."""


@dataclass(frozen=True)
class MatchedVariant:
    """A variant whose width was chosen so that it is as large as another."""

    label: str
    size: str
    to: str
    """Label of the other variant."""
    width: float
    target: int
    reached: int
    residue: float
    """What is left of the difference, relative to the target."""


@dataclass(frozen=True)
class Cell:
    """What came of a cell that has a record."""

    cell_id: str
    variant_id: str
    label: str
    seed: int
    outcome: str
    metrics: dict[str, Any]
    history: dict[str, list[float | None]]
    """Columns of the learning curves by name; each has one value per epoch."""

    @property
    def failed(self) -> bool | None:
        """Whether its network failed; None if that is not known, or if there is no network, as after a crash."""
        if self.outcome == "trained":
            failed: bool | None = self.metrics["failed"]
            return failed
        return True if self.outcome == "diverged" else None

    @property
    def accuracy(self) -> float | None:
        """Test accuracy, chance if the network diverged; None if that is not known."""
        found = {"trained": "test_accuracy", "diverged": "chance_accuracy"}.get(self.outcome)
        return self.metrics.get(found) if found else None


class Analysis(AnalysisArtefact):
    """Everything that a report shows, raw and unrounded: `report.json`."""

    name: str
    profile: str
    question: str
    num_cells: int
    """Planned."""
    outcomes: dict[str, int]
    """How many planned cells ended how."""
    seeds: list[int]
    baseline: str | None
    """Label of the variant that the others are compared with."""
    names: Names
    lock: LockState
    hypotheses: list[Verdict]
    test_set_errors: dict[str, ImageError]
    """Uncertainty that the test images leave, by the id of each hypothesis on test accuracy."""
    open_claims: list[OpenClaim]
    setting: Setting
    chance: Chance
    """What a guess reaches that never looks at the image."""
    matches: list[MatchedVariant]
    comparison: list[VariantRow]
    references: list[Comparison]
    costs: list[MachineCosts]
    estimates: list[EstimateRow]
    pareto_front: dict[str, list[str]]
    """Labels of the variants that no other beats in median accuracy at the same cost, cheapest first, by cost."""
    learning_curves: dict[str, list[CurvePoint]]
    """Learning curves, by column of the history."""
    escapes: list[Reached]
    target: Target | None
    cells: list[Cell]
    interactions: list[Product]
    confusions: list[Confusion]
    lost_classes: list[LostClasses]
    losing_networks: list[LosingNetworks]
    probes: ProbeAnswers | None = None
    """What trained networks answered to the grid's probes; None if it has none."""
    troubles: list[Trouble]
    missing: list[MissingSeeds]
    caveats: list[str]
    """Caveats that the grid states."""
    left_out: list[str]
    """A sentence for each file that was not used."""


def analyse(results: Results) -> Analysis:
    """Compute everything that follows from a results folder."""
    grid, stored = results.grid, Stored(results)
    names, lock = Names.of(grid.variants), Lock.read(grid)
    rows, verdicts, histories = compare_variants(results), judge(results), find_histories(results)
    looked_at = {row.label for row in rows[:MOST_VARIANTS]}
    looked_at |= {label for verdict in verdicts for label in verdict.compare}
    lost_classes, losing_networks = find_lost_classes(stored, looked_at)
    return Analysis(
        name=grid.name,
        profile=grid.profile,
        question=grid.question,
        num_cells=len(results.cells),
        outcomes=count_outcomes(results),
        seeds=list(grid.seeds),
        baseline=grid.baseline,
        names=names,
        lock=LockState(intact=lock.intact, given_up=lock.given_up(grid.hypotheses)),
        hypotheses=verdicts,
        test_set_errors=image_errors(stored, verdicts),
        open_claims=list(grid.open_claims),
        setting=describe_setting(results),
        chance=chance_level(results),
        matches=_matches(grid),
        comparison=rows,
        references=compare_references(results),
        costs=compare_costs(results),
        estimates=compare_estimates(results),
        pareto_front={cost: [row.label for row in pareto_front(rows, cost)] for cost in COSTS},
        learning_curves={name: learning_curves(results, history) for name, history in histories.items()},
        escapes=find_escapes(results),
        target=find_target(results, histories["validation_accuracy"]),
        cells=_cells(results),
        interactions=find_interactions(results, names),
        confusions=count_confusions(stored, rows),
        lost_classes=lost_classes,
        losing_networks=losing_networks,
        probes=find_probes(results),
        troubles=troubles(results),
        missing=missing_seeds(results),
        caveats=list(grid.caveats),
        left_out=[*results.left_out, *stored.left_out],
    )


def _matches(grid: ResolvedGrid) -> list[MatchedVariant]:
    matched = [(variant.label, variant.match) for variant in grid.variants if variant.match]
    return [MatchedVariant(label=label, **match.model_dump()) for label, match in matched]


def _cells(results: Results) -> list[Cell]:
    planned = {cell.cell_id: cell for cell in results.grid.cells}
    return [
        Cell(
            **planned[record.cell_id].model_dump(),
            outcome=record.outcome,
            metrics=record.metrics.model_dump(mode="json", exclude={"confusion"}),  # as it is read
            history={name: [getattr(row, name) for row in record.history] for name in CURVES},
        )
        for record in results.records
    ]
