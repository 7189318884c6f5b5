"""What the cells of a variant did epoch by epoch, as one line."""

from dataclasses import dataclass

import pandas as pd

from nin_bench.analysis.cells import has_learned, numbers
from nin_bench.results import Results

CURVES = ("validation_accuracy", "train_loss")
"""The history columns that are shown epoch by epoch."""


@dataclass(frozen=True)
class Chance:
    """What a guess reaches that never looks at the image; None if no record tells."""

    loss: float | None
    """In nats."""
    accuracy: float | None


@dataclass(frozen=True)
class CurvePoint:
    """An epoch of a variant, over its networks that did not fail and have it."""

    variant_id: str
    label: str
    epoch: int
    mean: float
    low: float
    high: float
    n: int


def chance_level(results: Results) -> Chance:
    """The median over records: each seed draws its own training images."""
    loss, accuracy = (numbers(results.cells, f"chance_{name}").dropna() for name in ("loss", "accuracy"))
    return Chance(*(float(known.median()) if len(known) else None for known in (loss, accuracy)))


def find_histories(results: Results) -> dict[str, pd.DataFrame]:
    """Every recorded epoch that has a value, by history column.

    Returns:
        Tables with columns cell_id, variant_id, label, epoch and value; empty if nothing is known.
    """
    history = results.history
    places = history[["cell_id", "variant_id", "label"]].assign(epoch=numbers(history, "epoch"))
    return {name: places.assign(value=numbers(history, name)).dropna().astype({"epoch": int}) for name in CURVES}


def learning_curves(results: Results, history: pd.DataFrame) -> list[CurvePoint]:
    """A point per variant and epoch of a table of `find_histories`.

    Networks that failed are left out: they would pull any mean away.
    """
    learned = set(results.cells.loc[has_learned(results.cells), "cell_id"])
    groups = history[history["cell_id"].isin(learned)].groupby(["variant_id", "label", "epoch"], sort=False)
    table = groups["value"].agg(mean="mean", low="min", high="max", n="count").reset_index()
    return [CurvePoint(**{str(name): value for name, value in row.items()}) for row in table.to_dict("records")]
