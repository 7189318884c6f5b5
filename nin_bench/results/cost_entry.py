"""What machines measured of one variant: `costs/<variant-id>.json`, and the figures read out of it.

Each machine has an entry of its own; entries of different machines are never mixed. Entries with the same
`measured_at` were measured in the same rounds, so that their samples can be paired by index. What was not measured
is None. Imports no torch.
"""

from collections.abc import Iterable
from statistics import median
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nin_bench.files import DamagedFileError
from nin_bench.metrics import METRICS
from nin_bench.results.artefact import Artefact, Count, Id, Machine, NonNegative, Part, Tuple

Kind = Literal["convolution", "pointwise", "dense", "other"]
"""The kind of a layer: a spatial convolution, a 1×1 convolution, a dense layer, or any other."""

Bound = Literal["arithmetic", "memory"]
"""Which of a machine's limits is a layer's roof."""

Precision = Literal["fp32", "bf16", "fp16"]

Positive = Annotated[int, Field(ge=1)]


class Workload(Part):
    """How much work one sample of a variant times. As much is done before each phase to warm up, but one step."""

    num_steps: Positive
    images_per_step: Positive
    """The batch; fewer of its micro-batches if the whole batch takes longer than a phase should."""
    num_predict_images: Positive
    num_latencies: Positive
    """Single images, predicted one by one."""
    num_layer_images: Positive
    """Images in each pass that times the layers."""


class Setting(Part):
    """What was measured, and how."""

    batch_size: Positive
    micro_batch: Positive | None
    evaluation_batch: Positive
    precision: Precision
    optimizer: str
    channels: Positive
    resolution: Positive
    num_classes: Positive
    num_threads: Positive | None
    """Threads of the process; None if the warm-up failed, as for `workload`."""
    num_rounds: Count
    """0 if measuring failed."""
    num_workers: Positive
    """Workers at once for the busy figures."""
    workload: Workload | None


class Breakdown(Part):
    """A count and its parts by kind of layer; what is left of the total belongs to layers of other kinds."""

    total: Count
    convolution: Count
    """Convolutions with a window of more than one pixel."""
    pointwise: Count
    """1×1 convolutions."""
    dense: Count

    @model_validator(mode="after")
    def _check_total(self) -> Self:
        if (parts := self.convolution + self.pointwise + self.dense) > self.total:
            raise ValueError(f"its parts are {parts} together, more than its total of {self.total}")
        return self


class Rounds(Part):
    """One value per round; a round is a fresh process."""

    median: NonNegative
    quartiles: Annotated[Tuple[NonNegative], Field(min_length=2, max_length=2)]
    """The first and the third."""
    samples: Annotated[Tuple[NonNegative], Field(min_length=1)]

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Samples with their median and quartiles, which are interpolated linearly.

        >>> Rounds.of([4.0, 1.0, 2.0, 3.0])
        Rounds(median=2.5, quartiles=(1.75, 3.25), samples=(4.0, 1.0, 2.0, 3.0))
        """
        import numpy as np  # reading costs does not wait for it

        samples = tuple(values)
        first, middle, third = (float(value) for value in np.percentile(samples, [25, 50, 75]))
        return cls(median=middle, quartiles=(first, third), samples=samples)


class KindSeconds(Part):
    """Seconds per image of all layers of a kind together, one value per round."""

    with_backward: bool
    """Whether backward passes are included; they can only be timed if the layers form a chain."""
    convolution: Rounds
    pointwise: Rounds
    dense: Rounds
    other: Rounds


class BatchPeak(Part):
    """Peak memory of a training step, in bytes, by its batch."""

    batch_size: Positive
    micro_batch: Positive | None
    """Images that pass at once; None if the batch passes whole."""
    peak_estimate: Count
    """The peak by the formula."""
    peak: Count | None = None
    """The peak as measured, beyond `process`; None if it was not tried or the system does not tell."""


class MemoryBytes(Part):
    """Bytes: first the formula's terms and what they add up to, then what was measured."""

    weights: Count
    low_precision_copies: Count
    gradients: Count
    optimizer: Count
    activations_per_image: Count
    activations_fixed: int
    input_per_image: Count
    predict_per_image: Count
    train_sum: Count
    """All terms together at this batch; they are not all alive at the same time."""
    train_peak_estimate: Count
    """The most that is alive at once in a training step, by the formula."""
    predict_peak_estimate: Count
    """The most that is alive at once in an evaluation of a batch, by the formula."""
    process: Count | None
    """A fresh worker before it builds a network."""
    train_peak: Count | None
    """On a CPU beyond `process`; on an accelerator by its allocator."""
    predict_peak: Count | None
    batches: Tuple[BatchPeak]
    """Training steps with other batches."""


class Train(Part):
    """Speed of training. Seconds are per batch."""

    images_per_second: Rounds
    """With nothing else running."""
    busy_images_per_second: Rounds | None
    """Throughput of one worker while all of them are busy."""
    data_seconds: Rounds
    forward_seconds: Rounds
    backward_seconds: Rounds
    optimizer_seconds: Rounds


class Predict(Part):
    """Speed of prediction in large batches."""

    images_per_second: Rounds
    busy_images_per_second: Rounds | None


class Latency(Part):
    """Seconds that the prediction of a single image takes; percentiles are of all rounds pooled."""

    p50: NonNegative
    p95: NonNegative
    p99: NonNegative
    samples: Annotated[Tuple[Annotated[Tuple[NonNegative], Field(min_length=1)]], Field(min_length=1)]
    """The samples of each round."""


class Energy(Part):
    """Joules per image."""

    train: Rounds
    predict: Rounds


