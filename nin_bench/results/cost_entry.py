"""What one machine measured of one variant: the form of an entry in a costs file, and the figures read out of one.

An entry is checked against `CostEntry` where its file is read, so that what is no number goes no further. What was
not measured is None. Imports no torch.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from nin_bench.metrics import METRICS

Entry = dict[str, Any]
"""An entry as its file holds it; `CostEntry` has those of its fields that are read here."""

Distribution = dict[str, Any]
"""`median`, `quartiles` (first and third) and `samples`; `Rounds` where it is read."""

Kind = Literal["convolution", "pointwise", "dense", "other"]
"""Of a layer: a spatial convolution, a 1×1 convolution, a dense layer, or one without weights to multiply by."""

Bound = Literal["arithmetic", "memory"]
"""Which of a machine's limits is a layer's roof."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    # fields that a newer version adds are left alone
    model_config = ConfigDict(strict=True, frozen=True, use_attribute_docstrings=True)


class Rounds(_Part):
    """One value per round of measuring; a round is a fresh process."""

    median: NonNegative
    quartiles: list[NonNegative] = Field(min_length=2, max_length=2)
    samples: list[NonNegative] = Field(min_length=1)


class Machine(_Part):
    """Where it was measured."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    fingerprint: str
    """Of processor, cores, accelerator and software: entries of two are never mixed."""
    device: str
    """`cpu`, or the accelerator's name."""


class Setting(_Part):
    """What was measured."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    batch_size: Annotated[int, Field(ge=1)]
    micro_batch: Annotated[int, Field(ge=1)] | None
    precision: Literal["fp32", "bf16"]
    num_rounds: Count
    """0 where measuring failed."""
    num_workers: Annotated[int, Field(ge=1)]
    """That were busy for the busy figures."""


class Breakdown(_Part):
    """A count, and its parts by kind of layer."""

    total: Count
    convolution: Count
    pointwise: Count
    dense: Count

    @model_validator(mode="after")
    def _check_total(self) -> Self:
        if (parts := self.convolution + self.pointwise + self.dense) > self.total:
            raise ValueError(f"its parts are {parts} together, more than its total of {self.total}")
        return self


class BatchPeak(_Part):
    """The memory of a training step by its batch, in bytes."""

    batch_size: Annotated[int, Field(ge=1)]
    micro_batch: Annotated[int, Field(ge=1)] | None
    """None where the batch passes whole."""
    peak_foretold: Count
    """By the formula."""
    peak: Count | None
    """As measured, beyond `process`; None where it was not tried or the system does not tell."""


class Memory(_Part):
    """Bytes: first the formula's parts and what they come to, then what was measured."""

    weights: Count
    low_precision_copies: Count
    gradients: Count
    optimizer: Count
    activations_per_image: Count
    activations_fixed: Count
    train_sum: Count
    """All parts together at this batch; they are not all alive at the same time."""
    train_peak_foretold: Count
    """The most that is alive at once in a training step, by the formula."""
    process: Count | None
    """Of a fresh worker before it builds anything."""
    train_peak: Count | None
    """Of a CPU beyond `process`, of an accelerator its allocator's."""
    predict_peak: Count | None
    batches: list[BatchPeak] = []
    """Of steps beside the recipe's own; older entries have none."""


class Train(_Part):
    """Training. Seconds are per batch."""

    images_per_second: Rounds
    """With nothing else running."""
    busy_images_per_second: Rounds | None
    """Of one worker with all of them busy."""
    forward_seconds: Rounds
    backward_seconds: Rounds
    optimizer_seconds: Rounds
    data_seconds: Rounds


class Predict(_Part):
    """Predicting, in large batches."""

    images_per_second: Rounds
    busy_images_per_second: Rounds | None


class Latency(_Part):
    """Seconds that the prediction of a single image takes."""

    p50: NonNegative
    p95: NonNegative
    p99: NonNegative
    samples: list[Annotated[list[NonNegative], Field(min_length=1)]] = Field(min_length=1)
    """Those of each round."""


class Energy(_Part):
    """Joules per image."""

    train: Rounds
    predict: Rounds


class LoadRound(_Part):
    """What else went on during a round; shares of the processor's time."""

    steal_share: NonNegative | None
    """Taken by the host."""
    other_cpu_share: NonNegative | None
    """Used by other processes."""
    throttled: bool | None


