"""Choose a learning rate from trials at a grid of rates."""

import math
from collections.abc import Sequence

import numpy as np


def choose_rate(rates: Sequence[float], means: Sequence[float], failed: Sequence[bool]) -> float:
    """The rate to train with, from a trial at each of several evenly spaced rates (in logarithms).

    The top of a quadratic in the logarithm of the rate, fitted to the means at the rates where no network failed,
    and within those rates. If a higher rate failed, at most half a step below the highest rate that did not: close
    to such a cliff, other seeds would fail. With fewer than three rates without failure, the one with the best
    mean, under the same limit; with none, the one with the best mean of all.

    Args:
        rates: (n,) positive.
        means: (n,) what each trial reached, averaged over its networks; higher is better.
        failed: (n,) whether some network of the trial failed.
    """
    assert len(rates) == len(means) == len(failed) > 0
    order = np.argsort(rates)
    log_rates, values = np.log(np.asarray(rates, float)[order]), np.asarray(means, float)[order]
    healthy = ~np.asarray(failed, bool)[order]
    if not healthy.any():
        return math.exp(log_rates[np.argmax(values)])
    x, y = log_rates[healthy], values[healthy]
    top = _top(x, y) if len(x) >= 3 else x[np.argmax(y)]
    if (above := log_rates[log_rates > x[-1]]).size:
        top = min(top, x[-1] - (above[0] - x[-1]) / 2)
    return math.exp(top)


def _top(x: np.ndarray, y: np.ndarray) -> float:
    """Where a quadratic that is fitted to points is highest, between the first and the last of them."""
    center = x.mean()  # so that the fit is well conditioned
    curve = np.polynomial.Polynomial.fit(x - center, y, 2).convert()
    candidates = [x[0] - center, x[-1] - center]
    quadratic, linear = (curve.coef[power] if power < len(curve.coef) else 0.0 for power in (2, 1))
    if -quadratic * (x[-1] - x[0]) ** 2 > 1e-9 * max(abs(y).max(), 1e-9):  # else it is straight, but for rounding
        candidates.append(float(np.clip(-linear / (2 * quadratic), *candidates)))
    return float(center + max(candidates, key=curve))
