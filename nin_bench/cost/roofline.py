"""The roofline: what a machine's arithmetic and its memory allow, and which of the two holds a layer back.

A layer that computes few FLOPs for each byte it moves waits for memory, one that computes many for arithmetic
(Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore
architectures", 2009). Bytes are the least that could move: inputs and weights read once, outputs written once.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

from nin_bench.cost.counting import LayerCost, kind_of, layer_cost, leaves_of, run_on_meta
from nin_bench.models import ImageSpec
from nin_bench.results.cost_entry import Bound, Kind

_VALUE_BYTES = {"fp32": 4, "bf16": 2}


@dataclass(frozen=True)
class LayerWork:
    """What one layer computes and moves for one image, forward."""

    layer: LayerCost
    kind: Kind
    flops: int
    """Two for each MAC."""
    num_bytes: float
    """Inputs and outputs, and the image's share of the weights, which the whole batch reads once."""

    @property
    def flops_per_byte(self) -> float:
        """The operational intensity; 0 for a layer without MACs."""
        return self.flops / self.num_bytes


@dataclass(frozen=True)
class Roofline:
    """What a machine can do at most, as measured on it."""

    flops_per_second: float
    """The arithmetic ceiling, at the precision of the layers held against it."""
    bytes_per_second: float
    """The memory ceiling, bytes read and bytes written together."""

    @property
    def ridge_flops_per_byte(self) -> float:
        """Where the ceilings meet: below it memory is the bound, from it on arithmetic."""
        return self.flops_per_second / self.bytes_per_second

    def attainable_flops_per_second(self, flops_per_byte: float) -> float:
        """The roof above a layer of that intensity."""
        return min(self.flops_per_second, flops_per_byte * self.bytes_per_second)

    def bound(self, work: LayerWork) -> Bound:
        """Which ceiling is the layer's roof."""
        return "arithmetic" if work.flops_per_byte >= self.ridge_flops_per_byte else "memory"

    def seconds(self, work: LayerWork) -> float:
        """The least time that one image can take."""
        return max(work.flops / self.flops_per_second, work.num_bytes / self.bytes_per_second)

    def share(self, work: LayerWork, seconds: float) -> float:
        """The share of its roof that a layer reached, having taken that long for one image.

        For a layer with MACs, its FLOPs per second over the attainable ones; for one without, its bytes per
        second over the memory ceiling. Above 1 where data stayed in a cache that is faster than the memory
        measured.
        """
        return self.seconds(work) / seconds


def count_work(
    name: str, image: ImageSpec, *, precision: Literal["fp32", "bf16"], batch_size: int, **arguments: object
) -> list[LayerWork]:
    """Count what every layer of a model computes and moves, in the order in which data meets them.

    Args:
        name: a registered model.
        image: what goes in and how many classes come out.
        precision: of values and of the weights as they are read.
        batch_size: images that pass at once; with micro-batches, those of one.
        **arguments: of the model; those left out take their default.

    Raises:
        SpecError: what `build_model` refuses.
    """
    model, calls = run_on_meta(name, image, arguments)
    works = []
    for layer_name, module in leaves_of(model):
        layer = layer_cost(layer_name, module, calls)
        num_values = sum(call.num_inputs + prod(call.output_shape) for call in calls[module])
        num_weights = layer.num_params * len(calls[module]) / batch_size
        works.append(
            LayerWork(
                layer=layer,
                kind=kind_of(module),
                flops=2 * layer.num_macs,
                num_bytes=_VALUE_BYTES[precision] * (num_values + num_weights),
            )
        )
    return works
