"""Values of ours against a single one that others published."""

from collections.abc import Sequence

from scipy import stats


def percentile_among(value: float, values: Sequence[float]) -> float:
    """The share of some values that lie below another, those equal to it counting half."""
    return float(stats.percentileofscore(values, value, kind="mean")) / 100
