"""Datasets as uint8 tensors: found, verified, split, and made into batches where they are needed.

What is imported from here waits for no torch; `nin_bench.data.dataset` and `nin_bench.data.batches` do.
"""

from nin_bench.data.describe import class_names, count_images, describe_data, resolve_data

__all__ = ["class_names", "count_images", "describe_data", "resolve_data"]
