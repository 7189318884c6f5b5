"""What a variant takes: counted exactly on the meta device, measured in processes of its own."""

from nin_bench.cost.counting import (
    Breakdown,
    Count,
    LayerCost,
    count_cost,
    count_layers,
    count_training_flops,
)
from nin_bench.cost.memory import Memory, count_memory
from nin_bench.cost.roofline import LayerWork, Roofline, count_work

__all__ = [
    "Breakdown",
    "Count",
    "LayerCost",
    "LayerWork",
    "Memory",
    "Roofline",
    "count_cost",
    "count_layers",
    "count_memory",
    "count_training_flops",
    "count_work",
]
