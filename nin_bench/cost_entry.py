"""What one machine measured of one variant: the form of an entry in a costs file, checked where it is read.

Whoever reads costs reads them through here, so that what is no number goes no further. What was not measured is
None. Imports no torch.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["convolution", "pointwise", "dense", "other"]
"""Of a layer: a spatial convolution, a 1×1 convolution, a dense layer, or one without weights to multiply by."""

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
    bound: Literal["arithmetic", "memory"] | None


class CostEntry(_Part):
    """What one machine measured of one variant."""

    machine: Machine
    measured_at: str
    """When its session began: two entries with the same were measured in the same rounds."""
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
