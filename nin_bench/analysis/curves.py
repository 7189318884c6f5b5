"""What the cells of a variant did epoch by epoch, as one line."""

import pandas as pd

from nin_bench.analysis.cells import is_healthy, numbers
from nin_bench.results import Results


def chance_level(results: Results, name: str) -> float | None:
    """What a guess that never looks at the image reaches, or None where no record tells.

    Args:
        results: the results folder as read.
        name: `chance_loss` or `chance_accuracy`; each seed draws its own training images, so the median over
            records stands for all.
    """
    known = numbers(results.cells, name).dropna()
    return float(known.median()) if len(known) else None


def known_epochs(results: Results, name: str) -> pd.DataFrame:
    """Every recorded epoch that has a value in a history column.

    Returns:
        Columns cell_id, variant_id, label, epoch, value; empty if nothing is known.
    """
    history = results.history
    known = history[["cell_id", "variant_id", "label"]].assign(
        epoch=numbers(history, "epoch"), value=numbers(history, name)
    )
    return known.dropna().astype({"epoch": int})


def learning_curves(results: Results, epochs: pd.DataFrame) -> pd.DataFrame:
    """A history column per variant and epoch, over healthy cells: collapse would pull any mean to nowhere.

    Args:
        results: the results folder as read.
        epochs: `known_epochs` of the column.

    Returns:
        Columns variant_id, label, epoch, mean, low, high, n (cells that have the epoch); empty if nothing
        is known.
    """
    healthy = set(results.cells.loc[is_healthy(results.cells), "cell_id"])
    known = epochs[epochs["cell_id"].isin(healthy)]
    groups = known.groupby(["variant_id", "label", "epoch"], sort=False)["value"]
    return groups.agg(mean="mean", low="min", high="max", n="count").reset_index()
