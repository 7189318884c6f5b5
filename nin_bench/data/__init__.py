"""Datasets as uint8 tensors: found, verified, split, and made into batches where they are needed.

What is imported from here waits for no torch; `nin_bench.data.dataset` and `nin_bench.data.batches` do.
"""

from nin_bench.data.describe import class_names, count_images, describe_data, resolve_data
from nin_bench.data.own import register_dataset
from nin_bench.data.sources import Watch

__all__ = ["Watch", "class_names", "count_images", "describe_data", "register_dataset", "resolve_data"]
