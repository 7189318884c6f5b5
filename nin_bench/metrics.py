"""What a hypothesis may be about: the metrics, their units, and how two variants can be compared by each.

And what stands behind `escaped`: when a network is above chance level.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ESCAPE_MARGIN = 0.1
"""A network is above chance level while its loss lies this far below that of a constant guess, in nats."""

Unit = Literal["share", "nats", "epochs", "count", "seconds", "images/s", "bytes", "joules"]
"""What a metric's raw values are in; a share lies in [0, 1]."""

Kind = Literal["quality", "rate", "architecture", "measured", "observed"]
"""How two variants can be compared by the metric.

`quality`: how well a network does; it says nothing of one that is not healthy. `rate`: yes or no for every
cell, itself about failing. `architecture`: no seed changes it. `measured`: a cost, measured apart from training in
rounds that variants share. `observed`: seen while cells trained side by side, not measured on its own, so that no
claim can rest on it.
"""


@dataclass(frozen=True)
class Metric:
    """One thing that is known of a cell or, measured, of its variant."""

    name: str
    title: str
    """As a sentence names it."""
    unit: Unit
    kind: Kind
    higher_is_better: bool

    @property
    def deterministic(self) -> bool:
        """Whether two numbers decide without a test, because no seed can change them."""
        return self.kind == "architecture"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("test_accuracy", "test accuracy", "share", "quality", higher_is_better=True),
        Metric("train_accuracy", "training accuracy", "share", "quality", higher_is_better=True),
        Metric("validation_accuracy", "validation accuracy", "share", "quality", higher_is_better=True),
        Metric("generalisation_gap", "generalisation gap", "share", "quality", higher_is_better=False),
        Metric("test_loss", "test loss", "nats", "quality", higher_is_better=False),
        Metric("train_loss", "training loss", "nats", "quality", higher_is_better=False),
        Metric("validation_loss", "validation loss", "nats", "quality", higher_is_better=False),
        Metric("escape_epoch", "time to escape", "epochs", "quality", higher_is_better=False),
        Metric("healthy", "share of healthy networks", "share", "rate", higher_is_better=True),
        Metric("escaped", "share of escaped networks", "share", "rate", higher_is_better=True),
        Metric("num_params", "parameters", "count", "architecture", higher_is_better=False),
        Metric("num_macs", "MACs per image", "count", "architecture", higher_is_better=False),
        Metric(
            "train_tensor_bytes", "counted memory in training", "bytes", "architecture", higher_is_better=False
        ),
        Metric("train_images_per_second", "training throughput", "images/s", "measured", higher_is_better=True),
        Metric(
            "predict_images_per_second", "prediction throughput", "images/s", "measured", higher_is_better=True
        ),
        Metric("latency_p50_seconds", "latency of one image", "seconds", "measured", higher_is_better=False),
        Metric("train_memory_bytes", "peak memory in training", "bytes", "measured", higher_is_better=False),
        Metric(
            "train_joules_per_image", "energy per training image", "joules", "measured", higher_is_better=False
        ),
        Metric("train_seconds", "training time", "seconds", "observed", higher_is_better=False),
        Metric("seen_images_per_second", "throughput seen", "images/s", "observed", higher_is_better=True),
        Metric("peak_memory_bytes", "peak memory", "bytes", "observed", higher_is_better=False),
    )
}
"""Every metric that a claim can name: those of a record and of its variant's costs, and two that follow from a
record, `generalisation_gap` (train_accuracy less test_accuracy) and `seen_images_per_second` (the record's own
`train_images_per_second`, a name that stands here for the measured one). `train_tensor_bytes` is counted from
shapes: the most that a training step's tensors take at once; `train_memory_bytes` is measured, with all around."""


def has_learned(escaped: bool | None, last_epoch: Mapping[str, float | None], chance_loss: float) -> bool | None:
    """Whether a network left chance level and was not back there after its last epoch.

    It is back there if neither its training loss over that epoch nor its validation loss thereafter lies
    `ESCAPE_MARGIN` below a constant guess's. Either is enough to be above: one that escaped in the middle of the
    epoch has a high training loss, and one that is sure of its mistakes a high validation loss.

    Args:
        escaped: whether it ever left chance level, if that is known.
        last_epoch: a row of its history, with `train_loss` and `validation_loss` in nats; None is not finite.
        chance_loss: of a constant guess, in nats.

    Returns:
        None where it is not known whether it escaped.
    """
    losses = (last_epoch["train_loss"], last_epoch["validation_loss"])
    return escaped and any(loss is not None and loss < chance_loss - ESCAPE_MARGIN for loss in losses)
