"""How many epochs each variant takes to leave chance level, and to a validation accuracy that all are asked for.

Some cells never get there: they count as not having done so until their last epoch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from nin_bench.analysis.cells import is_trained, number, numbers
from nin_bench.results import Results
from nin_bench.stats.survival import Step, survival

SHORT_OF = 0.01
"""How much below the baseline's median cell the target lies."""


@dataclass(frozen=True)
class Reached:
    """When a variant's cells reached something."""

    variant_id: str
    label: str
    n: int
    num_reached: int
    steps: tuple[Step, ...]
    """Share of cells that had, from time to time; the first at time 0."""
    horizon: float
    """Until when it was looked for."""
    median: float | None
    """When half of them had; None where less than half ever did."""
    median_interval: tuple[float | None, float | None]
    """The interval of the median, 95 %; an end is None if so few cells set none."""
    restricted_mean: float
    """The mean time until the horizon, counting the horizon for who had not by then."""


@dataclass(frozen=True)
class Target:
    """The accuracy asked for, and who reached it when."""

    accuracy: float
    of: str | None
    """The label of the baseline; None where the grid gives the target, or has no baseline and all cells set it."""
    variants: list[Reached]
    """In the grid's order; variants of which no epoch is known are left out."""


def find_target(results: Results, history: pd.DataFrame) -> Target | None:
    """The target and who reached it: the grid's, or the baseline's median final validation accuracy, less a point.

    Returns:
        None where no validation accuracy is known, or where the target is no better than a guess.
    """
    cells = results.cells
    trained = is_trained(cells)
    label = results.grid.baseline
    of_baseline = cells["label"] == label
    final = numbers(cells, "validation_accuracy").where(trained & (of_baseline if label else True)).dropna()
    if final.empty:
        return None
    accuracy = float(final.median()) - SHORT_OF
    if results.grid.target is not None:
        accuracy, label = results.grid.target, None
    if accuracy <= float(numbers(cells, "chance_accuracy").fillna(0).max()):
        return None
    first = _first_epochs(history, accuracy)
    return Target(accuracy, label, _by_variant(results, cells[cells["cell_id"].isin(first)], first))


def target_epochs(results: Results) -> dict[str, float]:
    """The first epoch of each cell whose validation accuracy is at least the grid's target; infinite if none is.

    A cell without a validation accuracy is left out; so are all, where the grid has no target.
    """
    if results.grid.target is None:
        return {}
    accuracies = results.history.assign(value=numbers(results.history, "validation_accuracy"))
    return _first_epochs(accuracies.dropna(subset="value"), results.grid.target)


def _first_epochs(history: pd.DataFrame, accuracy: float) -> dict[str, float]:
    """For each cell the first epoch whose `value` is at least an accuracy; infinite if none is."""
    epochs = history["epoch"].where(history["value"] >= accuracy, math.inf)
    return {str(cell_id): float(epoch) for cell_id, epoch in epochs.groupby(history["cell_id"]).min().items()}


def find_escapes(results: Results) -> list[Reached]:
    """When cells left chance level; those whose record does not say whether they did are left out."""
    cells = results.cells
    escaped = numbers(cells, "escaped")
    epochs = numbers(cells, "escape_epoch").where(escaped == 1)
    known = cells[(escaped == 0) | epochs.notna()]
    return _by_variant(results, known, dict(zip(cells["cell_id"], epochs, strict=True)))


def _by_variant(results: Results, cells: pd.DataFrame, reached_at: Mapping[Any, float]) -> list[Reached]:
    """Estimate for each variant; a cell that ended for good is followed to its last planned epoch."""
    planned = {variant.variant_id: variant.recipe.epochs for variant in results.grid.variants}
    last = results.history.groupby("cell_id")["epoch"].max().to_dict() if len(results.history) else {}
    found = []
    groups = {str(key): group for key, group in cells.groupby("variant_id", sort=False)}
    for variant in results.grid.variants:
        key = variant.variant_id
        if key not in groups:
            continue
        times, reached = [], []
        for cell_id, outcome in groups[key][["cell_id", "outcome"]].itertuples(index=False):
            at = number(reached_at.get(cell_id))
            until = planned[key] if outcome in ("trained", "diverged") else last.get(cell_id, 0)
            reached.append(at == at)  # NaN is not
            times.append(at if at == at else float(until))
        estimate = survival(times, reached, horizon=float(planned[key]))
        values = {field.name: getattr(estimate, field.name) for field in fields(Reached)[2:]}
        found.append(Reached(variant.variant_id, variant.label, **values))
    return found
