"""The seeds or rounds at which variants can be compared, and the differences there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from nin_bench.metrics import METRICS, Metric
from nin_bench.results import FINAL_OUTCOMES
from nin_bench.stats.paired_test import PairedTest, is_heavy_tailed, paired_differences, paired_test
from nin_bench.stats.shares import PairedShares, paired_shares

Array = npt.NDArray[np.float64]
_LAST_WHERE_FAILED = {"generalisation_gap", "escape_epoch", "target_epoch"}
"""Metrics by which a network that failed counts as worst: a network that learned nothing has a gap of 0."""
_SHARE_DIGITS = 8
"""The digits of shares that count: predictions keep the credit of tied images in single precision."""
_ACCURACIES = {"test_accuracy", "train_accuracy", "validation_accuracy"}


@dataclass(frozen=True)
class Network:
    """What is known of a planned cell."""

    outcome: str
    values: Mapping[str, float]
    """Values by metric, with `chance_accuracy` and `num_lost_classes`; NaN if not known."""

    def __getitem__(self, name: str) -> float:
        return self.values.get(name, math.nan)

    @property
    def failed(self) -> bool:
        """Whether it diverged or ended no better than a constant guess."""
        return self["failed"] == 1

    @property
    def lost_classes(self) -> bool:
        """Whether it is known never to predict some class; a network that failed often does not."""
        return self["num_lost_classes"] > 0

    def judged(self, metric: Metric) -> float:
        """The value for a claim: a diverged network has chance accuracy, and the worst of other metrics."""
        value, worst = self[metric.name], -math.inf if metric.higher_is_better else math.inf
        if metric.name == "escaped" and self.outcome == "diverged" and math.isnan(value):
            return 0.0  # it diverged before there was a running loss
        if metric.kind == "quality":
            has_not_escaped = metric.name == "escape_epoch" and self["escaped"] == 0
            if has_not_escaped or (self.failed and metric.name in _LAST_WHERE_FAILED):
                return worst
            if self.outcome == "diverged":
                value = self["chance_accuracy"] if metric.name in _ACCURACIES else worst
        return round(value, _SHARE_DIGITS) if metric.unit == "share" else value

    @property
    def accuracy(self) -> float:
        """Test accuracy, chance if it diverged; NaN where not known."""
        return self.judged(METRICS["test_accuracy"])

    def why_missing(self, metric: Metric) -> str | None:
        """Why it cannot be compared; None where it can. Crashed and out of memory say nothing of a network."""
        if self.outcome not in ("trained", "diverged"):
            return self.outcome.replace("_", " ")
        return "not measured" if math.isnan(self.judged(metric)) else None


NO_RECORD = Network("missing", {})


@dataclass(frozen=True)
class MissingCell:
    """A planned cell that cannot be compared."""

    label: str
    seed: int
    reason: str


@dataclass(frozen=True)
class Contrast:
    """Differences between variants: A − B, or a weighted sum of such differences."""

    pairs: tuple[tuple[str, str], ...]
    """A and B of each."""
    weights: tuple[float, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """All variants, each once."""
        return tuple(dict.fromkeys(label for pair in self.pairs for label in pair))

    @classmethod
    def difference(cls, a: str, b: str) -> "Contrast":
        """A less B."""
        return cls(((a, b),), (1.0,))

    @classmethod
    def interaction(cls, first: tuple[str, str], second: tuple[str, str]) -> "Contrast":
        """The first difference less the second."""
        return cls((first, second), (1.0, -1.0))

    @classmethod
    def mean(cls, contrasts: Sequence["Contrast"]) -> "Contrast":
        """The mean of several contrasts at the same seed."""
        return cls(
            tuple(pair for one in contrasts for pair in one.pairs),
            tuple(weight / len(contrasts) for one in contrasts for weight in one.weights),
        )

    def of(self, values: Mapping[str, Array], *, ratio: bool) -> Array:
        """The weighted sum of differences, of logarithms for a ratio; infinite ones that cancel out make 0.

        Args:
            values: of each variant, all of one shape; others are not looked at.
            ratio: whether A over B is asked for; all values are above 0 then.
        """
        if ratio:
            values = {label: np.log(values[label]) for label in self.labels}
        total = np.zeros_like(values[self.labels[0]])
        with np.errstate(invalid="ignore"):
            for (a, b), weight in zip(self.pairs, self.weights, strict=True):
                total = total + weight * paired_differences(values[a], values[b])
        return np.where(np.isnan(total), 0.0, total)


@dataclass(frozen=True)
class Pairs:
    """What is planned of a contrast's variants, and the seeds at which all of them can be compared."""

    contrast: Contrast
    seeds: list[int]
    """In the order in which they were planned."""
    networks: list[dict[str, Network]]
    """The networks at each seed, by variant."""
    missing: list[MissingCell]
    num_planned: int
    num_ended: int
    """Planned seeds at which every cell has ended for good."""

    @classmethod
    def read(
        cls, contrast: Contrast, metric: Metric, seeds: Sequence[int], cells: Mapping[tuple[str, int], Network]
    ) -> "Pairs":
        """Pair cells, given by label and seed, at the planned seeds."""
        found = {seed: {label: cells.get((label, seed), NO_RECORD) for label in contrast.labels} for seed in seeds}
        missing = [
            MissingCell(label, seed, why)
            for seed, networks in found.items()
            for label, network in networks.items()
            if (why := network.why_missing(metric))
        ]
        known = [seed for seed in found if seed not in {cell.seed for cell in missing}]
        return cls(
            contrast=contrast,
            seeds=known,
            networks=[found[seed] for seed in known],
            missing=missing,
            num_planned=len(found),
            num_ended=sum(
                all(network.outcome in FINAL_OUTCOMES for network in networks.values())
                for networks in found.values()
            ),
        )

    def test(self, metric: Metric, *, ratio: bool) -> PairedTest | str:
        """The exact test of the differences, of logarithms where a ratio is asked for; or why there is none."""
        if not self.seeds:
            return "there is no seed at which all of its variants can be compared"
        values = {
            label: np.array([networks[label].judged(metric) for networks in self.networks])
            for label in self.contrast.labels
        }
        if ratio and min(column.min() for column in values.values()) <= 0:
            return f"a factor needs values above 0, and {metric.name} has others"
        return paired_test(self.contrast.of(values, ratio=ratio), heavy_tailed=self._heavy_tailed)

    def without_failures(self) -> "Pairs":
        """The seeds at which no network failed or lost a class."""
        sound = [not any(one.failed or one.lost_classes for one in pair.values()) for pair in self.networks]
        return replace(
            self,
            seeds=[seed for seed, keep in zip(self.seeds, sound, strict=True) if keep],
            networks=[pair for pair, keep in zip(self.networks, sound, strict=True) if keep],
        )

    def shares(self, name: Literal["failed", "lost_classes"]) -> PairedShares | None:
        """How often networks of A and B failed, or lost a class; None for more than one difference."""
        if len(self.contrast.pairs) > 1 or not self.seeds:
            return None
        a, b = self.contrast.pairs[0]
        return paired_shares(*([getattr(networks[label], name) for networks in self.networks] for label in (a, b)))

    @property
    def _heavy_tailed(self) -> bool:
        accuracies = [[networks[label].accuracy for networks in self.networks] for label in self.contrast.labels]
        bad = [one.failed or one.lost_classes for networks in self.networks for one in networks.values()]
        return is_heavy_tailed(accuracies, bad)
