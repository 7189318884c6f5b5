"""Whether a training has gone on long enough: a function of its recipe and its history alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nin_bench.cell import Recipe


def has_stopped(recipe: Recipe, history: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the metric that the recipe watches has not improved for as many epochs as it waits for.

    Args:
        recipe: names the metric, or none.
        history: a row for each epoch that has ended. A missing value, as of an infinite loss, is the worst.
    """
    if recipe.early_stop is None:
        return False
    worst, sign = (math.inf, 1) if recipe.early_stop.endswith("_loss") else (-math.inf, -1)
    values = [row.get(recipe.early_stop) for row in history]
    ranked = [sign * (worst if value is None else value) for value in values]
    # min takes the first of equal values: one that is merely reached again is no improvement.
    return bool(ranked) and len(ranked) - 1 - ranked.index(min(ranked)) >= recipe.patience
