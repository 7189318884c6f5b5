"""What a variant takes: counted exactly on the meta device, measured in processes of its own."""

from nin_bench.cost.counting import Breakdown, Count, LayerCost, count_cost, count_layers

__all__ = ["Breakdown", "Count", "LayerCost", "count_cost", "count_layers"]
