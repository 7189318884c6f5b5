"""Every variant in numbers: what its networks reached, and what went wrong. Nothing is rounded here."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from nin_bench.analysis.cells import (
    all_accuracies,
    failed,
    has_gone_wrong,
    has_learned,
    is_trained,
    metric_values,
    number,
    numbers,
)
from nin_bench.analysis.names import Names
from nin_bench.looks import unneeded_cells
from nin_bench.metrics import METRICS
from nin_bench.results import Results


@dataclass(frozen=True)
class Spread:
    """What n cells measured."""

    mean: float | None
    """The mean; None without a value."""
    sd: float | None
    """Standard deviation with n - 1 degrees of freedom; None with fewer than two values."""
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Mean and deviation of plain values; exact for equal ones, whatever their number."""
        return cls(
            mean=statistics.fmean(values) if values else None,
            sd=statistics.stdev(values) if len(values) > 1 else None,
            n=len(values),
        )


@dataclass(frozen=True)
class Tally:
    """How many cells, of those of which it is known."""

    count: int
    of: int


SCORES = [
    metric.name
    for metric in METRICS.values()
    if metric.kind == "quality" and metric.name.startswith("test_") and metric.name != "test_accuracy"
]
"""Metrics of the test images beside accuracy."""


@dataclass(frozen=True)
class VariantRow:
    """One line of the comparison. Counts are of planned cells that claims need; shares lie in [0, 1]."""

    variant_id: str
    label: str
    name: str
    """The label without what its model's variants have in common."""
    baseline: bool
    planned: int
    trained: int
    escaped: Tally
    """Trained networks that left chance level."""
    failed: Tally
    """Trained and diverged networks that diverged, or ended no better than a constant guess."""
    num_params: int | None
    num_macs: int | None
    """Multiply-accumulates of one image's forward pass."""
    test_accuracy: Spread
    """Over every trained cell, failed networks included."""
    median_test_accuracy: float | None
    """Over every network that was trained or diverged; one that diverged counts at chance."""
    scores: dict[str, Spread]
    """The further scores on the test images by metric, over every trained cell."""
    generalisation_gap: Spread
    """Train less test accuracy, both in evaluation mode, over networks that did not fail."""
    observed_images_per_second: Spread
    """Seen while training, over every trained cell."""
    train_seconds: Spread
    """Per trained cell."""


@dataclass(frozen=True)
class Trouble:
    """A cell whose network failed, or that has none."""

    cell_id: str
    label: str
    seed: int
    outcome: str
    num_epochs: int
    """Whole epochs that it trained."""
    train_loss: float | None
    """Training loss of the last epoch."""
    escape_epoch: float | None
    num_dead_maps: int | None
    num_tied: int | None
    """Test images whose highest outputs tie."""
    failed_step: int | None
    error: str | None


@dataclass(frozen=True)
class MissingSeeds:
    """The cells of a variant that are needed and have no record."""

    label: str
    seeds: list[int]


def compare_variants(results: Results) -> list[VariantRow]:
    """The comparison table, in the grid's order."""
    cells, names = results.cells, Names.of(results.grid.variants)
    variant = cells["variant_id"]
    trained, learned = is_trained(cells), has_learned(cells)

    def count(where: pd.Series) -> dict[str, int]:
        return {str(key): int(n) for key, n in where.groupby(variant).sum().items()}

    def tally(yes_or_no: pd.Series) -> dict[str, Tally]:
        counts, known = count(trained & (yes_or_no == 1)), count(trained & yes_or_no.notna())
        return {key: Tally(counts[key], known[key]) for key in known}

    def spreads(values: pd.Series, where: pd.Series) -> dict[str, Spread]:
        table = values.where(where).groupby(variant).agg(["mean", "std", "count"])
        return {
            str(key): Spread(mean=_known(mean), sd=_known(sd), n=int(n)) for key, mean, sd, n in table.itertuples()
        }

    has_failed = failed(cells)
    num_failed, num_known = count(has_failed == 1), count(has_failed.notna())
    planned, num_trained = count(_outcomes(results) != "not needed"), count(trained)
    escaped = tally(numbers(cells, "escaped"))
    num_params = numbers(cells, "num_params").groupby(variant).first()
    num_macs = numbers(cells, "num_macs").groupby(variant).first()
    accuracy = spreads(numbers(cells, "test_accuracy"), trained)
    medians = all_accuracies(cells).groupby(variant).median()
    scores = {name: spreads(metric_values(cells, name), trained) for name in SCORES}
    gaps = spreads(metric_values(cells, "generalisation_gap"), learned)
    speeds = spreads(metric_values(cells, "observed_images_per_second"), trained)
    seconds = spreads(numbers(cells, "train_seconds"), trained)
    return [
        VariantRow(
            variant_id=key,
            label=entry.label,
            name=names[entry.label],
            baseline=entry.label == results.grid.baseline,
            planned=planned[key],
            trained=num_trained[key],
            escaped=escaped[key],
            failed=Tally(num_failed[key], num_known[key]),
            num_params=_whole(num_params[key]),
            num_macs=_whole(num_macs[key]),
            test_accuracy=accuracy[key],
            median_test_accuracy=_known(medians[key]),
            scores={name: found[key] for name, found in scores.items()},
            generalisation_gap=gaps[key],
            observed_images_per_second=speeds[key],
            train_seconds=seconds[key],
        )
        for entry in results.grid.variants
        if (key := entry.variant_id) in planned
    ]


