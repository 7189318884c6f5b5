"""How long something takes that some cells never reach: Kaplan-Meier curves, with intervals."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from nin_bench.stats.claims import ALPHA, Interval


@dataclass(frozen=True)
class Step:
    """The curve from one time on, until the next step."""

    time: float
    share: float
    """Who had reached it."""
    interval: Interval
    """The interval of the share, by the log-log transformation; exact for nobody and everybody."""


@dataclass(frozen=True)
class Survival:
    """When cells reached something."""

    n: int
    num_reached: int
    steps: tuple[Step, ...]
    """The first at time 0; one for each time at which somebody reached it."""
    horizon: float
    """Until when it was looked for."""

    @property
    def median(self) -> float | None:
        """When half of them had reached it; None where less than half ever did."""
        return self._first(lambda step: step.share >= 0.5)

    @property
    def median_interval(self) -> tuple[float | None, float | None]:
        """The interval of the median: where that of the curve first reaches and last leaves one half.

        An end is None where so few cells set none: where the interval has one half in it from the start, or never
        leaves it.

        Source: Brookmeyer and Crowley, 1982, Biometrics 38, 29–41.
        """
        low = self._first(lambda step: step.interval[1] >= 0.5)
        return low or None, self._first(lambda step: step.interval[0] >= 0.5)

    @property
    def restricted_mean(self) -> float:
        """The mean time until the horizon, counting the horizon for who had not reached it by then."""
        times = [step.time for step in self.steps] + [self.horizon]
        return math.fsum(
            (1 - step.share) * max(0.0, until - step.time)
            for step, until in zip(self.steps, times[1:], strict=True)
        )

    def _first(self, reached: Callable[[Step], bool]) -> float | None:
        return next((step.time for step in self.steps if reached(step)), None)


def survival(times: Sequence[float], reached: Sequence[bool], *, horizon: float) -> Survival:
    """Estimate when cells reach something.

    Args:
        times: when each did, or until when it was seen not to have; at least one.
        reached: whether it did.
        horizon: until when it was looked for.

    Source: Kaplan and Meier, 1958; Greenwood's variance, log-log intervals (scipy.stats.ecdf); `_most_left` where
    those are not defined.
    """
    found = np.asarray(times, dtype=float)
    got_there = np.asarray(reached, dtype=bool)
    assert found.shape == got_there.shape == (found.size,), (found.shape, got_there.shape)
    assert found.size > 0
    curve = scipy.stats.ecdf(scipy.stats.CensoredData(uncensored=found[got_there], right=found[~got_there])).sf
    with warnings.catch_warnings():
        # where nobody or everybody is left, there is no spread to transform: those intervals are made below
        warnings.filterwarnings("ignore", message="The confidence interval is undefined")
        ends = curve.confidence_interval(1 - ALPHA, method="log-log")
    low, high = (end.probabilities for end in (ends.low, ends.high))  # type: ignore[attr-defined]
    happened = np.isin(curve.quantiles, found[got_there])
    # nobody of n: the exact binomial bound
    steps = [Step(0.0, 0.0, (0.0, 1 - (ALPHA / 2) ** (1 / found.size)))]
    for time, left, lowest, highest in zip(
        curve.quantiles[happened],
        curve.probabilities[happened],
        low[happened],
        high[happened],
        strict=True,
    ):
        least, most = (lowest, highest) if left > 0 else (0.0, _most_left(found, got_there))
        steps.append(Step(float(time), 1 - float(left), (1 - float(most), 1 - float(least))))
    return Survival(n=found.size, num_reached=int(got_there.sum()), steps=tuple(steps), horizon=horizon)


def _most_left(times: npt.NDArray[np.float64], reached: npt.NDArray[np.bool_]) -> float:
    """The upper confidence limit of a curve that has come down to zero.

    The product, over the times at which somebody got there, of Beta(at risk − got there + 1, got there) bounds the
    share that is left; its quantile is taken from the Beta of the same mean and variance. Without censored cells
    that is exact: the limit of Clopper and Pearson for 0 of n.

    Source: Fay, Brittain and Proschan, 2013, Biostatistics 14, 723–736 (BPCP by the method of moments).
    """
    when, events = np.unique(times[reached], return_counts=True)
    at_risk = (times[:, None] >= when).sum(axis=0)
    of_left = at_risk - events + 1
    mean = float(np.prod(of_left / (at_risk + 1)))
    square = float(np.prod(of_left * (of_left + 1) / ((at_risk + 1) * (at_risk + 2))))
    size = (mean - square) / (square - mean**2)
    return float(scipy.stats.beta.isf(ALPHA / 2, mean * size, (1 - mean) * size))
