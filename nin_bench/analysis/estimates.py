"""What cells were estimated to take before they ran, beside what they took."""

from dataclasses import dataclass

import numpy as np

from nin_bench.analysis.tables import Spread
from nin_bench.results import Results
from nin_bench.results.schema import ResolvedVariant


@dataclass(frozen=True)
class EstimateRow:
    """One variant's cells that trained in one go and whose time was estimated."""

    variant_id: str
    label: str
    estimated_seconds: float
    """Mean over those cells; all of one run have the same estimate."""
    actual_seconds: Spread
    """From the start of a cell's process to its record."""
    ratio: float
    """Actual over estimated."""


def compare_estimates(results: Results) -> list[EstimateRow]:
    """Estimated and actual seconds by variant, in the grid's order.

    A cell that took several attempts is left out: the estimate is of a whole one.
    """
    variants = {cell.cell_id: cell.variant_id for cell in results.grid.cells}
    by_variant: dict[str, list[tuple[float, float]]] = {}
    for record in results.records:
        first, *more = record.attempts
        if record.outcome == "trained" and not more and first.estimated_seconds and first.seconds:
            took = (first.estimated_seconds, first.seconds)
            by_variant.setdefault(variants[record.cell_id], []).append(took)
    return [
        _row(variant, by_variant[variant.variant_id])
        for variant in results.grid.variants
        if variant.variant_id in by_variant
    ]


def _row(variant: ResolvedVariant, pairs: list[tuple[float, float]]) -> EstimateRow:
    estimated, actual = np.array(pairs).T
    sd = float(actual.std(ddof=1)) if len(actual) > 1 else None
    return EstimateRow(
        variant_id=variant.variant_id,
        label=variant.label,
        estimated_seconds=float(estimated.mean()),
        actual_seconds=Spread(mean=float(actual.mean()), sd=sd, n=len(actual)),
        ratio=float(actual.mean() / estimated.mean()),
    )