def cost_of(row: VariantRow, cost: str) -> float | None:
    """What a variant takes of `num_params`, `num_macs` or `train_seconds` (the mean over its trained cells)."""
    found = getattr(row, cost)
    return found.mean if isinstance(found, Spread) else found


def pareto_front(rows: Sequence[VariantRow], cost: str) -> list[VariantRow]:
    """The variants that no other beats in median accuracy at the same cost or less, cheapest first."""
    known = [
        (value, row.median_test_accuracy, row)
        for row in rows
        if (value := cost_of(row, cost)) is not None and row.median_test_accuracy is not None
    ]
    front: list[VariantRow] = []
    best = -math.inf
    for _, accuracy, row in sorted(known, key=lambda one: (one[0], -one[1])):
        if accuracy > best:
            front.append(row)
            best = accuracy
    return front


def troubles(results: Results) -> list[Trouble]:
    """Every cell whose network failed, or that has none, in the grid's order, with what is known of the cause."""
    cells = results.cells
    unwell = cells[has_gone_wrong(cells)]
    last_epochs = (
        results.history.drop_duplicates("cell_id", keep="last").set_index("cell_id").to_dict("index")
        if len(results.history)
        else {}
    )
    found = []
    for cell in unwell.to_dict("records"):
        last_epoch = last_epochs.get(cell["cell_id"], {})
        found.append(
            Trouble(
                cell_id=cell["cell_id"],
                label=cell["label"],
                seed=int(cell["seed"]),
                outcome=cell["outcome"],
                num_epochs=_whole(last_epoch.get("epoch")) or 0,
                train_loss=_known(last_epoch.get("train_loss")),
                escape_epoch=_known(cell.get("escape_epoch")),
                num_dead_maps=_whole(cell.get("num_dead_maps")),
                num_tied=_whole(cell.get("num_tied", cell.get("num_no_prediction"))),
                failed_step=_whole(cell.get("failed_step")),
                error=error if isinstance(error := cell.get("error"), str) else None,
            )
        )
    return found


def missing_seeds(results: Results) -> list[MissingSeeds]:
    """The needed cells without a record, for each variant that has any."""
    missing = results.cells[_outcomes(results) == "missing"]
    groups = missing.groupby(["variant_id", "label"], sort=False)["seed"]
    return [MissingSeeds(str(label), [int(seed) for seed in seeds]) for (_, label), seeds in groups]


def count_outcomes(results: Results) -> dict[str, int]:
    """How many planned cells ended how, `trained` first and `missing` last.

    One without a record that no open claim needs is `not needed`.
    """
    counts = Counter(_outcomes(results).tolist())
    order = sorted(counts, key=lambda outcome: (outcome != "trained", outcome == "missing", outcome))
    return {outcome: counts[outcome] for outcome in order}


def _outcomes(results: Results) -> pd.Series:
    outcomes = results.cells["outcome"]
    unneeded = (outcomes == "missing") & results.cells["cell_id"].isin(unneeded_cells(results.grid))
    return outcomes.mask(unneeded, "not needed")


def _known(value: object) -> float | None:
    found = number(value)
    return None if math.isnan(found) else found


def _whole(value: object) -> int | None:
    found = _known(value)
    return None if found is None else int(found)
