"""What single cells measured, as floats: the one place that says what a cell's metrics mean.

A record may hold anything, also text where a number belongs; what is no number is not known, and is NaN.
"""

import math

import pandas as pd

from nin_bench.metrics import CHANCE_MARGIN, METRICS


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


def failed(cells: pd.DataFrame) -> pd.Series:
    """1 for a network that diverged or ended no better than a constant guess, else 0; NaN where not known."""
    # records from before do not say so themselves
    no_better = numbers(cells, "train_loss") > (1 - CHANCE_MARGIN) * numbers(cells, "chance_loss")
    trained = numbers(cells, "failed").fillna(no_better.astype(float))
    return trained.where(is_trained(cells), 1.0).where(cells["outcome"].isin(("trained", "diverged")))


def has_learned(cells: pd.DataFrame) -> pd.Series:
    """Whether each cell was trained and is known not to have failed."""
    return is_trained(cells) & (numbers(cells, "failed") == 0)


def has_gone_wrong(cells: pd.DataFrame) -> pd.Series:
    """Whether each cell has a record of a network that failed, or of none."""
    return (is_trained(cells) & (numbers(cells, "failed") == 1)) | ~cells["outcome"].isin(("trained", "missing"))


def metric_values(cells: pd.DataFrame, name: str) -> pd.Series:
    """A metric of each cell that records hold, NaN where it is not known."""
    metric = METRICS[name]
    if name == "failed":
        return failed(cells)
    assert metric.record is not None, f"{name} is in no record"
    values = numbers(cells, metric.record)
    return values if metric.minus is None else values - numbers(cells, metric.minus)


def all_accuracies(cells: pd.DataFrame) -> pd.Series:
    """Test accuracy of every network that was trained or diverged (then at chance); NaN where not known."""
    trained = numbers(cells, "test_accuracy").where(is_trained(cells))
    return trained.where(cells["outcome"] != "diverged", numbers(cells, "chance_accuracy"))


def known_metrics(cells: pd.DataFrame) -> pd.DataFrame:
    """Every metric of cells that records hold: a row per cell, a column per metric, NaN where it is not known."""
    recorded = [name for name, metric in METRICS.items() if metric.record is not None]
    return pd.DataFrame({name: metric_values(cells, name) for name in recorded})