class Load(Part):
    """What else the machine did during a sample, as shares of the time of all processors; None if unknown."""

    steal_share: NonNegative | None
    """Time that a hypervisor gave to other guests."""
    other_cpu_share: NonNegative | None
    """Time that other processes computed."""
    throttled: bool | None
    """Whether the processor or the accelerator slowed down because of heat."""


class Layer(Part):
    """One layer: what it does for one image, and how long that takes."""

    name: str
    type: str
    kind: Kind
    num_params: Count
    num_macs: Count
    output_shape: Tuple[Count]
    forward_seconds: NonNegative | None
    """The median over rounds, as for `backward_seconds`."""
    backward_seconds: NonNegative | None
    flops: Count
    """FLOPs of the forward pass, two for each MAC."""
    bytes: NonNegative
    """The least that could move: inputs, outputs, and the image's share of the weights, once each."""
    flops_per_byte: NonNegative
    share_of_roof: NonNegative | None
    bound: Bound | None


class CostEntry(Part):
    """What one machine measured of one variant."""

    machine: Machine
    measured_at: str
    """When the measuring began: two entries with the same value were measured in the same rounds."""
    error: str | None
    """Why it could not be measured, or not in all rounds."""
    setting: Setting
    num_params: Breakdown
    num_macs: Breakdown
    """Multiply-accumulates of one image's forward pass."""
    first_dense_weights: Count | None
    """Weights of the first dense layer without its bias; None without a dense layer."""
    training_flops: Count
    """FLOPs of one image, forward and backward."""
    memory_bytes: MemoryBytes
    train: Train | None
    predict: Predict | None
    latency_seconds: Latency | None
    startup_seconds: Rounds | None
    """From asking for a fresh worker until its first step."""
    energy_joules_per_image: Energy | None
    mfu: Rounds | None
    """Share of the arithmetic ceiling that training reaches, at the recipe's precision."""
    ceilings: dict[str, Rounds] | None
    """What this machine reaches: FLOPs per second of matrix products by precision, bytes per second of a copy."""
    load: Tuple[Load]
    """One for each round."""
    layers: Tuple[Layer]
    kind_seconds: KindSeconds | None
    """Seconds by kind of layer; None if the layers were not timed, as in older entries."""

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """The machine and the time; all samples would fill pages."""
        return [("machine", self.machine.fingerprint), ("measured_at", self.measured_at), ("error", self.error)]

    @property
    def num_rounds(self) -> int:
        """Rounds that it holds; 0 if measuring failed."""
        return self.setting.num_rounds

    def samples(self, metric: str) -> list[float] | None:
        """The values of a metric of `METRICS`, one per round; None if it was not measured.

        A round's latency is the median of its images. What is counted, or measured once, is a list of one.
        """
        found: Any = self
        path = METRICS[metric].cost
        assert path is not None, f"{metric} is in no cost entry"
        for name in path.split("."):
            if found is None:
                return None
            found = getattr(found, name)
        match found:
            case None:
                return None
            case Rounds():
                return list(found.samples)
            case Latency():
                return [median(of_round) for of_round in found.samples]
            case _:
                return [float(found)]

    def headline(self) -> dict[str, Any]:
        """The main figures, each a number or None, by the names of the metrics; medians over rounds."""
        measured = {name: self.samples(name) for name, metric in METRICS.items() if metric.kind == "measured"}
        busy = self.train.busy_images_per_second if self.train else None
        return {
            "measured_at": self.measured_at,
            "num_rounds": self.num_rounds,
            "error": self.error,
            "num_params": self.num_params.total,
            "num_macs": self.num_macs.total,
            **{name: None if values is None else median(values) for name, values in measured.items()},
            "latency_p50_seconds": self.latency_seconds.p50 if self.latency_seconds else None,
            "busy_train_images_per_second": busy.median if busy else None,
            "mfu": self.mfu.median if self.mfu else None,
        }

    def is_enough(self, num_rounds: int, num_workers: int) -> bool:
        """Whether measuring again would add nothing.

        Args:
            num_rounds: an entry with fewer rounds is not enough.
            num_workers: how many cells run at a time. With several, the figures with all workers busy are wanted,
                too, of as many workers or more; an entry that says why it lacks them is enough.
        """
        if self.num_rounds < num_rounds:
            return False
        if num_workers == 1 or self.error is not None:
            return True
        has_busy = self.train is not None and self.train.busy_images_per_second is not None
        return has_busy and self.setting.num_workers >= num_workers


class CostFile(Artefact):
    """The content of a costs file: one entry for each machine that measured the variant."""

    SCHEMA: ClassVar[int] = 2

    variant_id: Id
    label: str
    entries: Tuple[CostEntry]

    def of_variant(self, variant_id: str) -> Self:
        """The file itself; DamagedFileError if it holds the costs of another variant."""
        if self.variant_id != variant_id:
            raise DamagedFileError(f"holds the costs of another variant, {self.variant_id}")
        return self

    def entry_of(self, fingerprint: str) -> CostEntry | None:
        """The entry of one machine; None if it has none."""
        return next((entry for entry in self.entries if entry.machine.fingerprint == fingerprint), None)

    def with_entry(self, entry: CostEntry, *, is_whole: bool) -> Self:
        """The file with one more entry, which replaces the one of the same machine.

        One that is not whole, as it failed or was interrupted, replaces none with more rounds: so nothing is lost.
        """
        earlier = self.entry_of(entry.machine.fingerprint)
        if earlier is not None and not is_whole and earlier.num_rounds > entry.num_rounds:
            return self
        others = (other for other in self.entries if other is not earlier)
        return self.model_copy(update={"entries": (*others, entry)})
