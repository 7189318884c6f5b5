"""The one table of metrics, and when a network is above chance level. Imports no torch.

A new metric is one row of `METRICS`, and whatever computes its value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CHANCE_MARGIN = 0.05
"""A network is above chance level while its loss lies this share below the entropy of the training labels."""

Unit = Literal["share", "nats", "epochs", "count", "seconds", "images/s", "bytes", "joules"]
"""The unit of a metric's raw values; a share lies in [0, 1]."""


@dataclass(frozen=True)
class UnitFormat:
    """How values of a unit are shown."""

    scale: float = 1.0
    """Raw values are multiplied by it."""
    suffix: str = ""
    """What follows a difference, with its space."""
    heading: str = ""
    """What follows the title in the heading of a column; empty where titles say it."""


UNITS: Mapping[Unit, UnitFormat] = {
    "share": UnitFormat(100, " points", "%"),
    "nats": UnitFormat(suffix=" nats", heading="nats"),
    "epochs": UnitFormat(suffix=" epochs", heading="epochs"),
    "count": UnitFormat(),
    "seconds": UnitFormat(suffix=" s", heading="s"),
    "images/s": UnitFormat(suffix=" images/s", heading="images/s"),
    "bytes": UnitFormat(1e-6, " MB", "MB"),
    "joules": UnitFormat(suffix=" J", heading="J"),
}

Kind = Literal["quality", "rate", "architecture", "measured", "observed"]
"""How two variants are compared by the metric.

`quality`: how well a network does. `rate`: yes or no for every network. `architecture`: no seed changes it.
`measured`: a cost, measured apart from training in rounds that variants share. `observed`: seen while cells
trained side by side; no claim can rest on it.
"""


@dataclass(frozen=True)
class Metric:
    """One thing that is known of a cell or, measured, of its variant."""

    name: str
    title: str
    """The metric as a sentence names it."""
    unit: Unit
    kind: Kind
    higher_is_better: bool
    record: str | None = None
    """The field of a record's metrics that holds it; None if no record holds it."""
    minus: str | None = None
    """The field of a record's metrics that is subtracted from `record`; None if nothing is."""
    cost: str | None = None
    """The path in a cost entry that leads to it, with dots; None if it is no cost."""
    column: str = ".1f"
    """The format of a value in a table, in the scale of its unit."""

    @property
    def deterministic(self) -> bool:
        """Whether two numbers decide without a test, because no seed can change them."""
        return self.kind == "architecture"

    @property
    def heading(self) -> str:
        """The heading of its column in a table: title and unit."""
        return ", ".join(part for part in (self.title, UNITS[self.unit].heading) if part)

    def shown(self, value: float) -> str:
        """A raw value as a table shows it, without its unit.

        >>> METRICS["test_accuracy"].shown(0.9123)
        '91.2'
        """
        return f"{value * UNITS[self.unit].scale:{self.column}}".replace("-", "−")


