"""The roofline: what a machine's arithmetic and its memory allow, and which of the two limits a layer.

A layer that computes few FLOPs for each byte it moves waits for memory, one that computes many for arithmetic
(Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore
architectures", 2009). Bytes are the least that could move: inputs and weights read once, outputs written once.
"""

from dataclasses import dataclass

from nin_bench.cost.counting import LayerCount
from nin_bench.results.cost_entry import Bound, Precision

_VALUE_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Roofline:
    """What a machine can do at most, as measured on it."""

    flops_per_second: float
    """The arithmetic ceiling, at the precision of the layers held against it."""
    bytes_per_second: float
    """The memory ceiling, bytes read and bytes written together."""

    def bound(self, flops: int, num_bytes: float) -> Bound:
        """The ceiling that limits a layer of so many FLOPs and bytes."""
        is_arithmetic = flops / self.flops_per_second >= num_bytes / self.bytes_per_second
        return "arithmetic" if is_arithmetic else "memory"

    def share(self, flops: int, num_bytes: float, seconds: float) -> float:
        """The least time that so many FLOPs and bytes can take, as a share of the time that they took.

        For a layer with MACs, this is its FLOPs per second over the attainable ones; for one without, its bytes
        per second over the memory ceiling. It is above 1 if data stayed in a cache faster than the memory.
        """
        return max(flops / self.flops_per_second, num_bytes / self.bytes_per_second) / seconds


def bytes_moved(layer: LayerCount, precision: Precision, batch_size: int) -> float:
    """Bytes that a layer moves for one image: inputs, outputs, and the image's share of the weights.

    Args:
        layer: the layer.
        precision: of values and of the weights as they are read.
        batch_size: images that pass at once, for which weights are read once; with micro-batches, those of one.
    """
    return _VALUE_BYTES[precision] * (layer.num_values + layer.num_weights_read / batch_size)
