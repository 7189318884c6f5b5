"""What cells were estimated to take before they ran, beside what they took."""

from dataclasses import dataclass

import numpy as np

from nin_bench.analysis.cells import number
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
    cells: dict[str, list[tuple[float, float]]] = {}
    for record in results.records:
        if record.outcome == "trained" and len(record.attempts) == 1:
            estimated, actual = (
                number(getattr(record.attempts[0], name)) for name in ("estimated_seconds", "seconds")
            )
            if estimated > 0 and actual > 0:  # NaN is neither
                cells.setdefault(record.cell_id, []).append((estimated, actual))
    by_variant: dict[str, list[tuple[float, float]]] = {}
    for cell in results.grid.cells:
        by_variant.setdefault(cell.variant_id, []).extend(cells.get(cell.cell_id, []))
    return [
        _row(variant, by_variant[variant.variant_id])
        for variant in results.grid.variants
        if by_variant.get(variant.variant_id)
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
