"""What two variants share, seeds or rounds: which can be compared by a metric, and by which test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nin_bench.metrics import Metric
from nin_bench.results import FINAL_OUTCOMES
from nin_bench.stats import (
    PairedDifference,
    PairedShares,
    ThreeParts,
    paired_difference,
    paired_shares,
    three_parts,
)


@dataclass(frozen=True)
class Measured:
    """What a planned cell has to say."""

    outcome: str
    values: Mapping[str, float]
    """By metric, NaN where not known."""

    def __getitem__(self, name: str) -> float:
        return self.values.get(name, math.nan)


NO_RECORD = Measured("missing", {})


@dataclass(frozen=True)
class Pairs:
    """What is planned of variants A and B, and the pairs among it that can be compared."""

    numbers: list[int]
    """Seeds, or rounds counted from 1, of the pairs that can be compared; the arrays below are in this order."""
    a: npt.NDArray[np.float64]
    """Values of A; those of failed networks may be NaN."""
    b: npt.NDArray[np.float64]
    healthy_a: npt.NDArray[np.bool_]
    healthy_b: npt.NDArray[np.bool_]
    left_out: list[tuple[str, int, str]]
    """Label, seed and reason of each planned cell that cannot be compared."""
    num_planned: int
    num_ended: int
    """Planned pairs of which both cells have ended for good."""

    @classmethod
    def of_rounds(cls, samples: Sequence[tuple[float, float]]) -> "Pairs":
        """Pair what two costs entries measured in the same rounds."""
        a, b = np.array(samples, dtype=float).reshape(-1, 2).T
        sound = np.ones(len(samples), dtype=bool)  # a cost has nothing to do with what a network learned
        return cls(
            numbers=list(range(1, len(samples) + 1)),
            a=a,
            b=b,
            healthy_a=sound,
            healthy_b=sound,
            left_out=[],
            num_planned=len(samples),
            num_ended=len(samples),
        )

    @classmethod
    def read(
        cls, metric: Metric, labels: Sequence[str], seeds: Sequence[int], rows: Mapping[tuple[str, int], Measured]
    ) -> "Pairs":
        """Pair the cells.

        Args:
            metric: what they are compared by.
            labels: of A and of B.
            seeds: the planned ones.
            rows: every planned cell by label and seed.
        """
        cells = [[rows.get((label, seed), NO_RECORD) for label in labels] for seed in seeds]
        reasons = [[_why_unknown(cell, metric) for cell in pair] for pair in cells]
        known = [pair for pair, whys in zip(cells, reasons, strict=True) if not any(whys)]
        values = np.array([[cell[metric.name] for cell in pair] for pair in known], dtype=float)
        healthy = np.array([[cell["healthy"] == 1 for cell in pair] for pair in known], dtype=bool)
        a, b = values.reshape(-1, 2).T
        healthy_a, healthy_b = healthy.reshape(-1, 2).T
        return cls(
            numbers=[seed for seed, whys in zip(seeds, reasons, strict=True) if not any(whys)],
            a=a,
            b=b,
            healthy_a=healthy_a,
            healthy_b=healthy_b,
            left_out=[
                (label, seed, why)
                for seed, whys in zip(seeds, reasons, strict=True)
                for label, why in zip(labels, whys, strict=True)
                if why
            ],
            num_planned=len(cells),
            num_ended=sum(all(cell.outcome in FINAL_OUTCOMES for cell in pair) for pair in cells),
        )


def compare(
    pairs: Pairs, metric: Metric, margin: float, *, ratio: bool
) -> PairedDifference | PairedShares | ThreeParts | str:
    """Choose the test that the pairs call for.

    Args:
        pairs: at least one that can be compared.
        metric: what they are compared by.
        margin: the smallest difference that matters, of logarithms for a ratio.
        ratio: whether A over B is asked for, so that logarithms are compared.

    Returns:
        The test, or the reason why there is none.
    """
    a, b = pairs.a, pairs.b
    if metric.kind == "rate":
        if ratio:
            return "shares of networks are compared by a margin, not by a factor"
        return paired_shares(a == 1, b == 1)
    failed = not (pairs.healthy_a & pairs.healthy_b).all()
    if failed:
        # what a failed network scored is not looked at; this keeps its logarithm finite
        a, b = np.where(pairs.healthy_a, a, 1.0), np.where(pairs.healthy_b, b, 1.0)
    if ratio:
        if min(a.min(), b.min()) <= 0:
            return f"a factor needs values above 0, and {metric.name} has others"
        a, b = np.log(a), np.log(b)
    if not failed:
        return paired_difference(a, b)
    better = metric.higher_is_better
    return three_parts(a, b, pairs.healthy_a, pairs.healthy_b, margin=margin, higher_is_better=better)


def known_value(
    metric: Metric, label: str, seeds: Sequence[int], rows: Mapping[tuple[str, int], Measured]
) -> float | None:
    """The value of a metric that is the same in every seed, or None where no record holds it."""
    values = (rows.get((label, seed), NO_RECORD)[metric.name] for seed in seeds)
    return next((value for value in values if math.isfinite(value)), None)


def _why_unknown(cell: Measured, metric: Metric) -> str | None:
    """Why a cell cannot be compared, or None where it can.

    A network that failed can: as a failure. A cell that says nothing about its network (crashed, out of memory)
    cannot.
    """
    if not metric.deterministic and cell.outcome not in ("trained", "diverged"):
        return cell.outcome.replace("_", " ")
    if metric.kind == "quality" and math.isnan(cell["healthy"]):
        return "trained too few steps to tell whether it collapsed"
    failed = metric.kind == "quality" and cell["healthy"] == 0
    return None if failed or math.isfinite(cell[metric.name]) else "not measured"
