"""Which record is exported, and why that one. The test images have no say in it."""

from collections import Counter
from dataclasses import dataclass

from nin_bench.analysis.names import Names
from nin_bench.errors import InputError, ResultsError, unknown_name
from nin_bench.results import Record, Results
from nin_bench.runner.replay import records_named


@dataclass(frozen=True)
class Choice:
    """A record to export."""

    record: Record
    num_candidates: int
    """Trained networks of the variant that it is the best of by validation accuracy; 1 if it was named."""


def named_cell(results: Results, cell_id: str) -> Choice:
    """The trained cell whose id begins so.

    Raises:
        ResultsError: none does, several do, or the cell did not end trained.
    """
    [record] = records_named(results.records, [cell_id])
    if record.outcome != "trained":
        raise ResultsError(f"cell {cell_id} ended {record.outcome}; only a trained network can be exported")
    return Choice(record, 1)


def best_of_variant(results: Results, label: str) -> Choice:
    """The network of a variant with the highest validation accuracy; then the lowest loss, then the lowest seed.

    Args:
        results: of the grid.
        label: the variant's, as the grid has it, or its name in the report.

    Raises:
        InputError: no variant is called so, or its networks saw no validation images.
        ResultsError: none of its networks was trained.
    """
    names = Names.of(results.grid.variants)
    known = {called: one.variant_id for one in results.grid.variants for called in (names[one.label], one.label)}
    if label not in known:
        raise InputError(f"--variant: {unknown_name('variant', label, known)}")
    ended = [one for one in results.records if one.variant_id == known[label]]
    records = [one for one in ended if one.outcome == "trained"]
    if not records:
        outcomes = Counter(one.outcome for one in ended).most_common()
        what = ", ".join(f"{count} {outcome}" for outcome, count in outcomes) or "none has a record; run its grid"
        raise ResultsError(f"{label}: no cell of it ended trained ({what}), so that there is nothing to export")
    if any(one.metrics.validation_accuracy is None for one in records):
        raise InputError(f"{label}: has no validation images to choose a seed by; name a cell with --cell")
    return Choice(max(records, key=_merit), len(records))


def _merit(record: Record) -> tuple[float, float, int]:
    metrics = record.metrics
    loss = float("inf") if metrics.validation_loss is None else metrics.validation_loss
    return metrics.validation_accuracy or 0.0, -loss, -record.cell.seed