def _metric(
    name: str,
    title: str,
    unit: Unit,
    kind: Kind,
    better: Literal["higher", "lower"],
    column: str = ".1f",
    *,
    record: str | None = "",
    minus: str | None = None,
    cost: str | None = None,
) -> Metric:
    """A row of the table; unless `record` is given, a record holds the metric under its own name."""
    return Metric(
        name, title, unit, kind, better == "higher", name if record == "" else record, minus, cost, column
    )


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        _metric("test_accuracy", "test accuracy", "share", "quality", "higher"),
        _metric("train_accuracy", "training accuracy", "share", "quality", "higher"),
        _metric("validation_accuracy", "validation accuracy", "share", "quality", "higher"),
        _metric("test_balanced_accuracy", "balanced test accuracy", "share", "quality", "higher"),
        _metric("test_macro_f1", "macro F1", "share", "quality", "higher"),
        _metric("test_top5_accuracy", "top-5 test accuracy", "share", "quality", "higher"),
        _metric("test_calibration_error", "expected calibration error", "share", "quality", "lower"),
        _metric(
            "generalisation_gap", "generalisation gap", "share", "quality", "lower",
            record="train_accuracy", minus="test_accuracy",
        ),
        _metric("test_loss", "test loss", "nats", "quality", "lower", ".3f"),
        _metric("train_loss", "training loss", "nats", "quality", "lower", ".3f"),
        _metric("validation_loss", "validation loss", "nats", "quality", "lower", ".3f"),
        _metric("escape_epoch", "time to escape", "epochs", "quality", "lower", ".2f"),
        _metric("target_epoch", "epochs to the target", "epochs", "quality", "lower", record=None),
        _metric("failed", "share of failed networks", "share", "rate", "lower"),
        _metric("escaped", "share of escaped networks", "share", "rate", "higher"),
        _metric("num_params", "parameters", "count", "architecture", "lower", ",.0f", cost="num_params.total"),
        _metric("num_macs", "MACs per image", "count", "architecture", "lower", ",.0f", cost="num_macs.total"),
        _metric(
            "train_tensor_bytes", "counted memory in training", "bytes", "architecture", "lower",
            record=None, cost="memory_bytes.train_peak_estimate",
        ),
        _metric(
            "train_images_per_second", "training throughput", "images/s", "measured", "higher", ",.0f",
            record=None, cost="train.images_per_second",
        ),
        _metric(
            "predict_images_per_second", "prediction throughput", "images/s", "measured", "higher", ",.0f",
            record=None, cost="predict.images_per_second",
        ),
        _metric(
            "latency_p50_seconds", "latency of one image", "seconds", "measured", "lower", ".3g",
            record=None, cost="latency_seconds",
        ),
        _metric(
            "train_memory_bytes", "peak memory in training", "bytes", "measured", "lower",
            record=None, cost="memory_bytes.train_peak",
        ),
        _metric(
            "train_joules_per_image", "energy per training image", "joules", "measured", "lower", ".3g",
            record=None, cost="energy_joules_per_image.train",
        ),
        _metric("train_seconds", "training time", "seconds", "observed", "lower"),
        _metric("observed_images_per_second", "observed throughput", "images/s", "observed", "higher", ",.0f"),
        _metric("peak_memory_bytes", "peak memory", "bytes", "observed", "lower"),
    )
}  # fmt: skip
"""Every metric that a claim can name, by its name. `train_tensor_bytes` is counted from shapes: the most that a
training step's tensors take at once. `train_memory_bytes` is measured, with everything around them."""


def is_above_chance(loss: float, chance_loss: float) -> bool:
    """Whether a loss lies `CHANCE_MARGIN` below that of the best constant guess.

    The margin is relative, so that it means something for two classes of 99:1, too.

    Args:
        loss: in nats, without label smoothing.
        chance_loss: the entropy of the training labels, in nats.
    """
    return loss < (1 - CHANCE_MARGIN) * chance_loss


def has_failed(train_loss: float, chance_loss: float) -> bool:
    """Whether a trained network failed: its final training loss is not above chance level.

    Args:
        train_loss: on the training images, in nats, with hard labels and without augmentation.
        chance_loss: the entropy of the training labels, in nats.
    """
    return not is_above_chance(train_loss, chance_loss)


def has_learned(escaped: bool | None, last_epoch: Mapping[str, float | None], chance_loss: float) -> bool | None:
    """Whether a network in training left chance level and was not back there after its last epoch.

    It is back there if neither its training loss over that epoch nor its validation loss after it is above chance
    level. One of them is enough: a network that escaped in the middle of the epoch has a high training loss, and
    one that is sure of its mistakes has a high validation loss.

    Args:
        escaped: whether it ever left chance level, if that is known.
        last_epoch: a row of its history, with `train_loss` and `validation_loss` in nats; None is not finite.
        chance_loss: the entropy of the training labels, in nats.

    Returns:
        None if it is not known whether it escaped.
    """
    losses = (last_epoch["train_loss"], last_epoch["validation_loss"])
    return escaped and any(loss is not None and is_above_chance(loss, chance_loss) for loss in losses)