class Layer(_Part):
    """One layer: what it does for one image, and how long that takes."""

    name: str
    kind: Kind
    forward_seconds: NonNegative | None
    backward_seconds: NonNegative | None
    flops: NonNegative
    """Of the forward pass; two for each MAC."""
    flops_per_byte: NonNegative
    """Each byte read and written once, at this batch and precision."""
    share_of_roof: NonNegative | None
    bound: Bound | None


class CostEntry(_Part):
    """What one machine measured of one variant."""

    machine: Machine
    measured_at: str
    """When its measuring began: two entries with the same were measured in the same rounds."""
    error: str | None
    """Why it could not be measured, or not in all rounds."""
    setting: Setting
    num_params: Breakdown
    num_macs: Breakdown
    """Of one image's forward pass."""
    first_dense_weights: Count | None
    memory_bytes: Memory
    train: Train | None
    predict: Predict | None
    latency_seconds: Latency | None
    startup_seconds: Rounds | None
    """From asking for a fresh worker until its first step."""
    energy_joules_per_image: Energy | None
    mfu: Rounds | None
    """Share of the ceiling of its precision that training reaches."""
    ceilings: dict[str, Rounds] | None
    """Of this machine, by name: operations per second of matrix products, bytes per second of a copy."""
    load: list[LoadRound]
    layers: list[Layer]


def distribution(samples: Sequence[float]) -> Distribution:
    """Samples with their median and quartiles, these interpolated linearly.

    >>> distribution([4.0, 1.0, 2.0, 3.0])
    {'median': 2.5, 'quartiles': [1.75, 3.25], 'samples': [4.0, 1.0, 2.0, 3.0]}
    """
    first, middle, third = (float(value) for value in np.percentile(samples, [25, 50, 75]))
    return {"median": middle, "quartiles": [first, third], "samples": list(samples)}


def num_rounds(entry: Entry | None) -> int:
    """Rounds that an entry holds: 0 where measuring failed, or for no entry."""
    return 0 if entry is None else int(entry["setting"]["num_rounds"])


def is_measured(entry: Entry | None, wanted_rounds: int, num_workers: int) -> bool:
    """Whether nothing would be gained by measuring again.

    Args:
        entry: this machine's, if it has one.
        wanted_rounds: an entry of fewer is not enough.
        num_workers: how many cells run at a time. Where they are several, the figures with all of them busy are
            wanted too, of as many workers or more; an entry that says why it lacks them is enough.
    """
    if entry is None or num_rounds(entry) < wanted_rounds:
        return False
    if num_workers == 1 or entry["error"] is not None:
        return True
    return bool(_of(entry, "train", "busy_images_per_second")) and entry["setting"]["num_workers"] >= num_workers


def cost_row(entry: Entry) -> dict[str, Any]:
    """An entry's headline figures, each a number or None, under the names that metrics have."""
    measured = [name for name, metric in METRICS.items() if metric.kind == "measured"]
    samples = {name: cost_samples(entry, name) for name in measured}
    mfu, busy = entry["mfu"], _of(entry, "train", "busy_images_per_second")
    return {
        "measured_at": entry["measured_at"],
        "num_rounds": num_rounds(entry),
        "error": entry["error"],
        "num_params": entry["num_params"]["total"],
        "num_macs": entry["num_macs"]["total"],
        **{name: None if values is None else float(median(values)) for name, values in samples.items()},
        "latency_p50_seconds": _of(entry, "latency_seconds", "p50"),
        "busy_train_images_per_second": None if busy is None else busy["median"],
        "mfu": None if mfu is None else mfu["median"],
    }


def cost_samples(entry: Entry, metric: str) -> list[float] | None:
    """What an entry says of a metric, one value per round; None where it was not measured.

    Of the latencies of a round, it is their median. What is counted, or measured once, is a list of one.
    """
    path = METRICS[metric].cost
    assert path is not None, f"{metric} is in no cost entry"
    found = _of(entry, *path.split("."))
    if found is None:
        return None
    samples = found["samples"] if isinstance(found, Mapping) else [found]
    return [float(median(of_round) if isinstance(of_round, list) else of_round) for of_round in samples]


def _of(entry: Entry, *place: str) -> Any:
    """What lies there; None where it, or anything on the way, is null."""
    found: Any = entry
    for key in place:
        if found is None:
            return None
        found = found[key]
    return found
