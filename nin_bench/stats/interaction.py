"""Whether what one choice does depends on another: the difference of differences, paired by seed."""

import numpy as np

from nin_bench.stats.paired import PairedDifference, Values, paired_difference


def interaction(both: Values, only_a: Values, only_b: Values, neither: Values) -> PairedDifference:
    """Compare what A does beside B with what A does without it.

    Args:
        both: values with A and B, shape (n,), n at least 1.
        only_a: values with A alone, at the same seeds in the same order.
        only_b: values with B alone.
        neither: values without either.

    Returns:
        (both − only_b) − (only_a − neither) over seeds, with its paired t-interval: for two levels each, the test
        of the interaction in an analysis of variance with repeated measures.
    """
    y = [np.asarray(values, dtype=float) for values in (both, only_b, only_a, neither)]
    return paired_difference(y[0] - y[1], y[2] - y[3])
