"""What a variant takes: counted exactly on the meta device, measured in processes of its own."""

from nin_bench.cost.counting import LayerCount, ModelCount, Parts, check_pass, count_model
from nin_bench.cost.memory import MemoryFormula, count_memory

__all__ = ["LayerCount", "MemoryFormula", "ModelCount", "Parts", "check_pass", "count_memory", "count_model"]
