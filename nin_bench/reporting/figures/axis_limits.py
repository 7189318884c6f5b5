"""Which stretch of an axis a figure shows: where most of the values lie, so that they can be told apart."""

from collections.abc import Iterable, Sequence

import numpy as np

from nin_bench.stats.claims import Interval

_FENCE = 1.5
"""Interquartile ranges below the lower quartile. Source: Tukey, 1977, Exploratory Data Analysis."""

_LEAST_ROOM = 0.005


def accuracy_limits(single: Sequence[float], kept: Iterable[float]) -> Interval | None:
    """Limits of an axis of accuracies: one far below all others does not press these together.

    Args:
        single: accuracies of single cells, shares; from Tukey's lower fence on they are in view.
        kept: what is in view wherever it lies, such as means.

    Returns:
        Both ends, with room for marks at the lower one; None without a single accuracy.
    """
    if not single:
        return None
    lower, upper = (float(quartile) for quartile in np.percentile(single, [25, 75]))
    seen = list(kept)
    low = min([max(min(single), lower - _FENCE * (upper - lower)), *seen])
    high = max([*single, *seen])
    room = max(0.06 * (high - low), _LEAST_ROOM)
    return low - 3 * room, high + room


def epochs_shown(last_steps: Iterable[float], horizon: float) -> float:
    """Until when curves of who got there are followed: a little beyond the last step that any of them takes.

    Args:
        last_steps: each curve's last step, in epochs; 0 where nobody got there.
        horizon: until when it was looked for; followed so far where the last step lies near it, or there is none.
    """
    end = 1.15 * max(last_steps, default=0.0)
    return end if 0 < end < 0.9 * horizon else horizon
