"""What single cells measured, as floats: the one place that says what a cell's metrics mean.

A record may hold anything, also text where a number belongs; what is no number is not known, and is NaN.
"""

import math

import pandas as pd

from nin_bench.metrics import METRICS

CHANCE_MARGIN = 0.05
"""A network failed whose final training loss is not this share below the entropy of the training labels."""


def number(value: object) -> float:
    """A recorded value as a float, True as 1; NaN where it is no finite number."""
    if not isinstance(value, int | float):
        return math.nan
    try:
        found = float(value)
    except OverflowError:
        return math.nan
    return found if math.isfinite(found) else math.nan


def numbers(table: pd.DataFrame, name: str) -> pd.Series:
    """A column as floats, NaN where not known or where no record holds it."""
    values = table[name].tolist() if name in table else [None] * len(table)
    return pd.Series([number(value) for value in values], index=table.index, dtype=float)


def is_trained(cells: pd.DataFrame) -> pd.Series:
    """Whether each cell ran to its end."""
    return cells["outcome"] == "trained"


def health(cells: pd.DataFrame) -> pd.Series:
    """1 for a healthy network, 0 for one that collapsed or failed, NaN where that is not known.

    Healthy is who ran to the end, escaped chance level and has no dead class map. It is not known of a cell
    without a record, nor of one that trained too few steps to escape.
    """
    known = numbers(cells, "healthy").where(is_trained(cells), 0.0)
    return known.where(cells["outcome"] != "missing")


def failed(cells: pd.DataFrame) -> pd.Series:
    """1 for a network that diverged or ended no better than a constant guess, else 0; NaN where not known."""
    no_better = numbers(cells, "train_loss") > (1 - CHANCE_MARGIN) * numbers(cells, "chance_loss")
    trained = numbers(cells, "failed").fillna(no_better.astype(float))
    return trained.where(is_trained(cells), 1.0).where(cells["outcome"].isin(("trained", "diverged")))


def is_healthy(cells: pd.DataFrame) -> pd.Series:
    """Whether each cell's network is known to be healthy."""
    return health(cells) == 1


def generalisation_gap(cells: pd.DataFrame) -> pd.Series:
    """Train less test accuracy, both in evaluation mode."""
    return numbers(cells, "train_accuracy") - numbers(cells, "test_accuracy")


def seen_images_per_second(cells: pd.DataFrame) -> pd.Series:
    """Training throughput while other cells trained beside, which is no measured cost."""
    return numbers(cells, "train_images_per_second")


def known_metrics(cells: pd.DataFrame) -> pd.DataFrame:
    """Every metric of cells that a claim can be about: a row per cell, a column per metric, NaN if not known."""
    derived = {
        "healthy": health,
        "generalisation_gap": generalisation_gap,
        "seen_images_per_second": seen_images_per_second,
    }
    return pd.DataFrame(
        {
            name: derived[name](cells) if name in derived else numbers(cells, name)
            for name, metric in METRICS.items()
            if metric.kind != "measured"
        }
    )
